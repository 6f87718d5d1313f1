"""Weight sets of the fixed-point beam: Q15 filters with a digest.

A weight set is what an auditor needs to make the beam again: int16 filters, nothing
else. Its digest is SHA-256 over the number of microphones and of taps, each as an
unsigned little-endian 32-bit integer, followed by :attr:`WeightSet.data`.
"""

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from bayscribe.dsp.design import (
    design_frequencies,
    distortionless_filters,
    mvdr_response,
)
from bayscribe.dsp.geometry import (
    Complexes,
    Floats,
    checked,
    diffuse_coherence,
    steering_vectors,
    unit_vectors,
)
from bayscribe.errors import BadUse, IntegrityError
from bayscribe.units import SAMPLE_RATE

Q15 = NDArray[np.int16]

TAPS = 128
"""Taps per microphone: 8 ms, enough for the shapes that apertures of 3 to 10 cm ask for."""

WNG_FLOOR_DB = -12.0
"""White-noise gain floor of the standard superdirective beam.

Chosen by intelligibility on far-field scenes; it lets microphones of the usual 1 dB and
a few degrees of mismatch lose little, and keeps self noise below a quiet room's level.
"""

_ONE = 1 << 15
_DESIGN_STEP_DB = 1.0


@dataclass(frozen=True, slots=True)
class WeightSet:
    """Filters of one beam.

    Attributes:
        q15: int16 (mics, taps), read-only; 32768 stands for one.
        describe: what it was designed for, for people; not part of the digest.
    """

    q15: Q15
    describe: str = ""
    sha256: bytes = field(init=False)

    def __post_init__(self) -> None:
        if self.q15.dtype != np.int16 or self.q15.ndim != 2 or 0 in self.q15.shape:
            raise BadUse(
                f"beam weights are {self.q15.dtype} {self.q15.shape}, expected int16 (mics, taps)"
            )
        own = np.ascontiguousarray(self.q15).copy()
        own.setflags(write=False)
        object.__setattr__(self, "q15", own)
        object.__setattr__(self, "sha256", digest(self.data, own.shape[0]))

    @property
    def data(self) -> bytes:
        """The filters as little-endian int16 in C order (mics, taps)."""
        return self.q15.astype("<i2").tobytes()

    @property
    def record(self) -> bytes:
        """The bytes that the digest is over: what travels with the audio."""
        return struct.pack("<II", self.mics, self.taps) + self.data

    @property
    def mics(self) -> int:
        """Number of microphones."""
        return int(self.q15.shape[0])

    @property
    def taps(self) -> int:
        """Number of taps per microphone."""
        return int(self.q15.shape[1])

    @property
    def delay(self) -> int:
        """Samples of latency that the beam takes out again: the same for any design."""
        return self.taps // 2

    @classmethod
    def from_data(cls, data: bytes, mics: int, sha256: bytes | None = None) -> "WeightSet":
        """Rebuild a recorded set.

        Raises:
            IntegrityError: it is not a whole number of taps, or not what ``sha256`` says.
        """
        if mics < 1 or not data or len(data) % (2 * mics):
            raise IntegrityError(
                f"{len(data)} bytes are no weight set of {mics} microphones",
                "the record is damaged or belongs to another array",
            )
        built = cls(np.frombuffer(data, dtype="<i2").astype(np.int16).reshape(mics, -1), "recorded")
        if sha256 is not None and built.sha256 != sha256:
            raise IntegrityError(
                "a recorded weight set does not match its digest",
                "the record was altered or damaged: do not trust the beam made with it",
            )
        return built


def digest(data: bytes, mics: int) -> bytes:
    """SHA-256 of a weight set's bytes and shape, as this module's docstring defines it."""
    return hashlib.sha256(struct.pack("<II", mics, len(data) // (2 * mics)) + data).digest()


def quantised(filters: Floats, describe: str) -> WeightSet | None:
    """Filters as Q15, each tap rounded to the nearest, or None if one does not fit.

    A tap of exactly one, which a single microphone has, becomes 32767.

    Args:
        filters: float64 (mics, taps).
        describe: what they are.
    """
    scaled = np.rint(filters * _ONE)
    if np.abs(scaled).max() > _ONE:
        return None
    return WeightSet(np.minimum(scaled, _ONE - 1).astype(np.int16), describe)


def minimum_variance(
    covariance: Complexes | Floats,
    steering: Complexes,
    wng_floor_db: float,
    taps: int,
    describe: str,
) -> WeightSet:
    """Quantised minimum-variance distortionless weights.

    A tap of one or more does not fit Q15; then the white-noise gain floor is raised by
    1 dB at a time until all fit, which delay-and-sum always does.

    Args:
        covariance: (F, M, M) of the noise on the design grid.
        steering: complex128 (F, M) on the design grid; zeros for a microphone that is
            not to be used.
        wng_floor_db: least white-noise gain, dB.
        taps: taps per microphone.
        describe: what it is for.
    """
    floor = wng_floor_db
    used = np.flatnonzero(np.abs(steering).max(axis=0) > 0)
    while True:
        response = np.zeros_like(steering)
        response[:, used] = mvdr_response(covariance[:, used][:, :, used], steering[:, used], floor)
        made = quantised(
            distortionless_filters(response, steering, taps),
            f"{describe}, WNG >= {floor:.0f} dB",
        )
        if made is not None:
            return made
        floor += _DESIGN_STEP_DB


def steering_on_grid(
    mics: Floats,
    azimuth_deg: float,
    elevation_deg: float,
    active: Sequence[bool] | None = None,
    sample_rate: int = SAMPLE_RATE,
) -> Complexes:
    """Steering vector on the design grid: complex128 (F, M), zero for inactive microphones."""
    towards = unit_vectors(np.array([azimuth_deg]), np.array([elevation_deg]))
    vector: Complexes = steering_vectors(checked(mics), towards, design_frequencies(sample_rate))[0]
    if active is not None:
        if not any(active):
            raise BadUse("a beam needs at least one working microphone")
        vector *= np.asarray(active, dtype=float)
    return vector


def delay_and_sum(
    mics: Floats,
    azimuth_deg: float,
    elevation_deg: float = 0.0,
    taps: int = TAPS,
    *,
    active: Sequence[bool] | None = None,
    sample_rate: int = SAMPLE_RATE,
) -> WeightSet:
    """Align the wavefront and average: the most robust beam, the least selective one.

    Args:
        mics: float64 (M, 3), metres.
        azimuth_deg: look direction, degrees.
        elevation_deg: look direction out of the array's plane, degrees.
        taps: taps per microphone.
        active: which microphones work; all by default.
        sample_rate: Hz.
    """
    vector = steering_on_grid(mics, azimuth_deg, elevation_deg, active, sample_rate)
    identity = np.broadcast_to(np.eye(len(mics)), (len(vector), len(mics), len(mics)))
    name = f"delay-and-sum at {azimuth_deg:.1f}/{elevation_deg:.1f} deg"
    return minimum_variance(identity, vector, 0.0, taps, name)


def superdirective(
    mics: Floats,
    azimuth_deg: float,
    elevation_deg: float = 0.0,
    taps: int = TAPS,
    *,
    wng_floor_db: float = WNG_FLOOR_DB,
    active: Sequence[bool] | None = None,
    sample_rate: int = SAMPLE_RATE,
) -> WeightSet:
    """The best beam against a diffuse field at a stated robustness.

    Args:
        mics: float64 (M, 3), metres; any geometry. On a line of microphones the beam is
            a cone about it: a talker and his mirror image are passed alike.
        azimuth_deg: look direction, degrees.
        elevation_deg: look direction out of the array's plane, degrees.
        taps: taps per microphone.
        wng_floor_db: least white-noise gain at any frequency.
        active: which microphones work; all by default.
        sample_rate: Hz.
    """
    vector = steering_on_grid(mics, azimuth_deg, elevation_deg, active, sample_rate)
    coherence = diffuse_coherence(checked(mics), design_frequencies(sample_rate))
    name = f"superdirective at {azimuth_deg:.1f}/{elevation_deg:.1f} deg"
    return minimum_variance(coherence, vector, wng_floor_db, taps, name)


class SteeringGrid:
    """Superdirective weight sets on a grid of directions, each designed once.

    Args:
        mics: float64 (M, 3), metres.
        step_deg: spacing in azimuth.
        taps: taps per microphone.
        wng_floor_db: least white-noise gain.
        sample_rate: Hz.
    """

    def __init__(
        self,
        mics: Floats,
        step_deg: float = 5.0,
        taps: int = TAPS,
        wng_floor_db: float = WNG_FLOOR_DB,
        sample_rate: int = SAMPLE_RATE,
    ) -> None:
        self._mics = checked(mics)
        self._step = 360.0 / max(1, round(360.0 / step_deg))
        self._taps = taps
        self._floor = wng_floor_db
        self._rate = sample_rate
        self._design = lru_cache(maxsize=512)(self._designed)

    def at(
        self,
        azimuth_deg: float,
        elevation_deg: float = 0.0,
        active: tuple[bool, ...] | None = None,
    ) -> WeightSet:
        """The set whose look direction is nearest (elevation to 15 degrees)."""
        cell = round(azimuth_deg / self._step) % round(360.0 / self._step)
        return self._design(cell, round(elevation_deg / 15.0), active)

    def _designed(self, cell: int, height: int, active: tuple[bool, ...] | None) -> WeightSet:
        return superdirective(
            self._mics,
            cell * self._step,
            height * 15.0,
            self._taps,
            wng_floor_db=self._floor,
            active=active,
            sample_rate=self._rate,
        )

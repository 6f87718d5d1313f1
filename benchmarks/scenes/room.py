"""The bay: array, talkers' places, and image-source impulse responses.

Coordinates are metres in the room, x across, y from the head wall to the
curtain, z up. Impulse responses come from pyroomacoustics (Allen and Berkley's
image method); a talker's direct path has gain 1 at 1 m, as that simulator has it.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import pyroomacoustics as pra
from numpy.typing import NDArray

from benchmarks.scenes.levels import SAMPLE_RATE, Signal

Mount = Literal["ceiling", "shelf", "wall"]
Point = NDArray[np.float64]
"""float64 (3,), metres."""

BAY = (3.5, 4.5, 2.8)
"""The bay's size in metres."""

DEPARTMENT = (14.0, 11.0, 2.9)
"""The department around it: where the babble comes from."""

SPEED_OF_SOUND = 343.0
RADII = {4: 0.032, 6: 0.0463}
"""Circle radius in metres for each supported number of microphones."""

PLACES: dict[str, tuple[float, float, float]] = {
    "clinician": (2.50, 1.50, 1.62),
    "nurse": (0.75, 1.20, 1.50),
    "therapist": (2.55, 0.60, 1.55),
    "patient": (1.65, 0.90, 0.95),
    "visitor": (2.83, 3.26, 1.15),
}
"""Mouths around a bed whose head stands at the wall y = 0."""

SECOND_PLACE = (0.95, 3.15, 1.62)
"""Where the clinician walks to: the foot of the bed, at the workstation."""

pra.constants.set("rir_hpf_enable", False)
pra.constants.set("num_threads", 1)
FILTER_DELAY = int(pra.constants.get("frac_delay_length")) // 2
"""Samples by which the simulator delays everything; taken out again."""


@dataclass(frozen=True, slots=True)
class Array:
    """A circular array in the bay.

    Attributes:
        mics: float64 (mics, 3), room coordinates.
        centre: float64 (3,).
        axis_u: unit vector from the centre to microphone 0.
        axis_v: unit vector in the array's plane, 90 degrees on towards microphone 1.
        radius: metres.
        mount: what it hangs on.
    """

    mics: NDArray[np.float64]
    centre: Point
    axis_u: Point
    axis_v: Point
    radius: float
    mount: Mount

    def direction(self, point: Point) -> tuple[float, float]:
        """Azimuth (0 to 360) and elevation in degrees of a point in the array's coordinates."""
        d = point - self.centre
        x, y = float(d @ self.axis_u), float(d @ self.axis_v)
        z = float(d @ np.cross(self.axis_u, self.axis_v))
        azimuth = float(np.degrees(np.arctan2(y, x))) % 360.0
        return azimuth, float(np.degrees(np.arctan2(z, np.hypot(x, y))))


def make_array(mics: int, mount: Mount, rng: np.random.Generator) -> Array:
    """An array of 4 or 6 microphones somewhere sensible on its mount, turned at random."""
    yaw = rng.uniform(0.0, 2.0 * np.pi)
    jitter = rng.uniform(-0.15, 0.15, 3)
    if mount == "wall":
        # Flat on the wall x = 0 beside the bed; its plane is the wall's.
        centre = np.array([0.04, 2.1 + jitter[1], 1.7 + jitter[2]])
        across, up = np.array([0.0, 1.0, 0.0]), np.array([0.0, 0.0, 1.0])
    else:
        height = 2.55 if mount == "ceiling" else 1.75
        place = (1.75, 2.1) if mount == "ceiling" else (0.22, 2.1)
        lateral = jitter[0] if mount == "ceiling" else jitter[0] / 5.0
        centre = np.array([place[0] + lateral, place[1] + jitter[1], height + jitter[2] / 5.0])
        across, up = np.array([1.0, 0.0, 0.0]), np.array([0.0, 1.0, 0.0])
    axis_u = np.cos(yaw) * across + np.sin(yaw) * up
    axis_v = -np.sin(yaw) * across + np.cos(yaw) * up
    angle = 2.0 * np.pi * np.arange(mics) / mics
    radius = RADII[mics]
    offsets = np.outer(np.cos(angle), axis_u) + np.outer(np.sin(angle), axis_v)
    return Array(centre + radius * offsets, centre, axis_u, axis_v, radius, mount)


def place_talkers(roles: list[str], rng: np.random.Generator) -> dict[str, Point]:
    """A mouth for each role, within 12 cm of its usual place."""
    return {r: np.array(PLACES[r]) + rng.uniform(-0.12, 0.12, 3) for r in roles}


def _simulate(
    size: tuple[float, float, float], absorption: float, order: int, source: Point, mics: Point
) -> Signal:
    room = pra.ShoeBox(
        list(size), fs=SAMPLE_RATE, materials=pra.Material(absorption), max_order=order
    )
    room.add_source(source)
    room.add_microphone_array(mics.T)
    room.compute_rir()
    responses = [np.asarray(r[0], dtype=np.float64) for r in room.rir]
    longest = max(len(r) for r in responses)
    out = np.zeros((len(responses), longest))
    for row, response in zip(out, responses, strict=True):
        row[: len(response)] = response
    return out[:, FILTER_DELAY:]


def _reverberation_time(response: Signal) -> float:
    return float(pra.experimental.measure_rt60(response, fs=SAMPLE_RATE, decay_db=30))


@lru_cache(maxsize=16)
def _absorption(size: tuple[float, float, float], rt60: float) -> tuple[float, int, float]:
    """Absorption whose measured reverberation time is the wanted one, image order, and that time.

    Sabine's formula misses by a third in a shoebox with one low dimension, so it is only
    the start of a fixed-point search on the measured decay (T30).
    """
    absorption, _ = pra.inverse_sabine(rt60, list(size))
    order = min(60, int(np.ceil(SPEED_OF_SOUND * rt60 / min(size))) + 6)
    source = np.array(size) * (0.63, 0.31, 0.55)
    mic = np.array([np.array(size) * (0.36, 0.58, 0.71)])
    measured = rt60
    for _ in range(5):
        measured = _reverberation_time(_simulate(size, absorption, order, source, mic)[0])
        if abs(measured - rt60) < 0.01:
            break
        absorption = float(np.clip(absorption * measured / rt60, 0.02, 0.95))
    return absorption, order, measured


class Room:
    """A shoebox with a given reverberation time.

    Args:
        size: metres.
        rt60: wanted reverberation time in seconds.
    """

    def __init__(self, size: tuple[float, float, float], rt60: float) -> None:
        self.size = size
        self._absorption, self._order, self.rt60 = _absorption(size, rt60)
        self._keep = int(min(0.9, 1.3 * rt60) * SAMPLE_RATE)

    def responses(self, source: Point, mics: NDArray[np.float64]) -> Signal:
        """Impulse responses from a source to every microphone, float64 (mics, taps)."""
        full = _simulate(self.size, self._absorption, self._order, source, mics)
        kept: Signal = full[:, : self._keep]
        return kept

    def direct(self, source: Point, mic: Point) -> Signal:
        """The direct path alone, float64 (taps,)."""
        row: Signal = _simulate(self.size, self._absorption, 0, source, mic[np.newaxis])[0]
        return row

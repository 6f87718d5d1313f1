"""Claps from a known direction: identity, order and polarity of every channel.

Each clap reaches the microphones one after another. From the first milliseconds of it, before
any wall answers, the delays between channels are found (cross-correlation, interpolated);
a plane wave through the profile's geometry must explain them, come from where the operator
stands, and push all membranes the same way.
"""

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayscribe.audio.profiles import ArrayProfile
from bayscribe.commission.outcome import Live, Outcome
from bayscribe.stream import Block
from bayscribe.units import SAMPLE_RATE

CLAPS = 3
ABOVE_FLOOR_DB = 15.0
"""By which a clap rises above the room within 2 ms."""

SPEED_OF_SOUND = 343.2
MOST_BEARING_ERROR_DEG = 25.0
"""A person's feet are not a turntable; exchanged neighbours of a circle are 90 degrees off."""

MOST_DELAY_ERROR_S = 45e-6
"""RMS over the microphones: less than a sample; an exchange of neighbours makes 100 µs."""

_STEP = 32
_BEFORE, _LENGTH = 24, 96
_DEAD_TIME = SAMPLE_RATE // 4
_UPSAMPLE = 16
_GIVE_UP_S = 30.0
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Arrival:
    """One clap: delays against the first microphone in seconds, and polarity, by microphone."""

    delays: Floats
    signs: Floats


class ClapTest:
    """Waits for three claps from one direction.

    Args:
        profile: the array.
        azimuth_deg: where the operator stands, in the profile's coordinates.
    """

    def __init__(self, profile: ArrayProfile, azimuth_deg: float) -> None:
        self._profile = profile
        self._azimuth = azimuth_deg
        self._mics = profile.geometry
        self._kept = np.zeros((0, len(self._mics)))
        self._floor: float | None = None
        self._rest = 0
        self._heard = 0
        self._arrivals: list[Arrival] = []

    def push(self, block: Block) -> Outcome | None:
        """Take the next block."""
        self._heard += len(block.pcm)
        self._kept = np.concatenate([self._kept, block.pcm.astype(np.float64)])
        self._find()
        if len(self._arrivals) >= CLAPS:
            return self._outcome()
        if self._heard > _GIVE_UP_S * SAMPLE_RATE:
            return Outcome(
                False,
                f"{len(self._arrivals)} of {CLAPS} claps were heard in {_GIVE_UP_S:.0f} s",
                advice="Clap louder, one metre from the unit, with a second between two claps.",
            )
        return None

    def live(self) -> Live:
        """How far it is."""
        heard = len(self._arrivals)
        return Live(heard / CLAPS, f"{heard} of {CLAPS} claps heard")

    def _find(self) -> None:
        """Look for an onset in steps of 2 ms; keep what a later one may need."""
        at = _BEFORE
        while at + _STEP + _LENGTH <= len(self._kept):
            piece = self._kept[at : at + _STEP]
            power = float((piece**2).mean()) + 1.0
            floor = self._floor if self._floor is not None else power
            if self._rest > 0:
                self._rest -= _STEP
            elif self._floor is not None and power > floor * 10 ** (ABOVE_FLOOR_DB / 10):
                onset = at + int(np.abs(piece).max(axis=1).argmax())
                if onset + _LENGTH > len(self._kept):
                    break
                self._arrivals.append(arrival(self._kept[onset - _BEFORE : onset + _LENGTH]))
                self._rest = _DEAD_TIME
            else:
                self._floor = floor + 0.02 * (power - floor)
            at += _STEP
        self._kept = self._kept[max(0, at - _BEFORE) :]

    def _outcome(self) -> Outcome:
        delays = np.median([one.delays for one in self._arrivals], axis=0)
        signs = np.sign(np.sum([one.signs for one in self._arrivals], axis=0))
        azimuth, error = explain(self._mics, delays)
        off = abs((azimuth - self._azimuth + 180) % 360 - 180)
        inverted = [mic for mic, sign in enumerate(signs) if sign < 0]
        figures: dict[str, Any] = {
            "expected_azimuth_deg": self._azimuth,
            "azimuth_deg": round(azimuth, 1) % 360,
            "delay_error_us": round(1e6 * error, 1),
            "delays_us": [round(1e6 * float(delay), 1) for delay in delays],
            "inverted": list(inverted),
        }
        problems = []
        if inverted:
            problems.append(f"polarity of microphone {', '.join(map(str, inverted))} is reversed")
        if off > MOST_BEARING_ERROR_DEG or error > MOST_DELAY_ERROR_S:
            problems.append(self._order_in_words(delays, azimuth))
        words = "; ".join(problems) or (
            f"claps from {round(azimuth) % 360} degrees, delays within {1e6 * error:.0f} µs"
        )
        advice = "Check the profile and how the unit is turned; replace the array if it recurs."
        return Outcome(not problems, words, figures, advice if problems else "")

    def _order_in_words(self, delays: Floats, azimuth: float) -> str:
        """Which exchange of two channels would explain what was heard."""
        for first, second in itertools.combinations(range(len(self._mics)), 2):
            order = np.arange(len(self._mics))
            order[[first, second]] = order[[second, first]]
            exchanged = delays[order] - delays[order][0]
            bearing, error = explain(self._mics, exchanged)
            off = abs((bearing - self._azimuth + 180) % 360 - 180)
            if off < MOST_BEARING_ERROR_DEG and error < MOST_DELAY_ERROR_S:
                return f"microphones {first} and {second} have changed places"
        return f"claps come from {azimuth:.0f} degrees instead of {self._azimuth:.0f}"


def arrival(pcm: Floats) -> Arrival:
    """Delays and polarity of one clap: float64 (n, mics)."""
    x = pcm - pcm.mean(axis=0)
    n = 2 * len(x)
    spectra = np.fft.rfft(x, n, axis=0)
    hertz = np.fft.rfftfreq(n, 1 / SAMPLE_RATE)
    spectra[(hertz < 300) | (hertz > 6000)] = 0
    delays, signs = [], []
    for mic in range(x.shape[1]):
        cross = spectra[:, mic] * spectra[:, 0].conj()
        correlation = np.fft.irfft(cross, n * _UPSAMPLE)
        reach = _BEFORE * _UPSAMPLE
        near = np.concatenate([correlation[-reach:], correlation[: reach + 1]])
        peak = int(np.abs(near).argmax())
        delays.append((peak - reach) / (_UPSAMPLE * SAMPLE_RATE))
        signs.append(np.sign(near[peak]))
    found = np.array(signs)
    if found.sum() < 0:
        found = -found
    return Arrival(np.array(delays), found)


def explain(mics: Floats, delays: Floats) -> tuple[float, float]:
    """The plane wave that explains delays best: azimuth in degrees, RMS error in seconds."""
    apart = mics[1:, :2] - mics[0, :2]
    towards, *_ = np.linalg.lstsq(-apart / SPEED_OF_SOUND, delays[1:] - delays[0], rcond=None)
    length = float(np.hypot(*towards))
    if length > 1:
        towards = towards / length
    error = -apart @ towards / SPEED_OF_SOUND - (delays[1:] - delays[0])
    azimuth = float(np.degrees(np.arctan2(towards[1], towards[0])) % 360)
    return azimuth, float(np.sqrt((error**2).mean()))

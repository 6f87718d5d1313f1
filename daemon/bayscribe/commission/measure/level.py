"""Calibration of level, and the noise floor, both in dB SPL.

The sensitivity is what a sound of known level gives: of a 94 dB calibrator (1 Pa,
IEC 60942), or of any steady sound beside a sound level meter.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayscribe.audio.profiles import ArrayProfile
from bayscribe.commission.outcome import Live, Outcome
from bayscribe.health.acoustics import FRAME, dbfs
from bayscribe.stream import Block, Pcm

CALIBRATE_S = 5.0
NOISE_S = 10.0
STEADY_DB = 1.5
"""Standard deviation of the level over quarter seconds."""

PATIENCE = 4
"""Times CALIBRATE_S that the sound may take to become steady."""

MOST_FROM_PROFILE_DB = 6.0
MOST_SPREAD_DB = 6.0
FLOOR_RANGE_DB_SPL = (14.0, 65.0)
Floats = NDArray[np.float64]


class _Frames:
    """Levels of frames of 256 ms, and the frames themselves where they are needed."""

    def __init__(self, profile: ArrayProfile, seconds: float) -> None:
        self._profile = profile
        self.need = int(np.ceil(seconds * profile.sample_rate / FRAME))
        self._kept: list[Pcm] = []
        self._count = 0
        self.levels: list[Floats] = []
        self.power: Floats | None = None

    def push(self, block: Block) -> bool:
        """Take a block; whether it is enough."""
        self._kept.append(block.pcm)
        self._count += len(block.pcm)
        if self._count >= FRAME:
            pcm = np.concatenate(self._kept)
            whole = len(pcm) - len(pcm) % FRAME
            for start in range(0, whole, FRAME):
                self._frame(pcm[start : start + FRAME])
            self._kept, self._count = [pcm[whole:]], len(pcm) - whole
        return len(self.levels) >= self.need

    def _frame(self, pcm: Pcm) -> None:
        self.levels.append(dbfs(pcm))
        windowed = pcm * np.hanning(FRAME)[:, None]
        power: Floats = (np.abs(np.fft.rfft(windowed, axis=0)) ** 2).mean(axis=1)
        self.power = power if self.power is None else self.power + power

    def live(self, note: str) -> Live:
        latest = self.levels[-1] + self._profile.db_spl(0.0) if self.levels else np.zeros(0)
        shown = tuple(round(float(level), 1) for level in latest)
        return Live(min(1.0, len(self.levels) / self.need), note, shown)


class LevelCalibration:
    """Finds the sensitivity from a sound of known level.

    Args:
        profile: the array, with its maker's sensitivity.
        reference_db_spl: level of the sound at the array.
    """

    def __init__(self, profile: ArrayProfile, reference_db_spl: float) -> None:
        self._profile = profile
        self._reference = reference_db_spl
        self._frames = _Frames(profile, CALIBRATE_S)

    def push(self, block: Block) -> Outcome | None:
        """Take the next block; a sound that has not settled is waited for."""
        if not self._frames.push(block):
            return None
        steady = self._unsteadiness(self._window()) <= STEADY_DB
        patient = len(self._frames.levels) < PATIENCE * self._frames.need
        return self._outcome() if steady or not patient else None

    def _window(self) -> Floats:
        return np.array(self._frames.levels[-self._frames.need :])

    def _unsteadiness(self, levels: Floats) -> float:
        return float(np.median(levels.std(axis=0)))

    def live(self) -> Live:
        """How far it is."""
        return self._frames.live(f"keep {self._reference:g} dB steady")

    def _outcome(self) -> Outcome:
        levels = self._window()
        mean = 10 * np.log10((10 ** (levels / 10)).mean(axis=0))
        unsteady = self._unsteadiness(levels)
        sensitivity = float(np.median(mean)) - self._reference + 94.0
        stated = self._profile.sensitivity_dbfs_at_94db_spl
        spread = float(np.ptp(mean))
        figures: dict[str, Any] = {
            "reference_db_spl": self._reference,
            "sensitivity_dbfs_at_94db_spl": round(sensitivity, 2),
            "profile_sensitivity_dbfs_at_94db_spl": stated,
            "spread_db": [round(float(level - np.median(mean)), 2) for level in mean],
            "unsteadiness_db": round(unsteady, 2),
        }
        if unsteady > STEADY_DB:
            words, advice = f"the sound wavers by {unsteady:.1f} dB", "Keep it steady; try again."
        elif abs(sensitivity - stated) > MOST_FROM_PROFILE_DB:
            words = f"sensitivity {sensitivity:.1f} dBFS, the profile says {stated:.1f}"
            advice = "Check the reading and the mixer; is it this array's profile?"
        elif spread > MOST_SPREAD_DB:
            words = f"the microphones differ by {spread:.1f} dB"
            advice = "Hold the source farther away; clean the microphones' holes."
        else:
            words = f"94 dB SPL is {sensitivity:.1f} dBFS ({sensitivity - stated:+.1f} dB)"
            return Outcome(True, words, figures)
        return Outcome(False, words, figures, advice)


class NoiseFloor:
    """The quiet room's level in dB SPL, and its octave bands.

    Args:
        profile: the array, calibrated.
    """

    def __init__(self, profile: ArrayProfile) -> None:
        self._profile = profile
        self._frames = _Frames(profile, NOISE_S)

    def push(self, block: Block) -> Outcome | None:
        """Take the next block."""
        return self._outcome() if self._frames.push(block) else None

    def live(self) -> Live:
        """How far it is."""
        return self._frames.live("keep the bay as quiet as it gets")

    def _outcome(self) -> Outcome:
        levels = np.array(self._frames.levels) + self._profile.db_spl(0.0)
        floor = np.quantile(levels, 0.1, axis=0)
        middle = float(np.median(floor))
        power = self._frames.power if self._frames.power is not None else np.ones(FRAME // 2 + 1)
        bands, weighted = self._bands(power, middle)
        figures: dict[str, Any] = {
            "floor_db_spl": [round(float(level), 1) for level in floor],
            "median_db_spl": round(middle, 1),
            "a_weighted_db": round(weighted, 1),
            "octaves_db_spl": bands,
        }
        low, high = FLOOR_RANGE_DB_SPL
        passed = low <= middle <= high
        words = f"noise floor {middle:.0f} dB SPL, {weighted:.0f} dB(A)"
        advice = "Switch off or move what makes noise beside the unit, or check its gain."
        return Outcome(passed, words, figures, "" if passed else advice)

    def _bands(self, power: Floats, level: float) -> tuple[dict[str, float], float]:
        """Octave levels that add up to the floor's, and their A-weighted sum."""
        hertz: Floats = np.fft.rfftfreq(FRAME, 1 / self._profile.sample_rate).astype(np.float64)
        heard = hertz > 40
        share = power / power[heard].sum()
        bands = {}
        for centre in (63, 125, 250, 500, 1000, 2000, 4000):
            inside = (hertz >= centre / 2**0.5) & (hertz < centre * 2**0.5)
            bands[str(centre)] = round(
                level + 10 * float(np.log10(max(share[inside].sum(), 1e-12))), 1
            )
        weighted = (share[heard] * 10 ** (a_weighting_db(hertz[heard]) / 10)).sum()
        return bands, level + 10 * float(np.log10(max(weighted, 1e-12)))


def a_weighting_db(hertz: Floats) -> Floats:
    """The A curve (IEC 61672-1, annex E), 0 dB at 1 kHz."""
    square = hertz**2
    gain = (12194.0**2 * square**2) / (
        (square + 20.6**2)
        * np.sqrt((square + 107.7**2) * (square + 737.9**2))
        * (square + 12194.0**2)
    )
    curve: Floats = 20 * np.log10(gain) + 2.0
    return curve

"""Levels, noise floor, gain spread and clock of the array, from the blocks that it gives.

A pure stage beside the channel check: driven by blocks, cheap enough to run for ever
(one variance per microphone and 256 ms). Levels are unweighted, from the profile's
sensitivity, of what is left when the mean is taken away.
"""

from collections import deque

import numpy as np
from numpy.typing import NDArray

from bayscribe.audio.profiles import ArrayProfile
from bayscribe.health.snapshot import ArrayView
from bayscribe.stream import Block, Gap, Pcm
from bayscribe.units import SampleIndex

FRAME = 4096
"""Samples of one frame: 256 ms, as in the channel check."""

FULL_SCALE = 32_768.0
_LEVEL_FRAMES = 4
_SPREAD_FRAMES = 117
_FLOOR_FRAMES = 234
_FLOOR_SHARE = 0.1
_SECOND = 1_000_000_000

CLOCK_PIECE_NS = 600_000_000
CLOCK_PIECES = 3
"""The clock is judged from three pieces in a row: a step in one of them is no drift."""

CLOCK_LEAST_PPM = 200.0
"""Slope that each piece must show, in the same direction."""

_QUIETEST = 1e-3
"""Samples RMS: below the rounding of 16 bits."""


class ClockSlope:
    """A drift of the array's clock that is gross enough to be seen within two seconds.

    Capture's own estimate takes 20 s and knows single ppm; this one knows only broken
    clocks, from the time of capture that every block carries.

    Args:
        rate: nominal, Hz.
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._marks: deque[tuple[int, int]] = deque()

    def push(self, first: SampleIndex, monotonic_ns: int) -> None:
        """Take the first frame of a block and when it was captured."""
        origin = monotonic_ns - int(first) * _SECOND // self._rate
        self._marks.append((monotonic_ns, origin))
        while self._marks[0][0] < monotonic_ns - CLOCK_PIECES * CLOCK_PIECE_NS:
            self._marks.popleft()

    def restart(self) -> None:
        """The stream was broken."""
        self._marks.clear()

    def ppm(self) -> float | None:
        """The drift, positive when fast; None unless it is gross and steady."""
        if len(self._marks) < 4 * CLOCK_PIECES:
            return None
        end = self._marks[-1][0]
        if end - self._marks[0][0] < (CLOCK_PIECES - 0.3) * CLOCK_PIECE_NS:
            return None
        marks = np.array(self._marks, dtype=np.float64)
        piece = np.clip((end - marks[:, 0]) // CLOCK_PIECE_NS, 0, CLOCK_PIECES - 1)
        slopes = [_slope(marks[piece == k]) for k in range(CLOCK_PIECES)]
        if any(slope is None for slope in slopes):
            return None
        ppm = np.array(slopes, dtype=np.float64)
        if np.abs(ppm).min() < CLOCK_LEAST_PPM or np.ptp(np.sign(ppm)) > 0:
            return None
        return float(np.median(ppm))


def _slope(marks: NDArray[np.float64]) -> float | None:
    """Slope of the origin over time, in ppm of the array's rate."""
    if len(marks) < 4:
        return None
    t = marks[:, 0] - marks[:, 0].mean()
    spread = float(t @ t)
    return -1e6 * float(t @ (marks[:, 1] - marks[0, 1])) / spread if spread else None


class ArrayWatch:
    """Follows the levels of an array and its clock.

    Args:
        profile: the array.
    """

    def __init__(self, profile: ArrayProfile) -> None:
        self._profile = profile
        self._clock = ClockSlope(profile.sample_rate)
        self._kept: list[Pcm] = []
        self._kept_frames = 0
        self._next = SampleIndex(0)
        self._dbfs: deque[NDArray[np.float64]] = deque(maxlen=_FLOOR_FRAMES)

    def push(self, block: Block) -> None:
        """Take the next block, of any size."""
        if block.first != self._next:
            self.restart()
        self._next = block.end
        if block.monotonic_ns:
            self._clock.push(block.first, block.monotonic_ns)
        self._kept.append(block.pcm)
        self._kept_frames += len(block.pcm)
        if self._kept_frames < FRAME:
            return
        pcm = np.concatenate(self._kept)
        whole = len(pcm) - len(pcm) % FRAME
        self._kept, self._kept_frames = [pcm[whole:]], len(pcm) - whole
        for start in range(0, whole, FRAME):
            self._dbfs.append(dbfs(pcm[start : start + FRAME]))

    def gap(self, gap: Gap) -> None:
        """The stream is broken here."""
        self.restart()
        self._next = SampleIndex(gap.first + gap.samples)

    def restart(self) -> None:
        """What was captured before does not join what comes; levels are kept."""
        self._kept, self._kept_frames = [], 0
        self._clock.restart()

    @property
    def drift_ppm(self) -> float | None:
        """A gross drift of the array's clock, or None."""
        return self._clock.ppm()

    def figures(self) -> ArrayView:
        """The acoustic figures, as a view of a present array."""
        if not self._dbfs:
            return ArrayView(present=True)
        frames = np.array(self._dbfs)
        to_spl = self._profile.db_spl(0.0)
        power = (10 ** (frames[-_LEVEL_FRAMES:] / 10)).mean(axis=0)
        recent = frames[-_SPREAD_FRAMES:]
        spread = np.median(recent - np.median(recent, axis=1, keepdims=True), axis=0)
        floor = np.quantile(frames, _FLOOR_SHARE, axis=0)
        return ArrayView(
            present=True,
            listened_s=len(frames) * FRAME / self._profile.sample_rate,
            levels_db_spl=_rounded(10 * np.log10(power) + to_spl),
            spread_db=_rounded(spread),
            floor_db_spl=_rounded(floor + to_spl),
        )


def dbfs(pcm: Pcm) -> NDArray[np.float64]:
    """RMS level of each microphone re full scale, int16 (n, mics), without its mean."""
    rms = np.asfortranarray(pcm).astype(np.float64).std(axis=0)
    level: NDArray[np.float64] = 20 * np.log10(np.maximum(rms, _QUIETEST) / FULL_SCALE)
    return level


def _rounded(values: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(round(float(value), 1) for value in values)

"""The array's own clock, as seen through CLOCK_MONOTONIC.

Counting the frames that were read says nothing about the ones that were not. This keeps
the line between frame index and monotonic time, so that whatever was lost in an overrun,
behind an unplugged cable or silently in the hardware can be sized by the clock. No clock
is read here: every observation is handed in.
"""

from collections import deque

from bayscribe.units import MonotonicNs, SampleIndex

SECOND = 1_000_000_000

_WINDOW_NS = 2 * SECOND
_DRIFT_SPAN_NS = 20 * SECOND
_DRIFT_STEP_NS = SECOND


class SampleClock:
    """The line ``time = origin + index / rate``.

    An observation is a time and how many frames had been captured by then. The hardware's
    pointer may lag behind (it moves in bursts) but never leads, so the origin is the least
    of the recent observations. It moves with the array's crystal: at 100 ppm and a window of
    2 s by 3 frames.

    Args:
        rate: nominal, Hz.
    """

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self._recent: deque[tuple[int, int]] = deque()
        self._steps: deque[tuple[int, int]] = deque()
        self._step_end = 0
        self._step_least = 0

    @property
    def is_running(self) -> bool:
        """Whether anything was observed, so that indices have a time."""
        return bool(self._recent)

    def observe(self, at: MonotonicNs, captured: int) -> None:
        """At time ``at`` the frames up to index ``captured`` (exclusive) had been captured."""
        origin = at - self._duration(captured)
        while self._recent and self._recent[-1][1] >= origin:
            self._recent.pop()
        self._recent.append((at, origin))
        while self._recent[0][0] < at - _WINDOW_NS:
            self._recent.popleft()
        self._follow_drift(at, origin)

    def _follow_drift(self, at: int, origin: int) -> None:
        if self._step_end == 0 or at >= self._step_end:
            if self._step_end:
                self._steps.append((self._step_end, self._step_least))
            while self._steps and self._steps[0][0] < at - _DRIFT_SPAN_NS:
                self._steps.popleft()
            self._step_end, self._step_least = at + _DRIFT_STEP_NS, origin
        self._step_least = min(self._step_least, origin)

    def lag(self, at: MonotonicNs, captured: int) -> int:
        """Frames by which an observation is behind the line; what is missing, if it lasts."""
        return self.index_at(at) - captured if self.is_running else 0

    def index_at(self, at: MonotonicNs) -> SampleIndex:
        """Index of the frame that is captured at a time.

        Raises:
            ValueError: nothing was observed yet.
        """
        return SampleIndex(round((at - self._origin()) * self.rate / SECOND))

    def time_of(self, index: SampleIndex) -> MonotonicNs:
        """CLOCK_MONOTONIC at which a frame was captured.

        Raises:
            ValueError: nothing was observed yet.
        """
        return MonotonicNs(self._origin() + self._duration(index))

    @property
    def drift_ppm(self) -> float | None:
        """How fast the array's clock runs against ours, once 20 s were seen; else None.

        Positive when it gives more frames than its nominal rate.
        """
        if len(self._steps) < _DRIFT_SPAN_NS // _DRIFT_STEP_NS - 2:
            return None
        (first, early), (last, late) = self._steps[0], self._steps[-1]
        return (early - late) / (last - first) * 1e6

    def forget_drift(self) -> None:
        """Start the drift estimate anew: the line has been broken."""
        self._steps.clear()
        self._step_end = 0

    def _duration(self, frames: int) -> int:
        return round(frames * SECOND / self.rate)

    def _origin(self) -> int:
        if not self._recent:
            raise ValueError("the clock has not been observed yet")
        return self._recent[0][1]

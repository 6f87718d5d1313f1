"""When a sample was captured, from the blocks' time stamps."""

from collections import deque

from bayscribe.segments.sealer import Moment
from bayscribe.stream import Block
from bayscribe.system import clock
from bayscribe.units import SAMPLE_RATE, MonotonicNs, SampleIndex

_KEPT_S = 30
"""Seconds of blocks that are remembered: longer than a segment and all look-ahead."""


class CaptureClock:
    """Maps sample indices to the clocks, once, at capture."""

    def __init__(self) -> None:
        self._marks: deque[tuple[int, int]] = deque()

    def note(self, block: Block) -> None:
        """Remember when a block's first frame was captured."""
        self._marks.append((int(block.first), block.monotonic_ns))
        while self._marks[0][0] < block.first - _KEPT_S * SAMPLE_RATE:
            self._marks.popleft()

    def moment(self, sample: SampleIndex) -> Moment:
        """When that sample was captured, on both clocks as they stand now."""
        mark = next((m for m in reversed(self._marks) if m[0] <= sample), None)
        if mark is None:
            return self.now()
        return self.at(
            MonotonicNs(mark[1] + (int(sample) - mark[0]) * 1_000_000_000 // SAMPLE_RATE)
        )

    def at(self, monotonic_ns: MonotonicNs) -> Moment:
        """A moment that has passed, on both clocks as they stand now."""
        now = clock.now()
        return Moment(monotonic_ns, now.wall_ns - (now.monotonic_ns - monotonic_ns), now.state)

    def now(self) -> Moment:
        """This moment."""
        now = clock.now()
        return Moment(now.monotonic_ns, now.wall_ns, now.state)

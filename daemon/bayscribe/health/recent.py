"""How much a counter has grown lately."""

from collections import deque

from bayscribe.health.snapshot import RECENT_S


class Recent:
    """Growth of a counter within a window; the first value seen is where it starts.

    Args:
        window_s: seconds.
    """

    def __init__(self, window_s: float = RECENT_S) -> None:
        self._window_s = window_s
        self._marks: deque[tuple[float, float]] = deque()
        self._last: float | None = None

    def add(self, now_s: float, value: float) -> float:
        """Note the counter's value; returns how much it grew within the window."""
        if self._last is not None and value > self._last:
            self._marks.append((now_s, value - self._last))
        self._last = value
        while self._marks and self._marks[0][0] < now_s - self._window_s:
            self._marks.popleft()
        return sum(grown for _, grown in self._marks)


class Largest:
    """The largest of some values, by magnitude, within a window.

    Args:
        window_s: seconds.
    """

    def __init__(self, window_s: float = RECENT_S) -> None:
        self._window_s = window_s
        self._marks: deque[tuple[float, float]] = deque()

    def add(self, now_s: float, value: float) -> float:
        """Note a value (0 for nothing); returns the largest within the window."""
        if value:
            self._marks.append((now_s, value))
        while self._marks and self._marks[0][0] < now_s - self._window_s:
            self._marks.popleft()
        return max((value for _, value in self._marks), key=abs, default=0.0)

"""The stretches of captured audio in which the unit hears itself.

Kept on CLOCK_MONOTONIC, which capture states for every block: playback and analysis run in
different threads, and the analysis may be behind.
"""

import threading
import time
from collections import deque
from collections.abc import Callable

TAIL_S = 0.3
"""Seconds after the last sample in which the room still rings: an emergency bay's
reverberation has fallen by 30 dB or more by then."""

LEAD_S = 0.05
"""Seconds before the first write: more than the error of a block's time."""

_KEPT = 16


class Duck:
    """Says of captured audio whether the unit was playing.

    Args:
        clock: CLOCK_MONOTONIC in ns.
    """

    def __init__(self, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._from: int | None = None
        self._past: deque[tuple[int, int]] = deque(maxlen=_KEPT)

    @property
    def active(self) -> bool:
        """Whether something is playing, the tail not counted."""
        return self._from is not None

    def begin(self) -> None:
        """Playback begins with the next write."""
        with self._lock:
            self._from = self._clock() - round(LEAD_S * 1e9)

    def end(self, sounds_for_s: float = 0.0) -> None:
        """Playback is over, or will be in ``sounds_for_s``: what the device still holds."""
        with self._lock:
            if self._from is not None:
                until = self._clock() + round((sounds_for_s + TAIL_S) * 1e9)
                self._past.append((self._from, until))
            self._from = None

    def covers(self, first_ns: int, end_ns: int) -> bool:
        """Whether any of the audio captured from ``first_ns`` to ``end_ns`` has our sound."""
        with self._lock:
            if self._from is not None and end_ns > self._from:
                return True
            return any(first_ns < until and end_ns > since for since, until in self._past)

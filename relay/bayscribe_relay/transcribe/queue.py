"""Devices with something to transcribe: each at most once, and with one worker at a time."""

import threading
from collections import deque


class DeviceQueue:
    """First come, first served; a device that is being worked on comes again afterwards."""

    def __init__(self) -> None:
        self._ready = threading.Condition()
        self._waiting: deque[str] = deque()
        self._busy: set[str] = set()
        self._again: set[str] = set()
        self._ended = False

    def put(self, device: str) -> None:
        """A device has more."""
        with self._ready:
            if device in self._busy:
                self._again.add(device)
            elif device not in self._waiting:
                self._waiting.append(device)
                self._ready.notify()

    def take(self) -> str | None:
        """The next device, once there is one; None at the end."""
        with self._ready:
            self._ready.wait_for(lambda: self._ended or self._waiting)
            if self._ended:
                return None
            device = self._waiting.popleft()
            self._busy.add(device)
            return device

    def done(self, device: str, *, again: bool) -> None:
        """A worker lets go of a device; ``again`` if there may be more."""
        with self._ready:
            self._busy.discard(device)
            if again or device in self._again:
                self._again.discard(device)
                self._waiting.append(device)
                self._ready.notify()

    def end(self) -> None:
        """Let every worker go."""
        with self._ready:
            self._ended = True
            self._ready.notify_all()

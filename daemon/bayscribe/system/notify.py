"""Notification of the service manager, and the watchdog that progress feeds.

A timer that feeds the watchdog proves that the timer runs. Here it is fed only when
capture *and* buffer have advanced since the last feeding; while no encounter is open
nothing is buffered, and advancing capture alone counts.
"""

from collections.abc import Callable
from dataclasses import dataclass

import systemd.daemon

Notify = Callable[[str], bool]


def notify(state: str) -> bool:
    """Tell the service manager ``state`` (sd_notify(3)); False if it could not be told."""
    try:
        return bool(systemd.daemon.notify(state))
    except OSError:
        return False


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the pipeline has come.

    Attributes:
        captured: frames read from the array, or recovery attempts while it is unplugged.
        buffered: samples made durable, or held because the disk refuses them.
        recording: whether audio must reach the buffer at present.
    """

    captured: int
    buffered: int
    recording: bool


class ProgressWatchdog:
    """Feeds the watchdog when, and only when, the pipeline's job got done.

    Args:
        send: how to tell the manager.
    """

    def __init__(self, send: Notify = notify) -> None:
        self._send = send
        self._last: Progress | None = None

    def observe(self, now: Progress) -> bool:
        """Feed the watchdog if everything advanced that must; return whether it was fed."""
        last = self._last
        if last is not None:
            captured = now.captured > last.captured
            buffered = now.buffered > last.buffered or not (now.recording and last.recording)
            if not (captured and buffered):
                if captured and now.recording and not last.recording:
                    self._last = now
                return False
        self._last = now
        return self._send("WATCHDOG=1")

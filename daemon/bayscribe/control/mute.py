"""The mute switch: one truth for button, command, relay and broker; it survives a restart."""

import logging
import threading
from pathlib import Path
from typing import Protocol

log = logging.getLogger("bayscribe.control")


class Muted(Protocol):
    """What is muted: capture."""

    def mute(self) -> None:
        """Discard what is captured."""

    def unmute(self) -> None:
        """End it."""

    @property
    def is_muted(self) -> bool:
        """Whether it is."""
        ...


class MuteSwitch:
    """Mutes at capture, at once, in whatever thread asks.

    Capture discards from the period on that is being captured, and writes a gap with the
    reason ``muted`` into the stream, so the chain says when and for how long.

    Args:
        capture: what is muted.
        memory: a file that exists while muted: a unit that was muted comes back muted.
    """

    def __init__(self, capture: Muted, memory: Path) -> None:
        self._capture = capture
        self._memory = memory
        self._lock = threading.Lock()
        if memory.exists():
            capture.mute()
            log.warning("muted, as before the restart")

    @property
    def is_muted(self) -> bool:
        """Whether capture is muted."""
        return self._capture.is_muted

    def set(self, muted: bool, by: str) -> None:
        """Mute or unmute; ``by`` is who asked, for the log. Capture first, disk after."""
        with self._lock:
            if muted:
                self._capture.mute()
            self._remember(muted)
            if not muted:
                self._capture.unmute()
        log.warning("muted" if muted else "unmuted", extra={"by": by})

    def toggle(self, by: str) -> None:
        """What a button does."""
        self.set(not self.is_muted, by)

    def _remember(self, muted: bool) -> None:
        try:
            if muted:
                self._memory.parent.mkdir(parents=True, exist_ok=True)
                self._memory.touch()
            else:
                self._memory.unlink(missing_ok=True)
        except OSError as error:
            log.warning("the mute will not survive a restart: %s", error.strerror)

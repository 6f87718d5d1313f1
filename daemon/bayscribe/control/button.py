"""The mute button: any key of a Linux input event device.

A ``struct input_event`` of the kernel (Documentation/input/input.rst) is the time as two
longs, then type and code as u16 and value as s32. Pressing (value 1) toggles; auto-repeat
(2) and release (0) do nothing. A device that goes away is waited for.
"""

import logging
import os
import select
import struct
import threading
from collections.abc import Callable
from pathlib import Path

EVENT = struct.Struct("@llHHi")
EV_KEY = 1
PRESSED = 1
_RETRY_S = 1.0
_POLL_MS = 200

log = logging.getLogger("bayscribe.control")


class Button:
    """Watches one input device in a thread of its own.

    Args:
        device: ``/dev/input/...``.
        pressed: called for every press.
    """

    def __init__(self, device: Path, pressed: Callable[[], None]) -> None:
        self._device = device
        self._pressed = pressed
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="button", daemon=True)
        self.present = False

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """End it."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        told = False
        while not self._stop.is_set():
            try:
                self._follow()
            except OSError as error:
                if not told:
                    log.warning("mute button: %s: %s", self._device, error.strerror)
                told = True
            self.present = False
            self._stop.wait(_RETRY_S)

    def _follow(self) -> None:
        descriptor = os.open(self._device, os.O_RDONLY | os.O_NONBLOCK)
        try:
            self.present = True
            poll = select.poll()
            poll.register(descriptor, select.POLLIN)
            held = b""
            while not self._stop.is_set():
                if not poll.poll(_POLL_MS):
                    continue
                try:
                    data = os.read(descriptor, EVENT.size * 16)
                except BlockingIOError:
                    continue
                if not data:
                    return
                held = self._events(held + data)
        finally:
            os.close(descriptor)

    def _events(self, data: bytes) -> bytes:
        whole = len(data) // EVENT.size * EVENT.size
        for _, _, kind, _, value in EVENT.iter_unpack(data[:whole]):
            if kind == EV_KEY and value == PRESSED:
                self._pressed()
        return data[whole:]

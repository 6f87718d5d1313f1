"""The light of a running unit, in a thread of its own: nobody ever waits for it."""

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from bayscribe.indicator.config import IndicatorConfig
from bayscribe.indicator.pattern import Light, frame
from bayscribe.indicator.rings import (
    Apa102Ring,
    ReSpeakerUsbRing,
    Ring,
    SpiWire,
    UsbPipe,
    Xvf3800Ring,
)

TICK_S = 0.5
_STOP_S = 2.0

log = logging.getLogger("bayscribe.indicator")


def ring_maker(config: IndicatorConfig) -> Callable[[], Ring] | None:
    """What opens the configured ring, or None."""
    match config.driver:
        case "none":
            return None
        case "apa102":
            return lambda: Apa102Ring(SpiWire(Path(config.spi)), config.leds)
        case "respeaker-usb-4mic-v2":
            return lambda: ReSpeakerUsbRing(UsbPipe("2886", "0018"))
        case "respeaker-xvf3800":
            return lambda: Xvf3800Ring(UsbPipe("2886", "001a"))


class Indicator:
    """Shows the newest state twice a second; a ring that fails is opened again.

    Args:
        make: opens the ring; None: there is none.
        brightness: 0 to 1.
        tick_s: seconds between frames.
    """

    def __init__(
        self, make: Callable[[], Ring] | None, brightness: float, tick_s: float = TICK_S
    ) -> None:
        self._make = make
        self._brightness = brightness
        self._tick_s = tick_s
        self._light = Light.IDLE
        self._wake = threading.Event()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="indicator", daemon=True)
        self.status = "none" if make is None else "starting"
        """``none``, ``starting``, ``ok`` or ``failed``: for state file and health."""

    def start(self) -> None:
        """Begin to shine."""
        if self._make is not None:
            self._thread.start()

    def show(self, light: Light) -> None:
        """From any thread, never waiting."""
        if light is not self._light:
            self._light = light
            self._wake.set()

    def stop(self) -> None:
        """Go dark. A driver that hangs is left behind."""
        self._ending.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(_STOP_S)

    def _run(self) -> None:
        while not self._ending.is_set():
            try:
                self._shine()
            except OSError as error:
                if self.status != "failed":
                    log.warning("the light cannot be reached: %s", error.strerror or error)
                self.status = "failed"
                self._ending.wait(4 * self._tick_s)

    def _shine(self) -> None:
        assert self._make is not None  # noqa: S101 - start() looks
        ring, tick = self._make(), 0
        try:
            while not self._ending.is_set():
                self._wake.clear()
                ring.show(self._light, frame(self._light, ring.leds, tick, self._brightness))
                self.status = "ok"
                self._wake.wait(self._tick_s)
                tick += 1
        finally:
            ring.close()

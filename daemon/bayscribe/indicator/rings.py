"""Drivers: from a frame to a board's own bytes, and the transports that carry them.

Sources: APA102 by its data sheet (start frame of 32 zero bits; per LED 111 and five bits
of brightness, then blue, green, red; as many clock edges after the last as half the LEDs).
ReSpeaker USB Mic Array v2.0 by the maker's wiki page "ReSpeaker USB 4 Mic Array LED Control
Protocol": vendor request 0 to the device, wIndex 0x1C, wValue the command, 6 = one colour
(r, g, b, 0) for each of twelve LEDs, 0x20 = brightness 0 to 31. ReSpeaker XVF3800 by the
maker's host control table: GPO servicer 20, commands 12 LED_EFFECT (0 off, 1 breath,
3 one colour), 13 LED_BRIGHTNESS, 16 LED_COLOR (u32 LE, 0xRRGGBB), same request with
wValue the command and wIndex the servicer.
"""

import ctypes
import fcntl
import os
import struct
from pathlib import Path
from typing import Protocol

from bayscribe.indicator.pattern import DARK, Colour, Frame, Light

VENDOR_OUT = 0x40
"""bmRequestType: to the device, vendor, out (USB 2.0, 9.3)."""

_TIMEOUT_MS = 200


class Ring(Protocol):
    """A ring of LEDs."""

    leds: int

    def show(self, light: Light, colours: Frame) -> None:
        """Show it.

        Raises:
            OSError: the ring cannot be reached.
        """
        ...

    def close(self) -> None:
        """Give the device back."""
        ...


class ControlPipe(Protocol):
    """A USB device's control endpoint."""

    def out(self, value: int, index: int, data: bytes) -> None:
        """One vendor request, :data:`VENDOR_OUT`, bRequest 0."""
        ...

    def close(self) -> None:
        """Give the device back."""
        ...


class Wire(Protocol):
    """A line that takes bytes."""

    def send(self, data: bytes) -> None:
        """Send them."""
        ...

    def close(self) -> None:
        """Give the device back."""
        ...


class Apa102Ring:
    """APA102 LEDs on an SPI line."""

    def __init__(self, wire: Wire, leds: int) -> None:
        self.leds = leds
        self._wire = wire

    def show(self, _light: Light, colours: Frame) -> None:
        """Brightness is in the colours; the LEDs' own five bits stay at full."""
        body = b"".join(bytes((0xFF, blue, green, red)) for red, green, blue in colours)
        self._wire.send(bytes(4) + body + bytes((len(colours) + 15) // 16))

    def close(self) -> None:
        """Dark, then closed."""
        self.show(Light.IDLE, (DARK,) * self.leds)
        self._wire.close()


class ReSpeakerUsbRing:
    """The twelve LEDs of the ReSpeaker USB Mic Array v2.0."""

    leds = 12
    _INDEX = 0x1C
    _SHOW, _BRIGHTNESS = 6, 0x20

    def __init__(self, pipe: ControlPipe) -> None:
        self._pipe = pipe
        pipe.out(self._BRIGHTNESS, self._INDEX, bytes((31,)))

    def show(self, _light: Light, colours: Frame) -> None:
        """Brightness is in the colours."""
        data = b"".join(bytes((*colour, 0)) for colour in colours)
        self._pipe.out(self._SHOW, self._INDEX, data)

    def close(self) -> None:
        """Dark, then closed."""
        self.show(Light.IDLE, (DARK,) * self.leds)
        self._pipe.close()


class Xvf3800Ring:
    """The ring of the ReSpeaker XVF3800, by the effects that every firmware has.

    It has one colour at a time: ``offline`` shows blue, shapes are lost but for the fault's
    blinking, and ``muted`` breathes.
    """

    leds = 1
    _SERVICER = 20
    _EFFECT, _BRIGHTNESS, _COLOR = 12, 13, 16
    _OFF, _BREATH, _ONE_COLOUR = 0, 1, 3

    def __init__(self, pipe: ControlPipe) -> None:
        self._pipe = pipe
        self._effect: int | None = None
        pipe.out(self._BRIGHTNESS, self._SERVICER, bytes((255,)))

    def show(self, light: Light, colours: Frame) -> None:
        """The first LED's colour is the ring's."""
        red, green, blue = colours[0]
        effect = self._effect_of(light, colours[0])
        if effect != self._OFF:
            number = red << 16 | green << 8 | blue
            self._pipe.out(self._COLOR, self._SERVICER, struct.pack("<I", number))
        if effect != self._effect:
            self._pipe.out(self._EFFECT, self._SERVICER, bytes((effect,)))
            self._effect = effect

    def _effect_of(self, light: Light, colour: Colour) -> int:
        if colour == DARK:
            return self._OFF
        return self._BREATH if light is Light.MUTED else self._ONE_COLOUR

    def close(self) -> None:
        """Dark, then closed."""
        self.show(Light.IDLE, (DARK,))
        self._pipe.close()


class SpiWire:
    """A ``spidev`` device in mode 0 at 1 MHz, written to without reading."""

    _MODE, _HERTZ = 0x40016B01, 0x40046B04
    """SPI_IOC_WR_MODE and SPI_IOC_WR_MAX_SPEED_HZ of linux/spi/spidev.h."""

    def __init__(self, device: Path) -> None:
        self._file = os.open(device, os.O_WRONLY)
        try:
            fcntl.ioctl(self._file, self._MODE, bytes((0,)))
            fcntl.ioctl(self._file, self._HERTZ, struct.pack("<I", 1_000_000))
        except OSError:
            os.close(self._file)
            raise

    def send(self, data: bytes) -> None:
        """One transfer."""
        os.write(self._file, data)

    def close(self) -> None:
        """Give the device back."""
        os.close(self._file)


class _Transfer(ctypes.Structure):
    """``struct usbdevfs_ctrltransfer`` of linux/usbdevice_fs.h."""

    _fields_ = (
        ("request_type", ctypes.c_uint8),
        ("request", ctypes.c_uint8),
        ("value", ctypes.c_uint16),
        ("index", ctypes.c_uint16),
        ("length", ctypes.c_uint16),
        ("timeout", ctypes.c_uint32),
        ("data", ctypes.c_void_p),
    )


class UsbPipe:
    """The control endpoint of a USB device through the kernel's usbfs.

    A vendor request to the device needs no interface, so the sound driver keeps the array.

    Raises:
        OSError: there is no such device, or it may not be opened.
    """

    _CONTROL = 3 << 30 | ctypes.sizeof(_Transfer) << 16 | ord("U") << 8
    """USBDEVFS_CONTROL: _IOWR('U', 0, struct usbdevfs_ctrltransfer)."""

    def __init__(
        self, vendor: str, product: str, sysfs: Path = Path("/sys/bus/usb/devices")
    ) -> None:
        self._file = os.open(find_usb(vendor, product, sysfs), os.O_RDWR)

    def out(self, value: int, index: int, data: bytes) -> None:
        """One vendor request."""
        buffer = ctypes.create_string_buffer(data, len(data))
        transfer = _Transfer(
            VENDOR_OUT, 0, value, index, len(data), _TIMEOUT_MS, ctypes.addressof(buffer)
        )
        fcntl.ioctl(self._file, self._CONTROL, transfer)

    def close(self) -> None:
        """Give the device back."""
        os.close(self._file)


def find_usb(vendor: str, product: str, sysfs: Path) -> Path:
    """The usbfs node of the first device with these hexadecimal ids.

    Raises:
        FileNotFoundError: none is plugged in.
    """
    for device in sorted(sysfs.glob("*")):
        try:
            ids = [(device / name).read_text().strip() for name in ("idVendor", "idProduct")]
            if ids == [vendor, product]:
                bus, number = (int((device / name).read_text()) for name in ("busnum", "devnum"))
                return Path(f"/dev/bus/usb/{bus:03d}/{number:03d}")
        except (OSError, ValueError):
            continue
    raise FileNotFoundError(2, f"no USB device {vendor}:{product}")

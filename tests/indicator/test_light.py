"""The light: what is shown, the makers' bytes, and that nobody waits for it."""

import struct
import threading
import time
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import pytest

from bayscribe.health.checks import indicator as check
from bayscribe.health.snapshot import Snapshot
from bayscribe.indicator.config import IndicatorConfig
from bayscribe.indicator.indicator import Indicator, ring_maker
from bayscribe.indicator.pattern import DARK, Frame, Light, frame, light_of
from bayscribe.indicator.rings import (
    Apa102Ring,
    ReSpeakerUsbRing,
    SpiWire,
    UsbPipe,
    Xvf3800Ring,
    find_usb,
)


class Pipe:
    """The control endpoint, noting what it is sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, int, bytes]] = []

    def out(self, value: int, index: int, data: bytes) -> None:
        self.sent.append((value, index, data))

    def close(self) -> None:
        pass


class Line:
    """The SPI line, likewise."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def send(self, data: bytes) -> None:
        self.sent.append(data)

    def close(self) -> None:
        pass


class FakeRing:
    leds = 4

    def __init__(self, broken: bool = False, hangs: threading.Event | None = None) -> None:
        self.broken = broken
        self.hangs = hangs
        self.shown: list[Light] = []

    def show(self, light: Light, _colours: Frame) -> None:
        if self.hangs is not None:
            self.hangs.wait()
        if self.broken:
            raise OSError(5, "Input/output error")
        self.shown.append(light)

    def close(self) -> None:
        self.shown.append(Light.IDLE)


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_no_two_states_look_alike_even_without_colour() -> None:
    def shape(light: Light) -> tuple[tuple[bool, ...], ...]:
        return tuple(
            tuple(colour == DARK for colour in frame(light, 12, tick, 1.0)) for tick in (0, 1)
        )

    for one, other in combinations(Light, 2):
        assert frame(one, 12, 0, 1.0) != frame(other, 12, 0, 1.0)
        if {one, other} != {Light.RECORDING, Light.OFFLINE}:
            assert shape(one) != shape(other)


def test_a_mute_and_a_fault_are_seen_at_any_brightness_and_the_rest_goes_dark() -> None:
    for light in Light:
        dark = all(colour == DARK for colour in frame(light, 12, 0, 0.0))
        assert dark is (light not in (Light.MUTED, Light.FAULT))


@pytest.mark.parametrize(
    ("state", "online", "light"),
    [
        ("recording", True, Light.RECORDING),
        ("recording", False, Light.OFFLINE),
        ("muted", False, Light.MUTED),
        ("fault", True, Light.FAULT),
        ("idle", True, Light.IDLE),
        ("nonsense", True, Light.FAULT),
    ],
)
def test_the_light_follows_the_state_file(state: str, online: bool, light: Light) -> None:
    assert light_of(state, online=online) is light


def test_apa102_gets_start_frame_blue_green_red_and_enough_clocks() -> None:
    line = Line()
    ring = Apa102Ring(line, 3)
    ring.show(Light.RECORDING, ((1, 2, 3), (4, 5, 6), (7, 8, 9)))
    assert line.sent == [bytes.fromhex("00000000 ff030201 ff060504 ff090807 00")]
    ring.close()
    assert line.sent[-1] == bytes.fromhex("00000000 ff000000 ff000000 ff000000 00")
    assert 8 * ((12 + 15) // 16) >= 12 / 2


def test_the_usb_array_gets_the_makers_show_command() -> None:
    pipe = Pipe()
    ring = ReSpeakerUsbRing(pipe)
    ring.show(Light.RECORDING, ((1, 2, 3),) * 12)
    assert pipe.sent == [(0x20, 0x1C, b"\x1f"), (6, 0x1C, b"\x01\x02\x03\x00" * 12)]


def test_the_xvf3800_gets_colour_and_effect_only_when_it_changes() -> None:
    pipe = Pipe()
    ring = Xvf3800Ring(pipe)
    pipe.sent.clear()
    for _ in range(2):
        ring.show(Light.RECORDING, ((0x11, 0x22, 0x33),))
    colour = (16, 20, struct.pack("<I", 0x112233))
    assert pipe.sent == [colour, (12, 20, b"\x03"), colour]
    ring.show(Light.FAULT, (DARK,))
    assert pipe.sent[-1] == (12, 20, b"\x00")
    ring.show(Light.MUTED, ((9, 0, 0),))
    assert pipe.sent[-1] == (12, 20, b"\x01")


def test_a_usb_device_is_found_by_its_ids(tmp_path: Path) -> None:
    for name, product in (("1-1", "0002"), ("1-2", "0018")):
        device = tmp_path / name
        device.mkdir()
        for file, text in (
            ("idVendor", "2886"), ("idProduct", product), ("busnum", "1"), ("devnum", "7"),
        ):  # fmt: skip
            (device / file).write_text(text + "\n")
    (tmp_path / "usb1").mkdir()
    assert find_usb("2886", "0018", tmp_path) == Path("/dev/bus/usb/001/007")
    with pytest.raises(FileNotFoundError):
        UsbPipe("2886", "001a", tmp_path)


def test_a_wire_that_is_no_spi_device_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r".*"):
        SpiWire(tmp_path / "none")
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r".*"):
        SpiWire(tmp_path / "file")


def test_every_driver_that_can_be_configured_can_be_made() -> None:
    assert ring_maker(IndicatorConfig()) is None
    for driver in ("apa102", "respeaker-usb-4mic-v2", "respeaker-xvf3800"):
        maker = ring_maker(IndicatorConfig(driver=driver, spi="/dev/none"))
        assert maker is not None


def test_the_newest_state_is_shown_and_the_ring_goes_dark_at_the_end() -> None:
    ring = FakeRing()
    light = Indicator(lambda: ring, 0.5, tick_s=0.01)
    light.start()
    light.show(Light.MUTED)
    until(lambda: Light.MUTED in ring.shown)
    assert light.status == "ok"
    light.stop()
    assert ring.shown[-1] is Light.IDLE


def test_a_ring_that_fails_is_a_notice_and_shines_again_once_it_can() -> None:
    ring = FakeRing(broken=True)
    light = Indicator(lambda: ring, 0.5, tick_s=0.01)
    light.start()
    until(lambda: light.status == "failed")
    assert [found.problem.code for found in check.look(Snapshot(indicator="failed"))] == [
        "indicator-dark"
    ]
    assert not list(check.look(Snapshot(indicator="ok")))
    ring.broken = False
    light.show(Light.RECORDING)
    until(lambda: light.status == "ok" and Light.RECORDING in ring.shown)
    light.stop()


def test_nobody_waits_for_a_driver_that_hangs() -> None:
    release = threading.Event()
    light = Indicator(lambda: FakeRing(hangs=release), 0.5, tick_s=0.01)
    light.start()
    for state in (Light.RECORDING, Light.MUTED) * 500:
        light.show(state)
    assert light.status == "starting"
    release.set()
    light.stop()

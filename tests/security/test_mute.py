"""Mute by button, command and relay: at capture, within a period, remembered, recorded."""

import contextlib
import os
import socket
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bayscribe.cli import main
from bayscribe.control.button import EV_KEY, EVENT, PRESSED, Button
from bayscribe.control.mute import MuteSwitch
from bayscribe.control.socket import ControlSocket, NotRunning, ask
from bayscribe.errors import BayscribeError
from bayscribe.vault.inspect import inspect
from bayscribe.wire.header import SegmentHeader
from hil.bay import EXCERPT, VOICE, Bay, profile_for


class Capture:
    def __init__(self) -> None:
        self.is_muted = False

    def mute(self) -> None:
        self.is_muted = True

    def unmute(self) -> None:
        self.is_muted = False


def until(condition: Callable[[], bool], patience_s: float = 60) -> None:
    end = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_muted_unit_comes_back_muted(tmp_path: Path) -> None:
    MuteSwitch(Capture(), tmp_path / "state" / "muted").set(True, "test")
    again = Capture()
    switch = MuteSwitch(again, tmp_path / "state" / "muted")
    assert switch.is_muted
    switch.toggle("test")
    assert [again.is_muted, switch.is_muted] == [False, False]
    after = Capture()
    MuteSwitch(after, tmp_path / "state" / "muted")
    assert not after.is_muted


def test_a_full_disk_does_not_keep_the_room_from_muting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    capture = Capture()
    MuteSwitch(capture, tmp_path / "file" / "muted").set(True, "test")
    assert capture.is_muted


def test_a_press_toggles_and_release_and_repeat_do_nothing(tmp_path: Path) -> None:
    device = tmp_path / "event0"
    os.mkfifo(device)
    presses: list[int] = []
    button = Button(device, lambda: presses.append(1))
    button.start()
    until(lambda: button.present)
    with device.open("wb", buffering=0) as pressed:
        data = b"".join(
            EVENT.pack(0, 0, kind, 248, value)
            for kind, value in ((EV_KEY, PRESSED), (0, 0), (EV_KEY, 2), (EV_KEY, 0), (EV_KEY, 1))
        )
        pressed.write(data[:10])
        pressed.write(data[10:])
        until(lambda: len(presses) >= 2)
    button.stop()
    assert len(presses) == 2


def test_a_button_that_is_not_there_costs_nothing(tmp_path: Path) -> None:
    button = Button(tmp_path / "none", lambda: None)
    button.start()
    button.stop()
    assert not button.present


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Path]:
    socket = ControlSocket(tmp_path, {"echo": lambda request: {"said": request["word"]}})
    socket.start()
    yield tmp_path
    socket.stop()


def test_the_socket_is_private_answers_and_refuses(served: Path) -> None:
    assert stat.S_IMODE((served / "control.sock").stat().st_mode) == 0o600
    assert ask(served, "echo", word="yes")["said"] == "yes"
    with pytest.raises(BayscribeError) as caught:
        ask(served, "record")
    assert caught.value.code == "unknown-request"


GARBAGE = [b"\n", b"[]\n", b"{}\n", b"\xff\xfe\n", b"x" * 9000 + b"\n", b""]


@pytest.mark.parametrize("garbage", GARBAGE)
def test_garbage_gets_an_answer_or_an_end_and_the_next_is_served(
    served: Path, garbage: bytes
) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(served / "control.sock"))
        connection.sendall(garbage)
        connection.shutdown(socket.SHUT_WR)
        connection.settimeout(20)
        with contextlib.suppress(ConnectionError):
            connection.recv(4096)
    assert ask(served, "echo", word="still here")["said"] == "still here"


def test_nobody_there_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(NotRunning):
        ask(tmp_path, "mute")


@pytest.mark.slow
def test_a_mute_of_a_running_unit_is_in_the_chain_and_in_the_state_file(tmp_path: Path) -> None:
    bay = Bay(tmp_path / "bay", profile_for(EXCERPT), VOICE)
    config = str(bay.unit / "bayscribe.toml")
    try:
        unit = bay.start_unit()
        bay.play(EXCERPT, "--at-end", "silence")
        assert main(["mute", "--config", config]) == 0
        until(lambda: bay.state()["state"] == "muted")
        frames = bay.state()["frames"]
        began = time.monotonic()
        until(lambda: time.monotonic() - began > 0.5)
        assert bay.state()["frames"] == frames
        assert main(["unmute", "--config", config]) == 0
        until(lambda: bay.state()["frames"] > frames + 3 * 16_000)
        unit.stop()
    finally:
        bay.stop()
    found = inspect(bay.unit / "state" / "buffer", None)
    gaps = [
        gap
        for header, _ in found.headers
        if isinstance(header, SegmentHeader)
        for gap in header.gaps
    ]
    assert any(gap.reason == "muted" and gap.samples > 4_000 for gap in gaps)

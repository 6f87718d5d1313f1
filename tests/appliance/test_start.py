"""The array is captured before the appliance is loaded, and nothing of that is lost."""

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event

import numpy as np
import pytest
import soundfile

from bayscribe.config import load_config
from bayscribe.daemon import Daemon
from bayscribe.listening import MUTED_FILE, Listening, array_of
from bayscribe.shedding import AT_START_S, Shedding
from bayscribe.stream import Block, Gap, GapReason
from bayscribe.units import MonotonicNs, SampleIndex
from bayscribe.vault.inspect import inspect
from bayscribe.wire.header import EncounterOpened, SegmentHeader
from hil.bay import EXCERPT, Bay, Service

SECONDS = 4
RATE = 16_000

HOLD = """\
import importlib.abc, os, pathlib, sys, time

class Hold(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "bayscribe.daemon":
            while not pathlib.Path({go!r}).exists():
                time.sleep(0.02)
        return None

sys.meta_path.insert(0, Hold())
"""
"""Holds up everything that is loaded behind capture, until a file is there."""


@pytest.fixture
def go(bay: Bay, tmp_path: Path) -> Iterator[Path]:
    """Lets a unit that is held up go on; at the end in any case, before the bay is stopped."""
    del bay
    yield tmp_path / "go"
    (tmp_path / "go").touch()


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    sound, rate = soundfile.read(EXCERPT, dtype="int16", frames=SECONDS * RATE)
    soundfile.write(tmp_path / "scene.flac", sound, rate)
    return tmp_path / "scene.flac"


def start_held_up(bay: Bay, go: Path, tmp_path: Path) -> Service:
    """A unit that captures and goes no further before ``go`` is there."""
    (tmp_path / "hold").mkdir()
    (tmp_path / "hold" / "sitecustomize.py").write_text(HOLD.format(go=str(go)))
    log = bay.folder / "appliance.log"
    environment = bay.environment | {"PYTHONPATH": str(tmp_path / "hold")}
    unit = bay.services["appliance"] = Service("appliance", bay.unit_command, log, environment)
    end = time.monotonic() + 60
    while "array opened" not in log.read_text():
        assert unit.process.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.02)
    return unit


@pytest.mark.slow
def test_what_is_heard_while_the_appliance_loads_is_recorded_and_analysed(
    bay: Bay, scene: Path, go: Path, tmp_path: Path
) -> None:
    bay.start_relay()
    unit = start_held_up(bay, go, tmp_path)
    bay.play(scene)
    go.touch()
    unit.await_ready()
    unit.stop()
    device = bay.closed_device()
    assert device["verified"] is True
    encounter = device["encounters"][-1]
    assert encounter["samples"] >= SECONDS * RATE
    assert encounter["gap_samples"] == 0
    assert encounter["segment_list"][0]["first_sample"] == 0
    assert bay.state()["shed_quanta"] == 0
    assert "is shed" not in unit.log.read_text()


@pytest.mark.slow
def test_a_unit_that_is_stopped_while_it_loads_keeps_what_it_has_heard(
    bay: Bay, scene: Path, go: Path, tmp_path: Path
) -> None:
    unit = start_held_up(bay, go, tmp_path)
    bay.play(scene)
    unit.process.send_signal(signal.SIGTERM)
    go.touch()
    assert unit.process.wait(60) == 0
    found = inspect(bay.unit / "state" / "buffer", None)
    headers = [header for header, _ in found.headers if isinstance(header, SegmentHeader)]
    assert sum(header.samples for header in headers) >= SECONDS * RATE


@pytest.mark.slow
def test_a_muted_unit_hears_nothing_from_the_first_sample_on(
    bay: Bay, scene: Path, go: Path, tmp_path: Path
) -> None:
    (bay.unit / "state").mkdir()
    (bay.unit / "state" / MUTED_FILE).touch()
    unit = start_held_up(bay, go, tmp_path)
    bay.play(scene)
    go.touch()
    unit.await_ready()
    unit.stop()
    found = inspect(bay.unit / "state" / "buffer", None)
    kept = [header for header, _ in found.headers if isinstance(header, SegmentHeader)]
    assert all(gap.reason == GapReason.MUTED.value for header in kept for gap in header.gaps)
    assert sum(header.samples for header in kept) == sum(
        gap.samples for header in kept for gap in header.gaps
    )


def test_what_was_heard_before_a_command_could_come_is_in_no_encounter(bay: Bay) -> None:
    file = bay.unit / "bayscribe.toml"
    file.write_text(file.read_text().replace('"always"', '"commanded"'))
    config = load_config(file)
    source = array_of(config, file)
    daemon = Daemon(config, file, Listening(source, MonotonicNs(time.monotonic_ns()), Event()))

    def hear(first: int) -> None:
        mics = soundfile.read(EXCERPT, dtype="int16", frames=RATE)[0]
        source._items.put(
            Block(SampleIndex(first), np.ascontiguousarray(mics), time.monotonic_ns())
        )

    hear(0)
    hear(RATE)
    daemon._forget_before_commands()
    daemon._open("adt")
    hear(2 * RATE)
    for item in source.read(0.0):
        daemon._take(item)
    daemon._close("adt")
    found = inspect(Path(config.unit.state_directory) / "buffer", None)
    kinds = [type(header) for header, _ in found.headers]
    assert kinds.count(EncounterOpened) == 1
    firsts = [h.first_sample for h, _ in found.headers if isinstance(h, SegmentHeader)]
    assert firsts
    assert min(firsts) >= 2 * RATE
    daemon._vault.close()


def test_a_consumer_takes_a_long_backlog_in_pieces(bay: Bay) -> None:
    source = array_of(load_config(bay.unit / "bayscribe.toml"), bay.unit / "bayscribe.toml")
    block: Callable[[int], Block] = lambda n: Block(  # noqa: E731 - one line of a test
        SampleIndex(n * RATE), np.zeros((RATE, 4), np.int16), 0
    )
    source._items.put(Gap(SampleIndex(0), 5, GapReason.MUTED))
    for n in range(5):
        source._items.put(block(n))
    source._produced = 5 * RATE
    assert len(source.read(0.0, 2.0)) == 3
    assert source.backlog_s == 3.0
    assert len(source.read(0.0)) == 3
    assert source.read(0.0) == []


def test_the_backlog_of_the_start_sheds_nothing_until_it_has_been_caught_up_with() -> None:
    slow = Shedding()
    assert not any(slow.due(backlog) for backlog in (9.0, 12.0, 6.0, 3.0))
    assert not slow.due(0.4)
    assert slow.due(2.1), "caught up once, any backlog counts"
    assert slow.due(0.6)
    assert not slow.due(0.4)


def test_no_start_may_use_up_what_capture_holds() -> None:
    shedding = Shedding()
    assert not shedding.due(AT_START_S)
    assert shedding.due(AT_START_S + 0.1)
    assert shedding.due(AT_START_S - 1.0)

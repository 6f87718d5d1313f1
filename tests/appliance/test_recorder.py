"""Sealed records and a disk that refuses them."""

from collections.abc import Callable

import numpy as np
import pytest

from bayscribe import recorder as recorder_module
from bayscribe.errors import StorageError
from bayscribe.recorder import Recorder
from bayscribe.segments.sealer import Moment, SealedRecord
from bayscribe.stream import Block, CutSegment
from bayscribe.system import clock
from bayscribe.timestamps import CaptureClock
from bayscribe.units import SampleIndex, WallNs
from bayscribe.vault.state import OpenEncounter
from bayscribe.wire.header import SegmentHeader, decode_header
from vault.vault_records import Unit


class Disk:
    """A buffer that refuses while ``full``."""

    def __init__(self) -> None:
        self.full = False
        self.records: list[SealedRecord] = []
        self.open_encounter: OpenEncounter | None = None

    def append(self, record: SealedRecord) -> None:
        if self.full:
            raise StorageError("no space", code="disk-full")
        self.records.append(record)


def _recorder(disk: Disk, stored: Callable[[], None] = lambda: None) -> Recorder:
    return Recorder(Unit().writer(), disk, stored)


def _cut(number: int) -> CutSegment:
    return CutSegment(SampleIndex(number * 160), np.zeros(160, np.int16))


def test_a_full_disk_loses_nothing_and_keeps_the_order() -> None:
    disk = Disk()
    recorder = _recorder(disk)
    recorder.open("tap", Moment())
    disk.full = True
    for number in range(20):
        recorder.segment(_cut(number), Moment())
    assert recorder.problem is not None
    assert recorder.held == 20
    disk.full = False
    recorder.close("stop", Moment())
    assert [record.seq for record in disk.records] == list(range(1, 23))
    assert recorder.problem is None


def test_what_neither_disk_nor_memory_holds_is_a_gap_of_the_next_segment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recorder_module, "MOST_HELD_BYTES", 1000)
    disk = Disk()
    recorder = _recorder(disk)
    recorder.open("tap", Moment())
    disk.full = True
    for number in range(10):
        recorder.segment(_cut(number), Moment())
    lost = recorder.lost_samples
    assert lost > 0
    disk.full = False
    recorder.retry()
    recorder.segment(_cut(10), Moment())
    recorder.close("stop", Moment())
    assert [record.seq for record in disk.records] == list(range(1, len(disk.records) + 1))
    last = decode_header(disk.records[-2].header)
    assert isinstance(last, SegmentHeader)
    assert [(gap.samples, gap.reason) for gap in last.gaps] == [(lost, "storage")]


def test_a_clock_that_jumps_by_a_year_changes_no_order_and_no_duration(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    marks = CaptureClock()
    start = clock.now()
    for number in range(20):
        at = start.monotonic_ns + number * 100_000_000
        marks.note(Block(SampleIndex(number * 1600), np.zeros((1600, 1), np.int16), at))
    before = marks.moment(SampleIndex(0))
    real = clock.now
    year = 365 * 86_400 * 1_000_000_000

    def jumped() -> clock.Instant:
        now = real()
        return clock.Instant(now.monotonic_ns, WallNs(now.wall_ns + year), "unsynchronised")

    monkeypatch.setattr(clock, "now", jumped)
    after = marks.moment(SampleIndex(16_000))
    assert after.monotonic_ns - before.monotonic_ns == 1_000_000_000
    assert after.wall_ns - before.wall_ns > year
    assert after.clock == "unsynchronised"

"""Capture through the real pyalsaaudio and libasound, from a recorded microphone."""

import threading
import time
from collections.abc import Callable

import numpy as np
import pytest

from audio.recorded_bay import RATE, OpenBay, circle, distinct, field, length, samples
from bayscribe.audio.alsa_stream import AlsaStream, Overrun
from bayscribe.audio.capture import CaptureSource, Item
from bayscribe.audio.channel_check import ChannelCheck
from bayscribe.audio.profiles import ArrayProfile
from bayscribe.audio.recorded_mic import Idle
from bayscribe.audio.sample_clock import SECOND, SampleClock
from bayscribe.errors import AudioFormatError, BayscribeError, CaptureError
from bayscribe.stream import Block, Fault, FaultCode, Gap, GapReason, Pcm
from bayscribe.units import MonotonicNs

PERIOD = 320


def until(condition: Callable[[], bool], what: str, timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"waited for {what}"
        time.sleep(0.005)


def read_until(source: CaptureSource, seen: Callable[[list[Item]], bool]) -> list[Item]:
    items: list[Item] = []
    deadline = time.monotonic() + 10
    while not seen(items):
        assert time.monotonic() < deadline
        items += source.read(0.05)
    return items


def displaced(items: list[Item], pcm: Pcm, mic: int = 0) -> list[int]:
    """By block: index given minus place in the recording, whose microphone 0 counts."""
    counted = {int(value): place for place, value in enumerate(pcm[:, mic])}
    return [
        item.first - counted[int(item.pcm[0, 0])]
        for item in items
        if isinstance(item, Block) and len(item.pcm)
    ]


@pytest.mark.parametrize(
    "profile",
    [
        circle(1),
        circle(2),
        circle(4),
        circle(4, alsa_channels=6, first_channel=1),
        circle(6, alsa_channels=8),
        circle(8),
    ],
    ids=lambda profile: f"{profile.alsa_channels}ch-{len(profile.microphones)}mics",
)
def test_every_sample_arrives_bit_exact_from_frame_zero(
    open_bay: OpenBay, profile: ArrayProfile
) -> None:
    bay = open_bay(profile)
    pcm = distinct(0.7, profile.alsa_channels)[:-77]
    source = bay.source()
    source.start()
    bay.play(pcm)
    items = bay.collect(source)
    assert np.array_equal(samples(items), pcm[:, profile.channels])
    assert length(items) == len(pcm)
    assert source.counters.overruns == 0
    assert bay.summary is not None
    assert (bay.summary.delivered, bay.summary.lost) == (len(pcm), 0)


def test_blocks_carry_the_time_of_their_first_frame(open_bay: OpenBay) -> None:
    bay = open_bay(circle(2))
    source = bay.source()
    source.start()
    before = time.monotonic_ns()
    bay.play(distinct(0.5, 2))
    blocks = [item for item in bay.collect(source) if isinstance(item, Block)]
    times = np.array([block.monotonic_ns for block in blocks])
    firsts = np.array([block.first for block in blocks])
    assert before < times[0] < times[-1] < time.monotonic_ns()
    assert np.abs((times - times[0]) / 1e9 - firsts / RATE).max() < PERIOD / RATE


def test_overrun_becomes_a_gap_sized_within_a_period(open_bay: OpenBay) -> None:
    bay = open_bay(circle(4))
    pcm = distinct(1.5, 4)
    source = bay.source()
    source.start()
    bay.play(pcm, "t=0.5 overrun 0.3")
    items = bay.collect(source)
    gaps = [item for item in items if isinstance(item, Gap)]
    assert [gap.reason for gap in gaps] == [GapReason.OVERRUN]
    assert gaps[0].first == RATE // 2
    assert gaps[0].samples > 0.3 * RATE
    assert max(abs(error) for error in displaced(items, pcm)) < PERIOD
    assert source.counters.overruns == 1
    assert length(items) >= len(pcm) - PERIOD


def test_late_reader_overruns_honestly(open_bay: OpenBay) -> None:
    bay = open_bay(circle(2), Idle.SILENCE)
    with AlsaStream(bay.profile, "bay", 160, 4) as stream:
        assert stream.wait(1.0)
        assert len(stream.read()) == 160
        deadline = time.monotonic() + 2 * stream.buffer_frames / RATE
        until(lambda: time.monotonic() > deadline, "the ring to run over")
        with pytest.raises(Overrun):
            stream.read()
        stream.read()
        assert stream.wait(1.0)
        assert len(stream.read()) == 160
    assert bay.microphone.progress().overruns == 1


def test_short_read_loses_nothing(open_bay: OpenBay) -> None:
    bay = open_bay(circle(4))
    pcm = distinct(0.6, 4)
    source = bay.source()
    source.start()
    bay.play(pcm, "t=0.2 short-read", "t=0.4 short-read")
    items = bay.collect(source)
    assert np.array_equal(samples(items), pcm)
    assert source.counters.short_reads >= 2
    assert bay.summary is not None
    assert bay.summary.short_reads == 2


def test_unplugged_and_replugged_array_recovers_by_itself(open_bay: OpenBay) -> None:
    bay = open_bay(circle(4))
    pcm = distinct(2.0, 4)
    source = bay.source()
    source.start()
    bay.play(pcm, "t=0.5 unplugged 0.4")
    items = bay.collect(source)
    gaps = [item for item in items if isinstance(item, Gap)]
    assert [gap.reason for gap in gaps] == [GapReason.UNPLUGGED]
    assert gaps[0].samples > 0.4 * RATE
    assert max(abs(error) for error in displaced(items, pcm)) < PERIOD
    assert source.counters.opens == 2


def test_time_goes_on_while_the_array_is_away(open_bay: OpenBay) -> None:
    bay = open_bay(circle(2))
    source = bay.source()
    source.start()
    bay.play(distinct(5.0, 2), "t=0.2 unplugged")
    items = read_until(source, lambda seen: any(isinstance(item, Gap) for item in seen))
    assert not source.is_plugged
    assert isinstance(source.problem, CaptureError)
    bay.microphone.plug_in()
    items += bay.collect(source)
    assert {item.reason for item in items if isinstance(item, Gap)} == {GapReason.UNPLUGGED}
    assert abs(length(items) - 5 * RATE) < PERIOD


def test_absent_array_is_waited_for(open_bay: OpenBay) -> None:
    bay = open_bay(circle(4))
    bay.microphone.unplug()
    source = bay.source()
    with pytest.raises(CaptureError) as refused:
        source.probe()
    assert "bay" in refused.value.line()
    source.start()
    until(lambda: source.problem is not None, "the refusal")
    assert source.read(0) == []
    pcm = distinct(0.3, 4)
    bay.play(pcm)
    bay.microphone.plug_in()
    assert np.array_equal(samples(bay.collect(source)), pcm)
    assert source.problem is None


def test_slow_consumer_loses_nothing(open_bay: OpenBay) -> None:
    bay = open_bay(circle(4))
    pcm = distinct(1.2, 4)
    source = bay.source()
    source.start()
    bay.play(pcm)
    until(lambda: bay.microphone.progress().finished, "the recording's end")
    assert source.backlog_s == pytest.approx(1.2)
    assert np.array_equal(samples(bay.collect(source)), pcm)
    assert source.backlog_s == 0


def test_only_a_full_backlog_drops_and_says_so(open_bay: OpenBay) -> None:
    bay = open_bay(circle(2))
    pcm = distinct(1.0, 2)
    source = bay.source(longest_backlog_s=0.4)
    source.start()
    bay.play(pcm)
    until(lambda: bay.microphone.progress().finished, "the recording's end")
    items = bay.collect(source)
    assert length(items) == len(pcm)
    dropped = [item for item in items if isinstance(item, Gap)]
    assert [gap.reason for gap in dropped] == [GapReason.OVERRUN]
    assert dropped[0].samples == source.counters.backlog_drops > 0.5 * RATE
    assert source.counters.overruns == 0


def test_mute_discards_from_the_period_being_captured(open_bay: OpenBay) -> None:
    bay = open_bay(circle(2))
    pcm = distinct(1.0, 2)
    source = bay.source()
    source.start()
    bay.play(pcm)
    items = read_until(source, lambda seen: length(seen) > 0.2 * RATE)
    source.mute()
    at = bay.microphone.progress().delivered
    items += read_until(source, lambda seen: any(isinstance(item, Gap) for item in seen))
    last = max(item.end for item in items if isinstance(item, Block))
    assert last <= at + PERIOD
    until(lambda: bay.microphone.progress().delivered > at + 0.2 * RATE, "muted frames")
    source.unmute()
    items += bay.collect(source)
    muted = [item for item in items if isinstance(item, Gap)]
    assert {gap.reason for gap in muted} == {GapReason.MUTED}
    assert sum(gap.samples for gap in muted) == source.counters.muted_frames > 0.2 * RATE
    assert length(items) == len(pcm)
    assert set(displaced(items, pcm)) == {0}


def test_samples_that_the_hardware_lost_without_a_word_become_a_gap(open_bay: OpenBay) -> None:
    bay = open_bay(circle(2))
    source = bay.source()
    source.start()
    pcm = distinct(0.3, 2)
    bay.play(pcm)
    items = read_until(source, lambda seen: length(seen) == len(pcm))
    deadline = time.monotonic() + 0.5
    until(lambda: time.monotonic() > deadline, "half a second without samples")
    bay.play(pcm)
    items += bay.collect(source)
    gaps = [item for item in items if isinstance(item, Gap)]
    assert [gap.reason for gap in gaps] == [GapReason.CLOCK]
    assert gaps[0].first == len(pcm)
    assert gaps[0].samples > 0.4 * RATE


def test_stop_gives_the_device_back(open_bay: OpenBay) -> None:
    bay = open_bay(circle(2), Idle.SILENCE)
    first, second = bay.source(), bay.source()
    first.start()
    read_until(first, lambda seen: len(seen) > 2)
    with pytest.raises(CaptureError, match="busy"):
        second.probe()
    first.stop()
    second.probe()
    assert not any(thread.name == "capture" for thread in threading.enumerate())


def test_device_of_another_array_is_refused_by_name(open_bay: OpenBay) -> None:
    open_bay(circle(4))
    with pytest.raises((AudioFormatError, CaptureError)) as refused:
        CaptureSource(circle(6), "bay").probe()
    assert isinstance(refused.value, BayscribeError)
    assert "bay" in refused.value.line()
    with pytest.raises(CaptureError, match="nowhere"):
        CaptureSource(circle(6), "nowhere").probe()


def test_faults_of_the_array_are_named_from_the_live_stream(open_bay: OpenBay) -> None:
    bay = open_bay(circle(4))
    pcm = field(4, 6.0)
    source = bay.source()
    source.start()
    bay.play(pcm, "t=1 dead 1", "t=3 repaired", "t=3.2 inverted 2")
    checker = ChannelCheck(bay.profile.geometry)
    faults = [
        (fault.code, fault.channel)
        for item in bay.collect(source)
        if isinstance(item, Block)
        for fault in checker.push(item)
        if not fault.cleared
    ]
    assert faults == [(FaultCode.DEAD, 1), (FaultCode.INVERTED, 2)]


def test_clock_that_drifts_is_a_fault_of_the_whole_array() -> None:
    source = CaptureSource(circle(2), "none")
    for step in range(2000):
        at = SECOND + step * SECOND // 50
        fast = 1.0006 if step < 1000 else 1.0
        source._clock.observe(MonotonicNs(at), round(at / SECOND * RATE * fast))
        source._watch_drift()
        if step == 1000:
            source._clock = SampleClock(RATE)
    faults = [item for item in source.read(0) if isinstance(item, Fault)]
    assert [(fault.code, fault.channel, fault.cleared) for fault in faults] == [
        (FaultCode.CLOCK_DRIFT, None, False),
        (FaultCode.CLOCK_DRIFT, None, True),
    ]
    assert float(faults[0].detail.split()[0]) == pytest.approx(600, abs=5)

"""Every fault that the recorded microphone can show, through the real ALSA, by its name."""

from dataclasses import replace

import pytest

from audio.recorded_bay import RATE, OpenBay, circle, field
from bayscribe.audio.capture import CaptureSource
from bayscribe.audio.channel_check import ChannelCheck
from bayscribe.audio.recorded_mic import Idle
from bayscribe.audio.replay import FAULTS
from bayscribe.health.acoustics import ArrayWatch
from bayscribe.health.facts import FactReader, Facts
from bayscribe.health.monitor import Monitor
from bayscribe.health.snapshot import ChannelFault, Snapshot
from bayscribe.stream import Block, Gap

pytestmark = pytest.mark.slow

WITHIN_S = 5.0
COUNTED = ("array-absent", "array-reopened", "sound-lost", "short-reads")
AHEAD_S = 1.5
"""Capture's counters run ahead of the sound that a busy machine has not yet taken from it,
and a gap moves what is played against the stream's own time."""

INJECTED = [
    ("dead 2", "microphone-dead", "2", 2.0),
    ("stuck 1", "microphone-stuck", "1", 2.0),
    ("inverted 3", "microphone-inverted", "3", 2.0),
    ("clipped 0", "microphone-clipped", "0", 2.0),
    ("dc 1 900", "microphone-dc", "1", 2.0),
    ("swapped 0 1", "microphones-swapped", "0", 14.0),
    ("swapped 1 3", "microphones-swapped", "3", 14.0),
    ("drift 1500", "array-clock-drift", "", 3.0),
    ("drift -1500", "array-clock-drift", "", 3.0),
    ("overrun 0.4", "sound-lost", "", 2.0),
    ("short-read", "short-reads", "", 2.0),
    ("unplugged", "array-absent", "", 2.0),
    ("unplugged 1.0", "array-reopened", "", 2.0),
]


def test_every_kind_of_fault_is_injected() -> None:
    kinds = {spec.split()[0] for spec, *_ in INJECTED}
    assert kinds == set(FAULTS) - {"repaired"}


class Listener:
    """What the daemon does with a source, on the array's own clock."""

    def __init__(self, source: CaptureSource) -> None:
        self.source = source
        self.check = ChannelCheck(source.profile.geometry)
        self.watch = ArrayWatch(source.profile)
        self.reader = FactReader()
        self.monitor = Monitor()
        self.at_s = 0.0
        self.named: dict[tuple[str, str], float] = {}

    def turn(self) -> None:
        items = self.source.read(0.1)
        for item in items:
            if isinstance(item, Block):
                self.at_s = item.end / RATE
                self.check.push(item)
                self.watch.push(item)
            elif isinstance(item, Gap):
                self.at_s = (item.first + item.samples) / RATE
                self.check.gap(item)
                self.watch.gap(item)
            self.judge()
        self.judge()

    def judge(self) -> None:
        counters = self.source.counters
        values = {
            "plugged": self.source.is_plugged,
            "overruns": counters.overruns,
            "gap_frames": counters.gap_frames,
            "short_reads": counters.short_reads,
            "real_time": True,
        }
        faults = tuple(ChannelFault(code, mic) for code, mic in self.check.faults)
        facts = Facts(values, faults, opens=counters.opens)
        figures = replace(self.watch.figures(), drift_ppm=self.watch.drift_ppm)
        view = self.reader.array(self.at_s, facts, figures)
        if not counters.frames:
            return
        for one in self.monitor.judge(self.at_s, Snapshot(array=view)).problems:
            self.named.setdefault((one.problem.code, one.subject), self.at_s)


@pytest.mark.parametrize(
    ("spec", "code", "subject", "at_s"), INJECTED, ids=[spec for spec, *_ in INJECTED]
)
def test_fault_is_named_within_five_seconds_of_audio(
    open_bay: OpenBay, spec: str, code: str, subject: str, at_s: float
) -> None:
    bay = open_bay(circle(4))
    source = bay.source()
    source.start()
    listener = Listener(source)
    bay.play(field(4, at_s + WITHIN_S + 1), f"t={at_s} {spec}", at_end=Idle.WAIT)
    while (code, subject) not in listener.named and listener.at_s < at_s + WITHIN_S:
        listener.turn()
    assert (code, subject) in listener.named, listener.named
    assert at_s - AHEAD_S <= listener.named[code, subject] <= at_s + WITHIN_S
    # A busy machine may lose sound of its own; nothing else may be named before its time.
    early = {key for key, seen in listener.named.items() if seen < at_s - AHEAD_S}
    assert {key for key in early if key[0] not in COUNTED} == set()

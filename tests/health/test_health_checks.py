"""Each check: what it finds, in which words, and that it does not flap."""

from dataclasses import replace

import pytest

from bayscribe.health.checks import CHECKS
from bayscribe.health.finding import Severity
from bayscribe.health.monitor import Monitor
from bayscribe.health.snapshot import (
    ArrayView,
    BoardView,
    BufferView,
    ChannelFault,
    ClockView,
    CommissioningView,
    DiskView,
    IdentityView,
    LinkView,
    LoadView,
    ModelsView,
    Snapshot,
)
from bayscribe.stream import FaultCode

ARRAY = ArrayView(
    present=True,
    listened_s=60.0,
    levels_db_spl=(55.0, 55.5, 54.8, 55.1),
    spread_db=(0.1, -0.4, 0.3, 0.0),
    floor_db_spl=(42.0, 42.0, 41.5, 42.3),
    drift_ppm=30.0,
    real_time=True,
)
HEALTHY = Snapshot(
    array=ARRAY,
    clock=ClockView(synchronised=True, frequency_ppm=12.0, year=2026),
    disk=DiskView(free_mib=9000.0, free_inodes_share=0.9, writable=True, life_used=0.1),
    buffer=BufferView(),
    board=BoardView(celsius=50.0),
    relay=LinkView(up=True),
    broker=LinkView(up=True),
    identity=IdentityView(days_left=300.0, days_valid=825.0),
    models=ModelsView(5),
    load=LoadView(),
    commissioning=CommissioningView(done=True),
)


def array(**changes: object) -> Snapshot:
    return replace(HEALTHY, array=replace(ARRAY, **changes))  # type: ignore[arg-type]  # by name


def fault(code: FaultCode, mic: int | None = 2) -> Snapshot:
    return array(faults=(ChannelFault(code, mic),))


FOUND: list[tuple[str, Snapshot]] = [
    ("array-absent", array(present=False, problem="cannot open hw:1")),
    ("array-format", array(present=False, format_refused=True)),
    ("array-reopened", array(reopened=2)),
    ("sound-stalled", array(silent_for_s=3.0)),
    ("sound-lost", array(overruns=1, gap_frames=1600)),
    ("short-reads", array(short_reads=1)),
    ("misaligned-reads", array(misaligned=1)),
    ("microphone-dead", fault(FaultCode.DEAD)),
    ("microphone-stuck", fault(FaultCode.STUCK)),
    ("microphones-swapped", fault(FaultCode.SWAPPED, None)),
    ("microphone-inverted", fault(FaultCode.INVERTED)),
    ("microphone-clipped", fault(FaultCode.CLIPPED)),
    ("microphone-dc", fault(FaultCode.DC)),
    ("gain-spread", array(spread_db=(0.0, 0.0, -9.0, 0.0))),
    ("noise-floor-low", array(floor_db_spl=(5.0, 6.0, 5.0, 5.0))),
    ("noise-floor-high", array(floor_db_spl=(80.0, 81.0, 80.0, 80.0))),
    ("array-clock-drift", array(drift_ppm=-900.0)),
    ("mixer-moved", array(mixer=("Mic: at [0] %, wanted 100",))),
    ("dsp-settings", array(dsp=("AGCONOFF: at 1, wanted 0",))),
    ("not-real-time", array(real_time=False)),
    ("clock-unsynchronised", replace(HEALTHY, clock=ClockView(synchronised=False))),
    ("clock-required", replace(HEALTHY, clock=ClockView(synchronised=False, required=True))),
    ("clock-absurd", replace(HEALTHY, clock=ClockView(synchronised=True, year=1970))),
    (
        "clock-drift",
        replace(HEALTHY, clock=ClockView(synchronised=True, frequency_ppm=-400.0)),
    ),
    ("clock-step", replace(HEALTHY, clock=ClockView(synchronised=True, step_s=-13.0))),
    ("disk-low", replace(HEALTHY, disk=DiskView(free_mib=300.0))),
    ("disk-out", replace(HEALTHY, disk=DiskView(free_mib=100.0))),
    ("disk-refuses", replace(HEALTHY, disk=DiskView(writable=False))),
    ("disk-inodes", replace(HEALTHY, disk=DiskView(free_inodes_share=0.01))),
    ("disk-worn", replace(HEALTHY, disk=DiskView(life_used=0.9))),
    ("disk-ending", replace(HEALTHY, disk=DiskView(end_of_life=True))),
    ("write-budget", replace(HEALTHY, disk=DiskView(written_gib_per_day=30.0))),
    ("buffer-deep", replace(HEALTHY, buffer=BufferView(level="warn", pending=9))),
    ("buffer-high", replace(HEALTHY, buffer=BufferView(level="high"))),
    ("buffer-full", replace(HEALTHY, buffer=BufferView(level="full"))),
    ("buffer-refused", replace(HEALTHY, buffer=BufferView(held_in_memory=3))),
    ("audio-lost", replace(HEALTHY, buffer=BufferView(lost_s=2.0))),
    ("buffer-damaged", replace(HEALTHY, buffer=BufferView(damaged=1))),
    ("temperature-warm", replace(HEALTHY, board=BoardView(celsius=78.0))),
    ("temperature-hot", replace(HEALTHY, board=BoardView(celsius=90.0))),
    ("throttled", replace(HEALTHY, board=BoardView(throttled=("under-voltage",)))),
    ("throttled-before", replace(HEALTHY, board=BoardView(throttled_before=("throttled",)))),
    ("relay-away", replace(HEALTHY, relay=LinkView(up=False, problem="no route"))),
    ("relay-refuses", replace(HEALTHY, relay=LinkView(up=True, alarm="relay-refused"))),
    ("broker-away", replace(HEALTHY, broker=LinkView(up=False))),
    ("telemetry-dropped", replace(HEALTHY, broker=LinkView(up=True, dropped=4))),
    (
        "certificate-ending",
        replace(HEALTHY, identity=IdentityView(days_left=10.0, days_valid=825.0)),
    ),
    ("certificate-ended", replace(HEALTHY, identity=IdentityView(days_left=-1.0))),
    ("identity-unusable", replace(HEALTHY, identity=IdentityView(problem="no such file"))),
    ("key-exposed", replace(HEALTHY, identity=IdentityView(key_exposed=True))),
    ("models-altered", replace(HEALTHY, models=ModelsView(5, ("speaker",)))),
    ("overload", replace(HEALTHY, load=LoadView(3.0, 0.1))),
    ("overload-far", replace(HEALTHY, load=LoadView(20.0, 0.0))),
    ("indicator-dark", replace(HEALTHY, indicator="failed")),
    ("not-commissioned", replace(HEALTHY, commissioning=CommissioningView(done=False))),
    (
        "commissioning-untrusted",
        replace(HEALTHY, commissioning=CommissioningView(done=True, problem="altered")),
    ),
    (
        "commissioning-drift",
        replace(HEALTHY, commissioning=CommissioningView(done=True, drift=("gain: 4 dB",))),
    ),
]


def test_a_healthy_unit_may_go_live() -> None:
    report = Monitor().judge(0.0, HEALTHY)
    assert report.problems == ()
    assert report.may_go_live
    assert [result.severity for result in report.results] == [Severity.OK] * len(CHECKS)


def test_what_nobody_looked_at_is_no_problem() -> None:
    assert Monitor().judge(0.0, Snapshot()).problems == ()


@pytest.mark.parametrize(("code", "snapshot"), FOUND, ids=[code for code, _ in FOUND])
def test_a_problem_is_named_alone_and_in_words(code: str, snapshot: Snapshot) -> None:
    report = Monitor().judge(0.0, snapshot)
    assert [one.problem.code for one in report.problems] == [code]
    said = report.problems[0]
    assert said.words
    assert said.problem.meaning.endswith(".")
    assert said.problem.what_to_do.endswith(".")
    assert report.may_go_live == (said.problem.severity < Severity.ALARM)


def test_every_problem_of_every_check_has_been_seen() -> None:
    every = [problem.code for check in CHECKS for problem in check.PROBLEMS]
    assert sorted(every) == sorted(code for code, _ in FOUND)
    assert len(set(every)) == len(every)


def test_the_network_does_not_spoil_the_units_own_work() -> None:
    away = replace(HEALTHY, relay=LinkView(up=False), clock=ClockView(synchronised=False))
    report = Monitor().judge(0.0, away)
    assert not report.may_go_live
    assert report.own_work_ok
    assert not Monitor().judge(0.0, fault(FaultCode.DEAD)).own_work_ok


def test_a_problem_must_last_before_it_is_said_and_be_away_before_it_is_taken_back() -> None:
    monitor = Monitor()
    away = replace(HEALTHY, relay=LinkView(up=False))
    said = []
    for second in range(120):
        snapshot = away if 10 <= second < 60 else HEALTHY
        report = monitor.step(float(second), snapshot)
        said.append("relay-away" in {one.problem.code for one in report.problems})
    assert said.index(True) == 40
    assert said.index(False, 41) == 64
    assert True not in said[64:]


def test_a_problem_that_comes_and_goes_is_said_once() -> None:
    monitor = Monitor()
    changes = 0
    before = False
    for second in range(200):
        snapshot = fault(FaultCode.DEAD) if second % 3 else HEALTHY
        now = bool(monitor.step(float(second), snapshot).problems)
        changes += now != before
        before = now
    assert changes == 1


def test_two_microphones_are_two_problems() -> None:
    both = array(faults=(ChannelFault(FaultCode.DEAD, 0), ChannelFault(FaultCode.DEAD, 3)))
    report = Monitor().judge(0.0, both)
    assert {one.subject for one in report.problems} == {"0", "3"}


def test_nothing_is_said_of_the_channels_of_an_array_that_is_away() -> None:
    away = array(present=False, faults=(ChannelFault(FaultCode.DEAD, 0),))
    assert [one.problem.code for one in Monitor().judge(0.0, away).problems] == ["array-absent"]

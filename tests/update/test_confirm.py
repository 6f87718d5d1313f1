import itertools
import json
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from bayscribe import resources
from bayscribe.health import report
from bayscribe.update.bootstate import BootState
from bayscribe.update.confirm import Outcome, confirm
from bayscribe.update.jobchecks import Check, JobChecks
from bayscribe.update.machine import Machine
from bayscribe.wire.seal import OpeningKey
from bayscribe_relay.pki.authority import Authority
from update.unit_places import RUNNING, boot_state, machine

PASS = Check("microphones", True, "")
FAIL = Check("microphones", False, "no array")


@pytest.fixture
def unit(tmp_path: Path) -> Machine:
    """A unit that runs a new system from slot B, on its second attempt."""
    made = machine(tmp_path, "b", RUNNING + 1)
    made.sector().write(BootState(first="b", a="good", b="2"))
    return made


def judged(
    unit: Machine, answers: Sequence[list[Check]], patience_s: float = 10.0
) -> tuple[Outcome, float]:
    """The outcome when the checks answer so, the last answer for ever; and how long it took."""
    now = [0.0]
    feed: Iterator[list[Check]] = itertools.chain(answers, itertools.repeat(answers[-1]))

    def wait(seconds: float) -> None:
        now[0] += seconds

    outcome, _ = confirm(unit, lambda: next(feed), patience_s, clock=lambda: now[0], wait=wait)
    return outcome, now[0]


def test_a_system_that_does_its_job_is_good_from_then_on(unit: Machine) -> None:
    assert judged(unit, [[PASS]])[0] is Outcome.GOOD
    assert boot_state(unit) == BootState(first="b", a="good", b="good")
    assert (unit.state / "floor").read_text() == str(RUNNING + 1)


def test_a_system_may_take_its_time(unit: Machine) -> None:
    outcome, took = judged(unit, [[FAIL], [FAIL], [FAIL, PASS], [PASS, PASS]])
    assert outcome is Outcome.GOOD
    assert 0 < took < 10


def test_a_system_that_never_does_its_job_gives_way_to_the_old_one(unit: Machine) -> None:
    assert judged(unit, [[PASS, FAIL]])[0] is Outcome.BAD
    assert boot_state(unit) == BootState(first="a", a="good", b="bad")
    assert boot_state(unit).starts() == "a"
    assert not (unit.state / "floor").exists()


def test_no_check_at_all_is_no_reason_to_believe_it(unit: Machine) -> None:
    assert judged(unit, [[]])[0] is Outcome.BAD


def test_a_settled_system_is_left_alone_whatever_its_checks_say(tmp_path: Path) -> None:
    unit = machine(tmp_path)
    before = (tmp_path / "boot").read_bytes()
    assert judged(unit, [[FAIL]])[0] is Outcome.SETTLED
    assert (tmp_path / "boot").read_bytes() == before


# -- the checks themselves


@pytest.fixture
def checks(unit: Machine) -> JobChecks:
    issued = Authority.create("test").device("bay-1")
    assert issued.key is not None
    (unit.unit / "device.crt").write_bytes(issued.pem())
    (unit.unit / "device.key").write_bytes(
        issued.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    (unit.unit / "relay-seal.pub").write_text(OpeningKey.generate().sealing_key().to_text())
    return JobChecks(unit, unit.unit / "device.key")


def told(unit: Machine, **values: object) -> None:
    """What the daemon's state file says."""
    state = {"state": "idle", "plugged": True, "faults": "", "problem": "", "frames": 0}
    state |= {"records": 7, "link": "down"} | values
    (unit.runtime / "state.json").write_text(json.dumps(state))
    healthy(unit)


def healthy(unit: Machine, *problems: report.ProblemEntry, age_s: float = 0.0) -> None:
    """What the daemon's health report says."""
    known = [("microphone_dead", True), ("relay", False)]
    checks = [report.CheckEntry(name=n, looks_at="", own=o, severity="ok") for n, o in known]
    own = {name for name, is_own in known if is_own}
    written = report.ReportEntry(
        source="daemon",
        device="bay-1",
        severity="alarm" if problems else "ok",
        may_go_live=not problems,
        own_work_ok=not any(problem.check in own for problem in problems),
        problems=problems,
        checks=tuple(checks),
        figures={},
        pid=1,
        boottime_s=time.clock_gettime(time.CLOCK_BOOTTIME) - age_s,
    )
    report.write(unit.runtime, written)


def problem(check: str) -> report.ProblemEntry:
    return report.ProblemEntry(
        check=check, code=f"{check}-code", severity="alarm", words="", meaning="", what_to_do=""
    )


def by_name(checks: JobChecks) -> dict[str, bool]:
    return {check.name: check.passed for check in checks.run()}


def test_an_idle_unit_passes_by_its_frames_its_networks_and_a_rehearsal(
    checks: JobChecks, unit: Machine
) -> None:
    told(unit, frames=1_000)
    assert not by_name(checks)["microphones"]
    told(unit, frames=2_000)
    assert by_name(checks) == dict.fromkeys(("microphones", "models", "sealing", "health"), True)
    assert not (unit.state / "rehearsal").exists()


def test_a_recording_unit_must_have_sealed_a_segment_of_its_own(
    checks: JobChecks, unit: Machine
) -> None:
    told(unit, state="recording", records=7)
    assert not by_name(checks)["sealing"]
    told(unit, state="recording", records=8)
    assert by_name(checks)["sealing"]


@pytest.mark.parametrize(
    "wrong",
    [{"plugged": False}, {"faults": "dead:2"}, {"problem": "capture"}, {"frames": 1_000}],
    ids=["no array", "a dead channel", "capture fails", "frames stand still"],
)
def test_microphones_that_do_not_deliver_fail(
    checks: JobChecks, unit: Machine, wrong: dict[str, object]
) -> None:
    told(unit, frames=1_000)
    checks.run()
    told(unit, **({"frames": 2_000} | wrong))
    assert not by_name(checks)["microphones"]


def test_the_units_own_health_counts_and_the_sites_does_not(
    checks: JobChecks, unit: Machine
) -> None:
    told(unit)
    healthy(unit, problem("relay"))
    assert by_name(checks)["health"]
    healthy(unit, problem("microphone_dead"), problem("relay"))
    (found,) = [check for check in checks.run() if check.name == "health"]
    assert (found.passed, found.found) == (False, "microphone_dead-code")
    healthy(unit, age_s=60.0)
    assert not by_name(checks)["health"]


def test_a_daemon_that_does_not_run_fails(checks: JobChecks) -> None:
    assert not by_name(checks)["microphones"]
    assert not by_name(checks)["health"]


def test_an_altered_network_fails(
    checks: JobChecks, unit: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "models"
    shutil.copytree(resources.models(), folder, ignore=shutil.ignore_patterns("recipes"))
    monkeypatch.setattr(resources, "models", lambda: folder)
    told(unit)
    assert by_name(checks)["models"]
    with (folder / "near.tflite").open("ab") as file:
        file.write(b"x")
    assert not by_name(checks)["models"]
    (folder / "near.tflite").unlink()
    assert not by_name(checks)["models"]


def test_a_key_that_does_not_belong_to_the_certificate_fails(
    checks: JobChecks, unit: Machine
) -> None:
    other = Authority.create("other").device("bay-1")
    (unit.unit / "device.crt").write_bytes(other.pem())
    told(unit)
    assert not by_name(checks)["sealing"]

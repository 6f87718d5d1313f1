import json
from pathlib import Path

import pytest

from bayscribe.cli import main
from bayscribe.commands import update
from bayscribe.errors import IntegrityError
from bayscribe.update.bootstate import BootState
from bayscribe.update.machine import Machine
from update.unit_places import RUNNING, machine

CONFIGURATION = """\
[unit]
site = "s"
bay = "b"
[array]
profile = "circle-4-32mm"
pcm = "bay"
[encounter]
mode = "{mode}"
[uplink]
url = "wss://relay:8443"
relay_ca = "relay-ca.crt"
certificate = "device.crt"
key = "device.key"
[seal]
relay_key = "relay-seal.pub"
"""


@pytest.fixture
def unit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = machine(tmp_path)
    monkeypatch.setattr(update, "Machine", lambda: made)
    return made


def test_status_tells_what_runs_and_what_starts_next(
    unit: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    unit.sector().write(BootState(first="b", a="good", b="2"))
    assert main(["update", "status", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["running"], told["starts_next"], told["release"]) == ("a", "b", RUNNING)
    assert main(["update", "status"]) == 0
    assert "slot b       2" in capsys.readouterr().out


def test_a_machine_without_slots_is_told_so_in_one_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["update", "status"]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "boot" in said


def test_nothing_staged_and_no_bundle_named(
    unit: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["update", "install"]) == 1
    assert "nothing is staged" in capsys.readouterr().err
    assert unit.sector().read() == BootState()


def test_staging_keeps_the_newest_and_never_the_only_copy_for_nothing(
    unit: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def checked(path: Path, _machine: Machine) -> None:
        if path.read_bytes() == b"foreign":
            raise IntegrityError("not of this unit's publisher", code="signature")

    monkeypatch.setattr(update, "_checked", checked)
    staged = unit.state / "staged"
    for name, content in (("one.raucb", b"1"), ("two.raucb", b"2"), ("bad.raucb", b"foreign")):
        (tmp_path / name).write_bytes(content)
    assert main(["update", "stage", str(tmp_path / "one.raucb")]) == 0
    assert main(["update", "stage", str(tmp_path / "two.raucb")]) == 0
    assert [path.read_bytes() for path in staged.iterdir()] == [b"2"]
    assert main(["update", "stage", str(staged / "two.raucb")]) == 0
    assert main(["update", "stage", str(tmp_path / "bad.raucb")]) == 1
    assert [path.name for path in staged.iterdir()] == ["two.raucb"]


def test_a_settled_system_is_confirmed_without_a_check(
    unit: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["update", "confirm"]) == 0
    assert capsys.readouterr().out == "settled\n"
    assert (unit.state / "floor").read_text() == str(RUNNING)


@pytest.mark.parametrize(
    ("mode", "state", "waits"),
    [
        ("commanded", "recording", True),
        ("commanded", "idle", False),
        ("always", "recording", False),
    ],
)
def test_a_visit_is_finished_before_the_restart(
    unit: Machine, mode: str, state: str, waits: bool
) -> None:
    (unit.unit / "bayscribe.toml").write_text(CONFIGURATION.format(mode=mode))
    (unit.runtime / "state.json").write_text(json.dumps({"state": state}))
    assert update._recording(unit) is waits

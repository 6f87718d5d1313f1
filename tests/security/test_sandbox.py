"""Every unit that is shipped, and every addition to one, stays within its exposure."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from hil.bay import REPOSITORY

UNITS = sorted((REPOSITORY / "systemd").glob("*.service"))
ADDITIONS = sorted((REPOSITORY / "systemd" / "dropins").glob("*.conf"))
LOOSEST = 1.5


def exposure(text: str, folder: Path, name: str) -> float:
    path = folder / name
    path.write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert found is not None, done.stderr
    return float(found[1])


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_exposure_of_every_shipped_unit_is_bounded(unit: Path, tmp_path: Path) -> None:
    assert exposure(unit.read_text(), tmp_path, unit.name) <= LOOSEST


def test_light_and_button_together_leave_the_appliance_within_its_bound(tmp_path: Path) -> None:
    text = (REPOSITORY / "systemd" / "bayscribe.service").read_text()
    added = "\n".join(path.read_text() for path in ADDITIONS)
    assert len(ADDITIONS) == 3
    assert exposure(text + "\n" + added, tmp_path, "bayscribe.service") <= LOOSEST


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_no_unit_reads_a_private_key_but_as_a_credential_or_from_its_own_state(unit: Path) -> None:
    for line in unit.read_text().splitlines():
        if re.search(r"\.key\b", line) and not line.startswith("#"):
            assert line.startswith(("LoadCredential", "ConditionPath")), line


def test_the_analyser_is_here() -> None:
    assert shutil.which("systemd-analyze") is not None

"""The C-CDA made of a note, judged by HL7's own Schematron for C-CDA R2.1."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from bayscribe_relay.writeback.cda import make_cda
from bayscribe_relay.writeback.note import read_note
from peers.independent import BUILT, node
from writeback.rig import a_note, encoded

NARRATIVE = """Seen at 02:10 with <her> husband & "son".
Chief Complaint: chest pressure
HPI
Eased by rest.

# Plan
Observation; cardiology in the morning."""


def document(sex: str) -> str:
    note = a_note(content=NARRATIVE, idempotency_key="01890000-0000-7000-8000-000000000001")
    note["patient"]["sex"] = sex
    return make_cda(read_note(encoded(note)))


def broken_rules(folder: Path, text: str) -> list[str]:
    path = folder / "document.xml"
    path.write_text(text)
    done = subprocess.run(
        [node(), str(BUILT / "ccda_validator.mjs"), str(path)],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    verdict: dict[str, Any] = json.loads(done.stdout)
    # The one rule that this validator cannot evaluate: every template id is one that C-CDA has.
    assert verdict["ignored"] <= 1
    errors: list[str] = verdict["errors"]
    return errors


@pytest.mark.parametrize("sex", ["female", "unknown"])
def test_a_document_keeps_every_rule(tmp_path: Path, sex: str) -> None:
    assert broken_rules(tmp_path, document(sex)) == []


def test_a_document_without_custodian_is_found_out(tmp_path: Path) -> None:
    text, removed = re.subn("<custodian>.*</custodian>", "", document("female"))
    assert removed == 1
    found = broken_rules(tmp_path, text)
    assert any("SHALL contain exactly one [1..1] custodian" in error for error in found)

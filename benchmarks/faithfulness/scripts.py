"""Scripted encounters: what is said in which second, and what is charted in which minute."""

from pathlib import Path
from typing import Any

import yaml
from msgspec.structs import replace

from bayscribe_relay.clinical.events import ClinicalEvent
from bayscribe_relay.clinical.speech import Utterance, Word
from bayscribe_relay.clinical.stays import Patient, Stay

FOLDER = Path(__file__).with_name("encounters")
NAMES = sorted(path.stem for path in FOLDER.glob("*.yaml"))
WORD_S = 0.25
MINUTE = 60 * 10**9
T0 = 1_790_000_000_000_000_000
STAY = Stay(id="5" * 32, site="demo", patient=Patient(mrn="M1"), visit_number="V1", arrived_ns=T0)


class Script:
    """One encounter.

    Attributes:
        stay: whose.
        spoken: its turns; a word written with ~ behind it was recognised with doubt.
        charted: all versions of its events.
        expects: what a reader looks for in the note.
    """

    def __init__(self, name: str) -> None:
        tree = yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
        self.spoken: list[Utterance] = [_turn(*row) for row in tree["said"]]
        self.charted: list[ClinicalEvent] = [_fact(dict(row)) for row in tree["charted"]]
        born = str(tree.get("born", ""))
        self.stay = replace(STAY, patient=replace(STAY.patient, birth_date=born))
        self.expects: list[str] = tree["expects"]


def _turn(second: int, speaker: str, text: str) -> Utterance:
    words = tuple(
        Word(w.rstrip("~"), second + n * WORD_S, second + (n + 1) * WORD_S,
             0.3 if w.endswith("~") else 0.95)
        for n, w in enumerate(text.split())
    )  # fmt: skip
    end = second + len(words) * WORD_S
    return Utterance(
        id=f"rec/{second}", device="bay-1", recording="rec", stay=STAY.id, start=float(second),
        end=end, start_ns=T0 + second * 10**9, end_ns=T0 + round(end * 1e9), speaker=speaker,
        primary=speaker == "clinician", confidence=0.9, first_seq=2, last_seq=2, words=words,
    )  # fmt: skip


def _fact(row: dict[str, Any]) -> ClinicalEvent:
    def at(key: str) -> int | None:
        return T0 + row.pop(key) * MINUTE if key in row else None

    minute = row["minute"]
    when = at("minute")
    assert when is not None
    values: dict[str, Any] = {
        "id": f"hl7:{row['concept']}:{minute}", "version": 1, "stay": STAY.id,
        "clinical_ns": when, "received_ns": when, "collected_ns": at("collected"),
        "end_ns": at("until"), "volume_ml": float(row.pop("ml", 0)),
    }  # fmt: skip
    return ClinicalEvent(**(values | row))

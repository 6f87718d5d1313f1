"""Stays for the composer, made by hand or at random."""

from pathlib import Path
from typing import Any

import yaml

from bayscribe_relay.clinical.events import ClinicalEvent
from bayscribe_relay.clinical.speech import Utterance, Word
from bayscribe_relay.clinical.stays import Patient, Stay

T0 = 1_790_000_000_000_000_000
MINUTE = 60 * 10**9
STAY = Stay(id="5" * 32, site="demo", patient=Patient(mrn="M1"), visit_number="V1", arrived_ns=T0)


def turn(
    number: int,
    speaker: str,
    text: str,
    probability: float = 0.95,
    **more: Any,  # noqa: ANN401 - fields of an utterance
) -> Utterance:
    words = tuple(
        Word(w, number + n / 100, number + (n + 1) / 100, probability)
        for n, w in enumerate(text.split())
    )
    at = T0 + number * 10**9
    return Utterance(
        id=f"r/{number}", device="bay-1", recording="r", stay=STAY.id, start=float(number),
        end=number + 0.9, start_ns=at, end_ns=at + 9 * 10**8, speaker=speaker,
        primary=speaker == "clinician", confidence=0.9, first_seq=2, last_seq=2, words=words,
        **more,
    )  # fmt: skip


def fact(
    kind: str,
    concept: str,
    minute: int,
    value: float | str | None = None,
    unit: str = "",
    **more: Any,  # noqa: ANN401 - fields of an event
) -> ClinicalEvent:
    at = T0 + minute * MINUTE
    if isinstance(value, str) and value.endswith(" mL"):
        more["volume_ml"], value = float(value[:-3]), None
    values: dict[str, Any] = {
        "id": f"hl7:{concept}:{minute}", "version": 1, "stay": STAY.id, "kind": kind,
        "concept": concept, "value": value, "unit": unit, "clinical_ns": at, "received_ns": at,
    }  # fmt: skip
    return ClinicalEvent(**(values | more))


def scripted() -> dict[str, tuple[list[ClinicalEvent], list[Utterance]]]:
    path = Path(__file__).with_name("encounters.yaml")
    return {
        one["id"]: (
            [fact(*row) for row in one["charted"]],
            [turn(5 * n, *row) for n, row in enumerate(one["said"])],
        )
        for one in yaml.safe_load(path.read_text())
    }

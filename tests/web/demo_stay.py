# ruff: noqa: E501 - the note's sentences stand on one line each, as they are read
"""A sepsis encounter as it would stand in a relay's store, to look at the pages with.

The recording, its script and who spoke when are those of the recorded scene; the chart's
facts, prompts and draft are written for it.
"""

import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import soundfile
from msgspec.structs import replace

from bayscribe_relay.clinical.drafts import Draft, Dropped, Link, Section, Sentence
from bayscribe_relay.clinical.events import ClinicalEvent
from bayscribe_relay.clinical.prompts import PromptCard
from bayscribe_relay.clinical.speech import Utterance, Word
from bayscribe_relay.clinical.stays import Binding, Clinician, Patient, Sex, Stay
from bayscribe_relay.clinical.store import ClinicalStore
from transcribe.stored_speech import Bay, cut

SCENE = Path(__file__).resolve().parents[1] / "scenes" / "sepsis-4mic-70db"
S = 10**9
MINUTE = 60 * S
NPI = "1234567893"
OKAFOR = Clinician(npi=NPI, family="Okafor", given="Adaeze", label="clinician")
RECORDING = "5e9515c0ffee00000000000000000001"
STAY = "01935a00000070008000000000000003"


def script() -> list[dict[str, Any]]:
    """Who said what when, in seconds of the recording."""
    turns: list[dict[str, Any]] = json.loads((SCENE / "script.json").read_text())["turns"]
    return turns


def beam() -> np.ndarray[Any, np.dtype[np.int16]]:
    """What one microphone of the scene heard, louder."""
    pcm, _ = soundfile.read(SCENE / "mics.flac", dtype="int16")
    loud = np.clip(pcm[:, 0].astype(np.int32) * 8, -32_768, 32_767)
    samples: np.ndarray[Any, np.dtype[np.int16]] = loud.astype(np.int16)
    return samples


def utterance(turn: dict[str, Any], start_ns: int) -> Utterance:
    """A turn of the script as the transcriber would have written it."""
    words: list[Word] = []
    for sentence in turn["sentences"]:
        texts = sentence["text"].split()
        step = (sentence["end"] - sentence["start"]) / len(texts)
        for n, text in enumerate(texts):
            at = sentence["start"] + n * step
            sure = 0.41 if text.strip(".,").lower() in ("crackles", "norepinephrine") else 0.93
            words.append(Word(text, round(at, 3), round(at + step, 3), sure))
    label = {"therapist": "respiratory-therapist"}.get(turn["talker"], turn["talker"])
    if turn["id"] == 6:
        label = "unknown-1"
    return Utterance(
        id=f"{RECORDING}/{turn['id']}",
        device="bay-1",
        recording=RECORDING,
        stay=STAY,
        start=turn["start"],
        end=turn["end"],
        start_ns=start_ns + round(turn["start"] * S),
        end_ns=start_ns + round(turn["end"] * S),
        speaker=label,
        primary=label == "clinician",
        confidence=0.5 if turn["id"] == 6 else 0.95,
        azimuth_deg=40.0,
        first_seq=2 + int(turn["start"] // 10),
        last_seq=2 + min(8, int(turn["end"] // 10)),
        words=tuple(words),
        model_sha256="ab" * 32,
    )


def stay(now_ns: int) -> Stay:
    return Stay(
        id=STAY,
        site="demo",
        patient=Patient(
            id="p1", mrn="M1048221", family="Marchetti", given="Elena",
            birth_date="1957-04-02", sex="female",
        ),
        visit_number="V1",
        fhir_id="e1",
        bay="bay 3",
        clinician=OKAFOR,
        arrived_ns=now_ns - 52 * MINUTE,
        reason="A04",
    )  # fmt: skip


def events(now_ns: int) -> list[ClinicalEvent]:
    facts: list[tuple[int, str, str, str, float | None, str, float]] = [
        (50, "vital", "temperature", "Temperature", 38.4, "Cel", 0),
        (50, "vital", "heart-rate", "Heart rate", 112.0, "/min", 0),
        (50, "vital", "resp-rate", "Respiratory rate", 26.0, "/min", 0),
        (49, "vital", "sbp", "Systolic pressure", 88.0, "mm[Hg]", 0),
        (45, "order", "blood-culture", "Blood culture, two sets", None, "", 0),
        (45, "order", "lactate", "Lactate", None, "", 0),
        (30, "vital", "weight", "Weight", 68.0, "kg", 0),
        (24, "lab", "lactate", "Lactate", 4.2, "mmol/L", 0),
        (22, "lab", "wbc", "White cells", 17.8, "10*3/uL", 0),
        (21, "lab", "creatinine", "Creatinine", 168.0, "umol/L", 0),
        (18, "med", "ceftriaxone", "Ceftriaxone 2 g IV given", None, "", 0),
        (10, "fluid", "crystalloid", "Lactated Ringer's", None, "", 2000),
    ]
    return [
        ClinicalEvent(
            id=f"hl7:DEMO:{n}:{concept}",
            version=1,
            stay=STAY,
            visit_number="V1",
            mrn="M1048221",
            kind=kind,
            concept=concept,
            code=concept,
            display=display,
            value=value,
            unit=unit,
            clinical_ns=now_ns - minutes * MINUTE,
            received_ns=now_ns - minutes * MINUTE,
            volume_ml=volume,
        )
        for n, (minutes, kind, concept, display, value, unit, volume) in enumerate(facts)
    ]


def prompts(now_ns: int) -> list[PromptCard]:
    def card(gap: str, title: str, text: str, minutes: int, **more: Any) -> PromptCard:  # noqa: ANN401 - fields of a card
        return PromptCard(
            id=f"{STAY}-{gap}", stay=STAY, gap=gap, title=title, text=text,
            minute=52 - minutes, fired_ns=now_ns - minutes * MINUTE, state="shown",
            shown_ns=now_ns - minutes * MINUTE, **more,
        )  # fmt: skip

    return [
        card(
            "sep1-sirs", "SIRS not stated",
            "Temperature 38.4 °C and heart rate 112 are charted. Consider stating the SIRS criteria.",
            20,
            explanation=(
                "Charted: temperature 38.4 °C, heart rate 112 /min, respiratory rate 26 /min",
                "Rule: two or more SIRS criteria, and sepsis is considered",
                "Said so far: nothing that names them",
            ),
        ),
        card(
            "sep1-fluids", "Fluids: 29.4 of 30 mL/kg",
            "2,000 mL for 68 kg is 29.4 mL/kg. 40 mL more reach 30 mL/kg, or say why not.",
            9,
            explanation=("Given: 2,000 mL lactated Ringer's", "Weight: 68 kg", "2,000 / 68 = 29.4"),
        ),
        card(
            "sep1-repeat-lactate", "Repeat lactate",
            "Lactate was 4.2 mmol/L. A repeat is due within 6 h of the first.",
            5,
            due_ns=now_ns + 280 * MINUTE,
            explanation=("Lactate 4.2 mmol/L is above 2 mmol/L", "No repeat has resulted"),
        ),
        msgspec.structs.replace(
            card("sep1-cultures", "Cultures before antibiotics", "Draw cultures first.", 40),
            state="answered", answered_by="voice", settled_ns=now_ns - 38 * MINUTE,
        ),
    ]  # fmt: skip


def draft(now_ns: int) -> Draft:
    def said(ident: str, text: str, turn: int) -> Sentence:
        spoken = script()[turn]
        link = Link(
            kind="utterance", ref=f"{RECORDING}/{turn}", start=spoken["start"], end=spoken["end"]
        )
        return Sentence(id=ident, text=text, origin="said", links=(link,))

    def charted(ident: str, text: str, *facts: int, **more: Any) -> Sentence:  # noqa: ANN401 - fields of a sentence
        listed = events(now_ns)
        links = tuple(Link(kind="event", ref=listed[n].id) for n in facts)
        return Sentence(id=ident, text=text, **{"origin": "charted", **more}, links=links)

    return Draft(
        stay=STAY,
        revision=4,
        composed_ns=now_ns,
        sections=(
            Section(loinc="10164-2", title="History of present illness", sentences=(
                said("hpi-1", "She has been shaking since this morning, with burning on passing water.", 1),
                said("hpi-2", "Pain on the left, just under the ribs.", 3),
                said("hpi-3", "No allergies; takes something for blood pressure.", 11),
            )),
            Section(loinc="8716-3", title="Vital signs", sentences=(
                charted("vit-1", "Temperature 38.4 °C, heart rate 112 /min, respiratory rate 26 /min: three SIRS criteria.", 0, 1, 2),
                charted("vit-2", "Systolic pressure 88 mmHg.", 3),
            )),
            Section(loinc="30954-2", title="Results", sentences=(
                charted("res-1", "Lactate 4.2 mmol/L; white cells 17.8 ×10³/µL; creatinine 168 µmol/L.", 7, 8, 9),
            )),
            Section(loinc="18776-5", title="Assessment and plan", sentences=(
                said("ap-1", "Worried about sepsis from the kidney; two sets of blood cultures and a lactate before antibiotics.", 5),
                charted("ap-2", "2,000 mL lactated Ringer's for 68 kg: 29.4 mL/kg.", 11, 6),
                said("ap-3", "Norepinephrine if the pressure stays low after the second litre.", 20),
                charted("icd-1", "Sepsis, unspecified organism (A41.9).", 7, 3, origin="suggestion"),
                charted("icd-2", "Severe sepsis without septic shock (R65.20): creatinine rise.", 9, origin="suggestion"),
            )),
        ),
        dropped=(Dropped(text="She denies chest pain.", reason="no words and no event say so"),),
    )  # fmt: skip


def decide(clinical: ClinicalStore) -> None:
    """Accept all of the draft that waits for a decision: it can be signed."""
    before = clinical.draft(STAY)
    assert before is not None
    sections = tuple(
        replace(
            section,
            sentences=tuple(
                replace(s, outcome="accepted" if s.outcome == "open" else s.outcome)
                for s in section.sentences
            ),
        )
        for section in before.sections
    )
    clinical.put_draft(replace(before, revision=before.revision + 1, sections=sections))


def fill(folder: Path, now_ns: int, turns: int | None = None, *, audio: bool = True) -> Bay:
    """A store in ``folder`` with the encounter in it.

    Args:
        folder: where the database stands.
        now_ns: the present, 20 minutes after the recording began.
        turns: how many turns are transcribed; all by default.
        audio: whether the recording itself is there.
    """
    bay = Bay(folder)
    start_ns = now_ns - 20 * MINUTE
    bay.open(RECORDING, start_ns)
    if audio:
        bay.record(cut(beam(), [], [10.0 * n for n in range(1, 9)]), start_ns)
    clinical = bay.clinical
    clinical.put_stay(stay(now_ns))
    clinical.bind(Binding(stay=STAY, device="bay-1", recording=RECORDING, from_ns=start_ns))
    clinical.add_events(events(now_ns))
    for turn in script()[:turns]:
        clinical.put_utterance(utterance(turn, start_ns))
    for card in prompts(now_ns):
        clinical.put_prompt(card)
    clinical.put_draft(draft(now_ns))
    _neighbours(clinical, now_ns)
    return bay


def _neighbours(clinical: ClinicalStore, now_ns: int) -> None:
    others: tuple[tuple[str, str, str, str, Sex, int], ...] = (
        ("bay 10", "Lindqvist", "Per", "1984-11-30", "male", 18),
        ("bay 1", "Abara", "Chidi", "2001-01-19", "male", 134),
        ("", "Novak", "Jana", "1990-06-07", "female", 4),
    )
    for n, (bay, family, given, born, sex, minutes) in enumerate(others):
        patient = Patient(
            mrn=f"M20{n}", family=family, given=given, birth_date=born, sex=sex
        )  # fmt: skip
        clinical.put_stay(
            Stay(
                id=f"{n + 10:032x}", site="demo", patient=patient, visit_number=f"V{n + 10}",
                bay=bay, clinician=OKAFOR if n == 1 else None, arrived_ns=now_ns - minutes * MINUTE,
            )
        )  # fmt: skip


async def _serve() -> None:
    from web.web_rig import Rig

    with tempfile.TemporaryDirectory() as folder:
        async with Rig.running(Path(folder), time.time_ns()) as rig:
            print(f"{rig.url}  okafor / {rig.password}", file=sys.stderr)  # noqa: T201 - the tool's output
            await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve())

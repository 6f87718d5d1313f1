"""What a language model's sentence may not do with the right words."""

from datetime import UTC

import pytest

from bayscribe_relay.clinical.drafts import Link, Sentence
from bayscribe_relay.clinical.events import ClinicalEvent
from bayscribe_relay.clinical.speech import Utterance
from bayscribe_relay.notes.bound import marked
from bayscribe_relay.notes.check import Sources
from notes.timelines import T0, fact, turn

PAIN = turn(1, "patient", "I have chest pain and nausea")
MIXED = turn(2, "patient", "no fever or cough")
OLD = turn(3, "patient", "my mother had diabetes and I have asthma")
DOSES = turn(4, "patient", "I take metoprolol 20 mg and lisinopril 40 mg")
ASKED = turn(5, "clinician", "Any weakness in the arm?")
ADVICE = turn(6, "clinician", "Lungs are clear. Come back if you get a rash.")
WORDS = turn(7, "nurse", "she took two tablets of warfarin")
HR = fact("obs", "vital.hr", 1, 112, "/min")
RR = fact("obs", "vital.rr", 1, 24, "/min")
FIRST = fact("obs", "lab.creatinine", 5, 0.9, "mg/dL")
LATER = fact("obs", "lab.creatinine", 65, 1.6, "mg/dL")
ORDER = fact("order", "order.lactate", 15)
DRUG = fact("med_given", "med.iv_antibiotic", 30)
WEIGHT = fact("obs", "vital.weight_kg", 6, 68, "kg")
BOLUS = fact("med_given", "med.crystalloid_bolus", 28, "2000 mL")
SPOKEN = [PAIN, MIXED, OLD, DOSES, ASKED, ADVICE, WORDS]
CHARTED = [HR, RR, FIRST, LATER, ORDER, DRUG, WEIGHT, BOLUS]
SOURCES = Sources(CHARTED, SPOKEN, UTC)


def at(minute: int) -> str:
    hours, minutes = divmod(T0 // 60_000_000_000 + minute, 60)
    return f"{hours % 24:02d}:{minutes:02d}"


def problem(text: str, *sources: Utterance | ClinicalEvent) -> str:
    links = tuple(
        Link(kind="utterance", ref=s.id, start=s.start, end=s.end)
        if isinstance(s, Utterance)
        else Link(kind="event", ref=s.id)
        for s in sources
    )
    return SOURCES.problem(Sentence(id="m", text=text, origin="model", links=links))


@pytest.mark.parametrize(
    ("text", "sources"),
    [
        ("The patient reports chest pain and nausea.", [PAIN]),
        ("The patient has nausea, chest pain.", [PAIN]),
        ("No fever or cough.", [MIXED]),
        ("The patient's mother had diabetes and has asthma.", []),
        ("Patient reports: metoprolol 20 mg and lisinopril 40 mg.", []),
        ("The patient reports: take metoprolol 20 mg and lisinopril 40 mg.", [DOSES]),
        ("Lungs are clear.", [ADVICE]),
        ("The nurse states took two tablets of warfarin.", [WORDS]),
        (f"Heart rate 112 /min at {at(1)}, respiratory rate 24 /min.", [HR, RR]),
        (f"Creatinine 0.9 mg/dL at {at(5)}; creatinine 1.6 mg/dL at {at(65)}.", [FIRST, LATER]),
        (f"IV antibiotic given {at(30)}.", [DRUG]),
        (f"Lactate ordered at {at(15)}.", [ORDER]),
        ("Crystalloid bolus 2,000 mL given, 29.4 mL/kg.", [BOLUS, WEIGHT]),
        ("Chest pain; heart rate 112 /min.", [PAIN, HR]),
    ],
)
def test_what_was_said_and_charted_passes(
    text: str, sources: list[Utterance | ClinicalEvent]
) -> None:
    assert problem(text, *sources) == ("" if sources else "it has no source")


@pytest.mark.parametrize(
    ("text", "sources", "why"),
    [
        ("The clinician reports chest pain.", [PAIN], "another speaker"),
        ("The nurse has chest pain.", [PAIN], "word"),
        ("Reports chest pain.", [PAIN], "another speaker"),
        ("No fever, has cough.", [MIXED], "taken apart"),
        ("No cough or fever.", [MIXED], "taken apart"),
        ("The patient has diabetes and asthma.", [OLD], "taken apart"),
        ("The patient takes lisinopril 20 mg.", [DOSES], "word"),
        ("The patient: lisinopril 20 mg.", [DOSES], "taken apart"),
        ("Weakness in the arm.", [ASKED], "only asked"),
        ("Weakness in the arm, chest pain.", [ASKED, PAIN], "only asked"),
        ("The patient has a rash.", [ADVICE], "taken apart"),
        ("Warfarin two tablets.", [WORDS], "taken apart"),
        ("Respiratory rate 112 /min, heart rate 24 /min.", [HR, RR], "belongs"),
        (f"Creatinine 0.9 mg/dL at {at(65)}.", [FIRST, LATER], "belongs"),
        (f"Creatinine 0.9 mg/dL, collected {at(65)}.", [FIRST, LATER], "word"),
        (f"Lactate given {at(15)}.", [ORDER], "word"),
        (f"IV antibiotic ordered {at(30)}.", [DRUG], "word"),
        ("Heart rate 112 /min, critical.", [HR], "word"),
        ("Heart rate > 112 /min.", [HR], "sign"),
        ("Chest pain?", [PAIN], "sign"),
        ("At 112.", [HR], "belongs"),
        ("The patient reports.", [PAIN], "states nothing"),
        (",", [HR], "states nothing"),
    ],
)
def test_right_words_in_a_wrong_place_are_found(
    text: str, sources: list[Utterance | ClinicalEvent], why: str
) -> None:
    assert why in problem(text, *sources)


def test_doubtful_words_are_marked_whatever_the_model_did_with_the_marks() -> None:
    spoken = [turn(1, "patient", "sharp pain", 0.3), turn(9, "patient", "pain at 07:30")]
    assert marked("Sharp pain [?] at 07:30.", spoken, 0.5) == "Sharp [?] pain at 07:30."

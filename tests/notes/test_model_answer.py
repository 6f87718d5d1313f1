"""Reading answers of any kind, and joining sentences of any kind."""

import contextlib
import json
from datetime import UTC
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayscribe_relay.clinical.drafts import Draft, Link, ModelUse
from bayscribe_relay.notes import kinds
from bayscribe_relay.notes.check import check_links
from bayscribe_relay.notes.compose import compose, merge
from bayscribe_relay.notes.model.answer import Proposed, Unreadable, read_answer
from bayscribe_relay.notes.model.joining import Answered, Material, join
from notes.timelines import STAY, fact, turn

ANSWER = {
    "sections": [
        {"section": kinds.HPI, "sentences": [
            {"text": "Fever since yesterday.", "sources": ["u1"]},
            {"text": "No \"cough\" {today}.", "sources": ["u1", "u2"]},
        ]},
        {"section": "Results", "sentences": [{"text": "Lactate 4.2.", "sources": ["e1"]}]},
    ]
}  # fmt: skip
WHOLE = read_answer(json.dumps(ANSWER))


def test_sentences_keep_their_section_and_sources() -> None:
    assert [(p.section, p.sources) for p in WHOLE] == [
        (kinds.HPI, ("u1",)),
        (kinds.HPI, ("u1", "u2")),
        ("Results", ("e1",)),
    ]


@pytest.mark.parametrize(
    "shape",
    [
        [{"title": "Results", "sentences": [{"text": "Lactate 4.2.", "sources": "e1"}]}],
        {"section": "Results", "sentences": [{"text": "Lactate 4.2.", "sources": ["[e1]"]}]},
        {"section": "Results", "text": "Lactate\n4.2.", "sources": [{"id": "e1"}, None]},
    ],
)
def test_other_shapes_of_the_same_are_read(shape: Any) -> None:  # noqa: ANN401 - JSON
    assert read_answer(json.dumps(shape)) == [Proposed("Results", "Lactate 4.2.", ("e1",))]


def test_an_answer_that_was_cut_gives_its_whole_sentences_and_no_half_ones() -> None:
    text = json.dumps(ANSWER, indent=1)
    plain = [one for one in WHOLE if "{" not in one.text]
    for end in range(len(text)):
        try:
            found = read_answer(text[:end])
        except Unreadable:
            continue
        assert all(one in WHOLE for one in found)
    assert found in (plain, WHOLE)


@settings(max_examples=150)
@given(st.one_of(st.text(), st.text('{}[]"`:,textsourcn \\\n', max_size=80)))
def test_no_answer_breaks_the_reader(content: str) -> None:
    with contextlib.suppress(Unreadable):
        assert all(isinstance(one, Proposed) for one in read_answer(content))


SPOKEN = [
    turn(1, "patient", "I have had a fever since yesterday and no cough"),
    turn(5, "nurse", "Pressure was 84 over 50 at 07:30"),
    turn(9, "clinician", "Any chest pain right now?"),
    turn(12, "patient", "no not now"),
    turn(40, "clinician", "Lungs are clear. Start ceftriaxone if the lactate is above 4."),
]
CHARTED = [
    fact("obs", "vital.hr", 1, 112, "/min"),
    fact("obs", "vital.rr", 1, 24, "/min"),
    fact("obs", "lab.lactate", 40, 4.2, "mmol/L"),
    fact("med_given", "med.iv_antibiotic", 30),
    fact("med_given", "med.crystalloid_bolus", 28, "2000 mL"),
    fact("obs", "vital.weight_kg", 6, 68, "kg"),
]
REFS = {f"u{n}": Link(kind="utterance", ref=u.id) for n, u in enumerate(SPOKEN)} | {
    f"e{n}": Link(kind="event", ref=e.id) for n, e in enumerate(CHARTED)
}
_OTHERS = """
The patient reports has no not denies Heart rate 112 24 /min 4.2 mmol/L Lactate given antibiotic
IV 2,000 mL 68 kg 29.4 mL/kg 84 > critical , . ; [?] “ ” 09:40
"""
VOCABULARY = sorted({w for u in SPOKEN for w in u.text.split()} | set(_OTHERS.split()))
TEXTS = st.one_of(
    st.lists(st.sampled_from(VOCABULARY), min_size=1, max_size=8).map(" ".join),
    st.sampled_from([u.text for u in SPOKEN]).map(lambda t: f"The patient reports: {t}"),
)
PROPOSED = st.lists(
    st.builds(
        Proposed,
        st.sampled_from([kinds.HPI, "Course", "nowhere", ""]),
        TEXTS,
        st.lists(st.sampled_from([*REFS, "u77"]), max_size=3, unique=True).map(tuple),
    ),
    max_size=8,
)
MATERIAL = Material.of(CHARTED, SPOKEN, UTC, 0.5)


def said(draft: Draft) -> set[str]:
    return {s.id for p in draft.sections for s in p.sentences if s.id.startswith("said-")}


@settings(max_examples=150)
@given(PROPOSED, PROPOSED)
def test_whatever_a_model_proposes_the_draft_is_sound_and_nothing_said_is_lost(
    first: list[Proposed], second: list[Proposed]
) -> None:
    composed = compose(STAY, CHARTED, SPOKEN)
    use = ModelUse(name="m", versions=("1",), sources=tuple(k.ref for k in REFS.values()))
    old = merge(None, join(composed, None, Answered(use, first, REFS), MATERIAL))
    for answered in (Answered(use, second, REFS), None):
        draft = merge(old, join(composed, old, answered, MATERIAL))
        assert check_links(draft, CHARTED, SPOKEN) == []
        assert said(draft) == said(composed)
        idents = [s.id for p in draft.sections for s in p.sentences]
        assert len(idents) == len(set(idents))
        model = [s.text for p in draft.sections for s in p.sentences if s.origin == "model"]
        assert all(any(c.isalnum() for c in text) for text in model)

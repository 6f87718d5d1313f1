import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from bayscribe.errors import BadUse
from bayscribe_relay.clinical.drafts import Draft, Link, Section, Sentence
from bayscribe_relay.clinical.store import ClinicalStore
from bayscribe_relay.notes import kinds
from bayscribe_relay.notes.check import check_links
from bayscribe_relay.notes.compose import compose, merge
from bayscribe_relay.notes.config import NotesConfig
from bayscribe_relay.notes.service import Drafter, recompose
from bayscribe_relay.writeback.note import loinc_valid
from notes.timelines import STAY, fact, scripted, turn

SCRIPTED = scripted()


def texts(draft: Draft, section: str | None = None) -> list[str]:
    return [
        s.text for part in draft.sections if section in (None, part.loinc) for s in part.sentences
    ]


@pytest.mark.parametrize("name", SCRIPTED)
@pytest.mark.parametrize("kind", kinds.NOTE_TYPES)
def test_scripted_encounters_state_nothing_that_has_no_source(name: str, kind: str) -> None:
    events, spoken = SCRIPTED[name]
    draft = compose(STAY, events, spoken, kind=kind)
    assert texts(draft)
    assert check_links(draft, events, spoken) == []
    codes = [draft.type_loinc, *(s.loinc for s in draft.sections)]
    assert all(loinc_valid(code) for code in codes)


def test_the_sepsis_note_says_what_was_charted_with_its_arithmetic() -> None:
    events, spoken = SCRIPTED["sepsis"]
    draft = compose(STAY, events, spoken)
    assert "Crystalloid by weight: 2,000 mL / 68 kg = 29.4 mL/kg." in texts(draft)
    sirs = next(t for t in texts(draft) if t.startswith("SIRS"))
    assert "Temperature 38.4 °C at " in sirs
    assert "Heart rate 112 /min at " in sirs
    assert any(t.startswith("iv antibiotic given ") for t in texts(draft))
    assert any(t.startswith("Lactate 4.2 mmol/L, resulted ") for t in texts(draft))
    (offer,) = (s for p in draft.sections for s in p.sentences if s.origin == "suggestion")
    assert "A41.51 rather than A41.9" in offer.text
    assert offer.outcome == "open"


def test_speech_is_quoted_attributed_and_only_its_fillers_are_left_out() -> None:
    events, spoken = SCRIPTED["sepsis"]
    draft = compose(STAY, events, spoken)
    assert texts(draft, kinds.HPI) == [
        "The patient reports: “I have had a fever since yesterday and no cough”."
    ]
    assert "The clinician states: “Lungs are clear, abdomen is not tender.”." in texts(
        draft, kinds.EXAM
    )


def test_a_short_answer_stands_with_its_question() -> None:
    draft = compose(STAY, *SCRIPTED["chest-pain"])
    first = draft.sections[0].sentences[0]
    assert first.text == "Asked “Any chest pain right now?”, the patient answers “No not now”."
    assert [link.ref for link in first.links] == ["r/0", "r/5"]


def test_doubtful_words_are_marked_and_withdrawn_turns_are_gone() -> None:
    spoken = [turn(1, "patient", "sharp pain", 0.3), turn(2, "patient", "old", withdrawn=True)]
    draft = compose(STAY, [], spoken)
    assert texts(draft) == ["The patient reports: “Sharp [?] pain [?]”."]
    assert check_links(draft, [], spoken) == []


@pytest.mark.parametrize("spoken", [[], [turn(1, "patient", "")]])
def test_without_speech_there_is_no_note(spoken: list[Any]) -> None:
    with pytest.raises(BadUse, match="nothing was heard") as refused:
        compose(STAY, [fact("obs", "vital.hr", 1, 80, "/min")], spoken)
    assert refused.value.code == "no-audio"


def test_a_correction_supersedes_whatever_the_order_of_arrival() -> None:
    wrong = fact("obs", "lab.lactate", 5, 42, "mmol/L")
    right = replace(wrong, version=2, value=4.2, status="corrected")
    gone = fact("obs", "lab.inr", 5, 9.0, "", status="entered-in-error")
    spoken = [turn(1, "patient", "hello there doctor")]
    for order in ([wrong, right, gone], [gone, right, wrong]):
        found = texts(compose(STAY, order, spoken), kinds.RESULTS)
        assert len(found) == 1
        assert "4.2 mmol/L" in found[0]
        assert "(corrected)" in found[0]


WORDS = st.sampled_from(
    [
        "pain",
        "no",
        "not",
        "never",
        "fever",
        "3",
        "20",
        "mg",
        "denies",
        "chest",
        "um",
        "uh",
        "since",
        "07:30",
        "2.5",
        "mL",
        "left",
        "I",
        "don't",
        "the",
    ]
)
SAID = st.lists(
    st.tuples(
        st.sampled_from(["clinician", "patient", "nurse", "unknown-1"]),
        st.lists(WORDS, min_size=1, max_size=9).map(" ".join),
        st.floats(0, 1),
    ),
    min_size=1,
    max_size=6,
)
FACTS = st.lists(
    st.one_of(
        st.builds(
            fact, st.just("obs"),
            st.sampled_from(["vital.temp_c", "vital.hr", "vital.weight_kg", "lab.wbc", "lab.inr"]),
            st.integers(0, 500), st.floats(0.1, 3000).map(lambda v: round(v, 2)),
            st.sampled_from(["kg", "/min", "Cel", "mmol/L", ""]),
        ),
        st.builds(
            fact, st.just("med_given"),
            st.sampled_from(["med.crystalloid_bolus", "med.vasopressor"]), st.integers(0, 500),
            st.integers(1, 3000).map(lambda v: f"{v} mL"),
        ),
        st.builds(
            fact, st.sampled_from(["order", "proc"]), st.just("order.lactate"), st.integers(0, 500)
        ),
    ),
    max_size=12,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(SAID, FACTS, st.sampled_from(sorted(kinds.NOTE_TYPES)), st.randoms(use_true_random=False))
def test_random_timelines_state_nothing_that_has_no_source(
    said: list[tuple[str, str, float]], facts: list[Any], kind: str, draw: random.Random
) -> None:
    spoken = [turn(5 * n, *row) for n, row in enumerate(said)]
    draft = compose(STAY, facts, spoken, kind=kind)
    assert check_links(draft, facts, spoken) == []
    draw.shuffle(facts)
    draw.shuffle(spoken)
    unlike = {e.id: e.value for e in facts}
    if len(unlike) == len(facts):
        assert compose(STAY, facts, spoken, kind=kind) == draft


TURN = turn(1, "patient", "I took 20 mg lisinopril and I do not smoke")
VITAL = fact("obs", "vital.hr", 1, 112, "/min")
LINK = Link(kind="utterance", ref=TURN.id, start=TURN.start, end=TURN.end)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("The patient took 40 mg lisinopril and does not smoke.", "number"),
        ("The patient took 20 mL lisinopril, not smoke.", "unit"),
        ("The patient took 20 mg metoprolol, not smoke.", "word"),
        ("I took 20 mg lisinopril and I do smoke.", "negation"),
        ("At 09:00 I took 20 mg lisinopril, do not smoke.", "time"),
    ],
)
def test_what_a_source_does_not_say_is_found(text: str, why: str) -> None:
    made = Sentence(id="m", text=text, origin="model", links=(LINK,))
    draft = Draft(stay=STAY.id, sections=(Section(loinc="1", title="x", sentences=(made,)),))
    (found,) = check_links(draft, [VITAL], [TURN])
    assert why in found.reason


@pytest.mark.parametrize(
    "links", [(), (Link(kind="event", ref="nothing"),), (replace(LINK, start=9.0),)]
)
def test_a_sentence_without_a_true_source_is_found(links: tuple[Link, ...]) -> None:
    made = Sentence(id="m", text="I do not smoke", origin="model", links=links)
    draft = Draft(stay=STAY.id, sections=(Section(loinc="1", title="x", sentences=(made,)),))
    assert len(check_links(draft, [VITAL], [TURN])) == 1


def edited(
    draft: Draft,
    ident: str,
    **changes: Any,  # noqa: ANN401 - fields of a sentence
) -> Draft:
    return replace(
        draft,
        sections=tuple(
            replace(
                p,
                sentences=tuple(replace(s, **changes) if s.id == ident else s for s in p.sentences),
            )
            for p in draft.sections
        ),
    )


def test_composing_again_keeps_what_the_clinician_did() -> None:
    events, spoken = SCRIPTED["sepsis"]
    draft = merge(None, compose(STAY, events, spoken))
    said = draft.sections[0].sentences[0]
    draft = edited(draft, said.id, text="Fever.", original=said.text, outcome="modified")
    draft = edited(draft, "sirs", outcome="rejected")
    own = Sentence(id="own-1", text="My words.", origin="clinician", outcome="accepted")
    hpi = draft.sections[0]
    draft = replace(
        draft, sections=(replace(hpi, sentences=(*hpi.sentences, own)), *draft.sections[1:])
    )
    more = [*events, fact("obs", "vital.rr", 9, 24, "/min")]
    again = merge(draft, compose(STAY, more, spoken))
    found = {s.id: s for p in again.sections for s in p.sentences}
    assert found[said.id].text == "Fever."
    assert found[said.id].outcome == "modified"
    assert found["sirs"].outcome == "rejected"
    assert found["own-1"] == own
    assert again.revision == draft.revision + 1


def test_what_was_accepted_is_open_again_once_its_source_is_corrected() -> None:
    first = fact("obs", "lab.lactate", 5, 42, "mmol/L")
    spoken = [turn(1, "patient", "hello there doctor")]
    draft = merge(None, compose(STAY, [first], spoken))
    draft = edited(draft, f"result-{first.id}", outcome="accepted")
    right = replace(first, version=2, value=4.2)
    again = merge(draft, compose(STAY, [first, right], spoken))
    (result,) = (s for p in again.sections for s in p.sentences if s.id.startswith("result"))
    assert (result.outcome, "4.2" in result.text) == ("open", True)


def test_drafts_follow_the_record_until_they_are_signed(tmp_path: Path) -> None:
    store = ClinicalStore(f"sqlite:///{tmp_path / 'r.db'}")
    store.put_stay(STAY)
    drafter = Drafter(store, NotesConfig())
    store.add_events([VITAL])
    drafter.step()
    assert store.draft(STAY.id) is None
    store.put_utterance(TURN)
    assert drafter.step() == {STAY.id}
    draft = store.draft(STAY.id)
    assert draft is not None
    assert "Heart rate 112 /min" in " ".join(texts(draft))
    drafter.step()
    assert store.draft(STAY.id) == draft
    store.put_draft(replace(draft, revision=draft.revision + 1, signed_key="k"))
    store.add_events([fact("obs", "vital.rr", 9, 24, "/min")])
    drafter.step()
    after = store.draft(STAY.id)
    assert after is not None
    assert after.sections == draft.sections
    store.close()


def test_a_wrong_patients_words_leave_the_draft(tmp_path: Path) -> None:
    store = ClinicalStore(f"sqlite:///{tmp_path / 'r.db'}")
    store.put_stay(STAY)
    store.put_utterance(TURN)
    assert recompose(store, STAY.id, NotesConfig()) is not None
    store.put_utterance(replace(TURN, stay="another"))
    draft = recompose(store, STAY.id, NotesConfig())
    assert draft is not None
    assert texts(draft) == []
    store.close()

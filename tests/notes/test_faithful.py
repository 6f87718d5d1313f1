import re
from itertools import chain

import pytest
from benchmarks.faithfulness import drafted, proposals
from benchmarks.faithfulness.judge import judge
from benchmarks.faithfulness.scripts import NAMES, Script
from msgspec.structs import replace

from bayscribe_relay.clinical.drafts import Draft, Sentence
from bayscribe_relay.notes.compose import compose
from bayscribe_relay.notes.kinds import NOTE_TYPES
from notes.timelines import STAY, T0, fact
from web import demo_stay

SCRIPTS = {name: Script(name) for name in NAMES}
FIGURE = re.compile(r"\d")


def texts(draft: Draft) -> list[str]:
    return [s.text for part in draft.sections for s in part.sentences]


def test_there_are_ten_encounters() -> None:
    assert len(NAMES) == 10


@pytest.mark.parametrize("kind", NOTE_TYPES)
@pytest.mark.parametrize("name", NAMES)
def test_a_composed_draft_states_its_sources_and_nothing_else(name: str, kind: str) -> None:
    _, verdict = drafted(SCRIPTS[name], kind)
    assert verdict.mismatches == []
    assert verdict.links >= verdict.sentences > 0


@pytest.mark.parametrize("name", NAMES)
def test_a_reader_finds_what_matters_in_the_note(name: str) -> None:
    draft, _ = drafted(SCRIPTS[name], "emergency")
    whole = " ".join(texts(draft))
    assert [wanted for wanted in SCRIPTS[name].expects if wanted not in whole] == []


def changed(draft: Draft, number: int, sentence: Sentence) -> Draft:
    """The draft with its sentence of that number replaced."""
    left, sections = number, []
    for part in draft.sections:
        sentences = list(part.sentences)
        if 0 <= left < len(sentences):
            sentences[left] = sentence
        left -= len(part.sentences)
        sections.append(replace(part, sentences=tuple(sentences)))
    return replace(draft, sections=tuple(sections))


@pytest.mark.parametrize("name", NAMES)
def test_the_judge_sees_a_changed_digit_a_lost_link_and_another_source(name: str) -> None:
    script = SCRIPTS[name]
    draft, _ = drafted(script, "emergency")
    sentences = list(chain.from_iterable(part.sentences for part in draft.sections))
    charted = [s for s in sentences if s.origin == "charted"]
    for number, one in enumerate(sentences):
        wrong = [replace(one, links=())]
        if FIGURE.search(one.text) and one.origin != "suggestion":
            digit = FIGURE.search(one.text)
            assert digit is not None
            other = str((int(digit[0]) + 1) % 10)
            wrong.append(replace(one, text=FIGURE.sub(other, one.text, count=1)))
        if one.origin == "charted":
            wrong += [replace(one, links=s.links) for s in charted if s.links != one.links][:1]
        for altered in wrong:
            verdict = judge(changed(draft, number, altered), script.charted, script.spoken)
            assert verdict.mismatches != [], altered.text


@pytest.mark.parametrize("name", NAMES)
def test_of_a_models_sentences_the_right_ones_pass_and_the_wrong_ones_do_not(name: str) -> None:
    draft, _ = drafted(SCRIPTS[name], "emergency")
    right, passed, tried, through = proposals(SCRIPTS[name], draft)
    assert passed >= 0.9 * right > 0
    assert tried.total() > 5 * right
    assert through == []


@pytest.mark.parametrize("kind", NOTE_TYPES)
def test_the_demos_encounter_is_stated_as_it_was(kind: str) -> None:
    spoken = [demo_stay.utterance(turn, T0) for turn in demo_stay.script()]
    charted = [
        fact("obs", "vital.temp_c", 2, 38.4, "Cel"),
        fact("obs", "vital.hr", 2, 112, "/min"),
        fact("obs", "vital.rr", 2, 26, "/min"),
        fact("obs", "vital.sbp", 3, 88, "mm[Hg]"),
        fact("obs", "vital.weight_kg", 22, 68, "kg"),
        fact("order", "order.lactate", 7),
        fact("obs", "lab.lactate", 28, 4.2, "mmol/L"),
        fact("obs", "lab.wbc", 30, 17.8, "10*3/uL"),
        fact("med_given", "med.iv_antibiotic", 34, display="Ceftriaxone 2 g"),
        fact("med_given", "med.crystalloid_bolus", 42, "2000 mL", display="Lactated Ringer's"),
    ]
    draft = compose(STAY, charted, spoken, kind=kind)
    verdict = judge(draft, charted, spoken)
    assert verdict.mismatches == []
    assert verdict.links >= verdict.sentences > len(charted)
    assert "2,000 mL / 68 kg = 29.4 mL/kg" in " ".join(texts(draft))

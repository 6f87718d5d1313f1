"""What clinicians say, as concepts: who said it, whether it was meant, numbers and times."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayscribe.errors import ConfigError
from bayscribe_relay.tracer.case import read, replay
from bayscribe_relay.tracer.lexicon import load_lexicon
from bayscribe_relay.tracer.speech import listen, role_of, understand
from bayscribe_relay.tracer.spoken_text import tokens
from bayscribe_relay.tracer.timeline import Mention
from tracer.labelled import HELD_OUT, LABELLED, judge
from tracer.timelines import WORDS, Case


def mentions(text: str, **more: object) -> dict[str, Mention]:
    told = {"speaker": "attending", "primary": True, "t": 30, "start": 13 * 60 + 30} | more
    return {m.concept: m for m in listen(text, **told).mentions}  # type: ignore[arg-type]  # test shorthand


def test_every_concept_of_the_catalogue_is_listened_for() -> None:
    assert {concept.name for concept in load_lexicon().concepts} == set(WORDS)
    assert all(c.phrases or c.elements for c in load_lexicon().concepts)


def test_labelled_utterances_are_understood() -> None:
    found = judge(LABELLED)
    assert len(LABELLED) >= 200
    assert found.precision >= 0.97, found.wrong
    assert found.recall >= 0.97, found.wrong
    assert found.turned == found.turned_right, found.wrong


def test_utterances_that_the_phrases_were_not_made_for_are_mostly_understood() -> None:
    found = judge(HELD_OUT)
    assert found.precision >= 0.93
    assert found.recall >= 0.85


@pytest.mark.parametrize(
    ("spoken", "read"),
    [
        ("thirty-eight four", "38.4"),
        ("thirty eight point four", "38.4"),
        ("one twelve", "112"),
        ("a hundred and twelve", "112"),
        ("one oh two", "102"),
        ("one oh one five", "101.5"),
        ("two and a half", "2.5"),
        ("four point two", "4.2"),
        ("seven point three one", "7.31"),
        ("eight fifteen", "815"),
        ("fourteen twenty", "1420"),
        ("two thousand", "2000"),
        ("twenty-three", "23"),
        ("minus two", "-2"),
        ("ninety over sixty", "90 over 60"),
        ("2L", "2 l"),
        ("1,500 cc", "1500 cc"),
        ("half a", "0.5"),
        ("38.4%", "38.4 percent"),
        ("one of four", "1 of 4"),
    ],
)
def test_numbers_in_words(spoken: str, read: str) -> None:
    assert " ".join(token.text for token in tokens([(spoken, True)])) == read


def test_values_and_criteria_come_with_the_concept() -> None:
    assert mentions("NIH stroke scale is fourteen.")["nihss_total"].value == 14
    assert mentions("Heart score of six.")["heart_total_stated"].value == 6
    assert mentions("The tachycardia is from pain.")["sirs_noninfectious_cause"].criterion == "hr"
    assert mentions("Lactate is from the seizure.")["lactate_other_cause"].criterion == "lactate"
    assert "nihss_total" not in mentions("NIH is fifty."), "no such score"


@pytest.mark.parametrize(
    ("spoken", "minute"),
    [
        # Said at 14:00 of a patient who came at 13:30.
        ("Last known well 8:15 this morning.", -315),
        ("Last known well eight fifteen.", -315),
        ("She was normal until two hours ago.", -90),
        ("Last known well half an hour ago.", 0),
        ("Last seen normal at noon.", -90),
        ("Last known well eleven last night.", -870),
        ("Last known well 1 pm.", -30),
    ],
)
def test_times_are_resolved_against_the_arrival(spoken: str, minute: int) -> None:
    assert mentions(spoken)["lkw_time"].about == minute


def test_a_time_that_cannot_be_resolved_is_not_guessed() -> None:
    assert "lkw_time" not in mentions("Last known well 8:15.", start=None)
    assert mentions("Last known well two hours ago.", start=None)["lkw_time"].about == -90
    assert "lkw_time" not in mentions("Last known well, let me think.")


def test_low_confidence_words_say_nothing_but_an_uncertain_no_still_negates() -> None:
    def heard(words: list[tuple[str, float]]) -> set[tuple[str, str]]:
        return {(h.concept, h.polarity) for h in understand(words)}

    assert ("septic_shock", "affirmed") in heard([("Septic", 0.9), ("shock.", 0.9)])
    assert heard([("Septic", 0.9), ("shock.", 0.2)]) == {("sepsis", "affirmed")}
    assert heard([("Septic", 0.2), ("shock.", 0.2)]) == set()
    doubtful = heard([("not", 0.1), ("septic.", 0.9)])
    assert ("sepsis", "affirmed") not in doubtful


def test_the_role_decides_whether_it_answers() -> None:
    assert role_of("unknown-2", primary=True) == "attending"
    assert [role_of(x, primary=False) for x in ("Nurse", "RN-1", "resident", "PA", "wife")] == [
        "nurse",
        "nurse",
        "resident",
        "app",
        "family",
    ]
    assert role_of("unknown-1", primary=False) == "unknown"
    assert mentions("NIH is 12", speaker="unknown-3", primary=False)["nihss_total"].speaker == (
        "unknown"
    )


CASES = read(Path(__file__).parent / "cases.yaml")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_recorded_cases_prompt_the_same_when_the_concepts_are_heard(case: Case) -> None:
    """The file's own concepts thrown away: only the words and the speakers are left."""
    hours, minutes = str(case["arrival_clock"]).split(":")
    start = int(hours) * 60 + int(minutes)
    heard = []
    for utterance in case["utterances"]:
        told = listen(
            utterance["text"],
            speaker=utterance["speaker"],
            primary=utterance["speaker"] == "attending",
            t=utterance["t"],
            start=start,
        )
        concepts = [
            {
                "concept": m.concept,
                "polarity": m.polarity,
                "value": m.value,
                "criterion": m.criterion,
            }
            | ({} if m.about is None else {"t": m.about})
            for m in told.mentions
        ]
        heard.append(dict(utterance, concepts=concepts))
    prompts = [(p.gap.id, p.minute) for p in replay(dict(case, utterances=heard))]
    assert prompts == [(e["gap"], e["t"]) for e in case["expected_prompts"]]


@given(st.text(max_size=200))
def test_arbitrary_text_never_crashes(text: str) -> None:
    listen(text, speaker=text, primary=False, t=10, start=600)


@given(
    st.lists(
        st.sampled_from(
            [
                "no",
                "not",
                "septic",
                "shock",
                "sepsis",
                "lactate",
                "is",
                "from",
                "one",
                "two",
                "thirty",
                "hundred",
                "point",
                "and",
                "a",
                "half",
                "oh",
                "minus",
                "last",
                "known",
                "well",
                "at",
                "pm",
                "ago",
                "hours",
                "liter",
                ",",
                ".",
                "?",
                "if",
                "her",
                "mother",
                "had",
                "heart",
                "score",
            ]
        ),
        max_size=30,
    )
)
def test_arbitrary_clinical_babble_never_crashes(words: list[str]) -> None:
    listen([(word, 0.8) for word in words], speaker="x", primary=True, t=10, start=600)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("concepts: {sepsis: {say: ['(septic']}}", r"sepsis: phrase '\(septic'"),
        ("concepts: {sepsis: {says: [septic]}}", "unknown .'says'"),
        ("concepts: {sepsis: {say: ['{nothing}']}}", "nothing"),
        ("concepts: [", "one.yaml"),
    ],
)
def test_a_wrong_word_list_is_refused_with_its_place(tmp_path: Path, text: str, named: str) -> None:
    (tmp_path / "one.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=named):
        load_lexicon(tmp_path)


def test_the_labels_name_known_concepts_and_polarities() -> None:
    for path in (LABELLED, HELD_OUT):
        for utterance in path:
            for label in [*utterance["means"], *utterance.get("may", [])]:
                concept, _, polarity = label.partition(":")
                assert concept in WORDS, utterance
                assert polarity in (
                    "",
                    "negated",
                    "historical",
                    "hypothetical",
                    "family",
                    "question",
                )


def test_a_statement_in_two_utterances_is_put_together() -> None:
    reason = "Her EF is fifteen percent."
    assert "lesser_volume_with_reason" not in mentions(reason)
    assert "lesser_volume_with_reason" in mentions(reason, before="A liter only.")
    told = mentions("Thank you.", before="A liter only, her EF is low.")
    assert "lesser_volume_with_reason" not in told


def test_a_question_without_a_mark_is_one() -> None:
    assert mentions("is she septic")["sepsis"].polarity == "question"
    assert mentions("she is septic")["sepsis"].polarity == "affirmed"


def test_missing_punctuation_costs_little() -> None:
    bare = [dict(u, say=re.sub(r"(?<!\d)[.,;?!](?!\d)", "", u["say"]).lower()) for u in LABELLED]
    found = judge(bare)
    assert found.precision >= 0.95
    assert found.recall >= 0.95

"""The clinical store's events and words, as the tracer of a stay takes them."""

import time
from zoneinfo import ZoneInfo

import msgspec
import pytest

from bayscribe_relay.clinical.events import ClinicalEvent
from bayscribe_relay.clinical.speech import Utterance, Word
from bayscribe_relay.clinical.stays import Patient, Stay
from bayscribe_relay.prompts.tracing import tracer_maker
from bayscribe_relay.tracer.config import TracerConfig
from bayscribe_relay.tracer.timeline import Utterance as TracerUtterance
from bayscribe_relay.tracer.tracer import Tracer

MINUTE = 60 * 10**9
ARRIVED = time.time_ns() - 120 * MINUTE
STAY = Stay(
    id="a" * 32, site="demo", visit_number="V1", arrived_ns=ARRIVED,
    patient=Patient(mrn="M1", birth_date="1950-04-01", sex="female"),
)  # fmt: skip


def fact(ident: str, kind: str, concept: str, minute: int, **more: object) -> ClinicalEvent:
    at = ARRIVED + minute * MINUTE
    plain = ClinicalEvent(
        id=ident, version=1, stay=STAY.id, kind=kind, concept=concept, clinical_ns=at,
        received_ns=at,
    )  # fmt: skip
    return msgspec.structs.replace(plain, **more)


def said(
    minute: int, text: str, second: int = 0, speaker: str = "clinician", sure: float = 0.95
) -> Utterance:
    at = ARRIVED + minute * MINUTE + second * 10**9
    return Utterance(
        id=f"r/{minute}" + (f".{second}" if second else ""), device="d", recording="r",
        stay=STAY.id, start=0, end=3, start_ns=at, end_ns=at + 3 * 10**9, speaker=speaker,
        primary=speaker == "clinician", confidence=0.9, first_seq=1, last_seq=1,
        words=tuple(Word(word, 0, 1, sure) for word in text.split()),
    )  # fmt: skip


SUSPICION = [
    fact("e0", "adt", "adt.arrival", 0),
    fact("e1", "obs", "vital.temp_c", 5, value=38.4, unit="Cel"),
    fact("e2", "obs", "vital.hr", 5, value=112.0, unit="/min"),
    fact("e3", "order", "order.blood_culture", 15),
    fact("e4", "order", "order.lactate", 15),
]


def test_charted_but_unspoken_criteria_fire_and_the_words_close_them() -> None:
    tracer = tracer_maker(TracerConfig(), ZoneInfo("UTC"))(STAY)
    tracer.take(SUSPICION, [said(12, "I am worried about sepsis here")])
    fired, closed = tracer.advance(ARRIVED + 40 * MINUTE)
    sirs = next(one for one in fired if "SIRS" in one.text or "sirs" in one.gap)
    assert not any(one.gap == sirs.gap for one in closed)
    assert {"e1", "e2"} & set(sirs.events)
    assert sirs.explanation
    tracer.take(
        [], [said(41, "she meets SIRS criteria with a temperature of 38.4 and a heart rate of 112")]
    )
    _, closed = tracer.advance(ARRIVED + 41 * MINUTE)
    answer = next(one for one in closed if one.gap == sirs.gap)
    assert (answer.said, answer.answer) == (True, "r/41")


def test_a_correction_closes_what_it_makes_untrue() -> None:
    tracer = tracer_maker(TracerConfig(), ZoneInfo("UTC"))(STAY)
    tracer.take(SUSPICION, [])
    fired, _ = tracer.advance(ARRIVED + 40 * MINUTE)
    gaps = {one.gap for one in fired}
    assert gaps
    cancelled = [
        msgspec.structs.replace(
            event, version=2, status="entered-in-error", received_ns=ARRIVED + 41 * MINUTE
        )
        for event in SUSPICION[1:]
    ]
    tracer.take(cancelled, [])
    _, closed = tracer.advance(ARRIVED + 42 * MINUTE)
    assert {one.gap for one in closed if not one.said} & gaps


def test_the_same_minute_may_be_judged_again() -> None:
    tracer = tracer_maker(TracerConfig(), ZoneInfo("UTC"))(STAY)
    now = ARRIVED + 40 * MINUTE
    assert tracer.advance(now) == ([], [])
    tracer.take(SUSPICION, [])
    fired, _ = tracer.advance(now + MINUTE // 2)
    assert all(one.minute == 40 for one in fired)


def test_a_catalogue_without_a_birth_date_still_judges() -> None:
    unknown = msgspec.structs.replace(STAY, patient=Patient(mrn="M1"))
    tracer = tracer_maker(TracerConfig(), ZoneInfo("UTC"))(unknown)
    tracer.take(SUSPICION, [])
    tracer.advance(ARRIVED + 100 * MINUTE)


def asked(*spoken: Utterance) -> tuple[bool, str]:
    """Whether the gap of a discharge without tobacco status is closed by what was said."""
    config = TracerConfig(on=("tobacco_use_screen",), profiles=("acute", "screening"))
    tracer = tracer_maker(config, ZoneInfo("UTC"))(STAY)
    tracer.take([SUSPICION[0], fact("e9", "order", "order.discharge", 20)], [])
    fired, _ = tracer.advance(ARRIVED + 30 * MINUTE)
    assert any(one.gap == "tobacco_use_screen" for one in fired)
    tracer.take([], spoken)
    _, closed = tracer.advance(ARRIVED + 33 * MINUTE)
    one = next((one for one in closed if one.gap == "tobacco_use_screen"), None)
    return (one is not None and one.said), (one.answer if one else "")


QUESTION = said(31, "All right. Do you smoke?")


def test_a_clinicians_question_and_the_patients_answer_close_a_gap() -> None:
    answer = said(31, "No, I quit.", 5, "unknown-1")
    assert asked(QUESTION, answer) == (True, answer.id)
    assert asked(answer, QUESTION) == (True, answer.id)
    for words in ("Yes.", "Uh, yeah.", "Never.", "I do not.", "I don't."):
        assert asked(QUESTION, said(31, words, 5, "patient"))[0], words


def test_what_is_no_answer_to_this_question_closes_nothing() -> None:
    assert not asked(QUESTION)[0]
    for words in ("I don't know.", "What?", "My foot hurts.", "No, yes.", "I think so."):
        assert not asked(QUESTION, said(31, words, 5, "unknown-1"))[0], words
    assert not asked(QUESTION, said(31, "No.", 5, "unknown-1", sure=0.3))[0]
    assert not asked(QUESTION, said(32, "No.", 5, "unknown-1"))[0]
    other = said(31, "Any pain?", 4)
    assert not asked(QUESTION, other, said(31, "No.", 8, "unknown-1"))[0]
    both = said(31, "Do you smoke? Any pain?")
    assert not asked(both, said(31, "No.", 5, "unknown-1"))[0]
    by_family = said(31, "Do you smoke?", 0, "family")
    assert not asked(by_family, said(31, "No.", 5, "patient"))[0]


def test_one_voices_statement_in_two_turns_is_put_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heard: list[str] = []
    real = Tracer.add_utterance

    def spy(tracer: Tracer, utterance: TracerUtterance) -> None:
        heard.extend(mention.concept for mention in utterance.mentions)
        real(tracer, utterance)

    monkeypatch.setattr(Tracer, "add_utterance", spy)

    def joined(*spoken: Utterance) -> bool:
        heard.clear()
        tracer_maker(TracerConfig(), ZoneInfo("UTC"))(STAY).take(SUSPICION, spoken)
        return "lesser_volume_with_reason" in heard

    first = said(20, "A liter only.")
    reason = said(20, "Her EF is fifteen percent.", 8)
    assert joined(first, said(20, "Okay.", 4, "nurse"), reason)
    assert joined(reason, first)
    assert not joined(reason)
    assert not joined(first, said(21, reason.text, 8))
    assert not joined(said(20, "A liter only.", 0, "unknown-2"), reason)
    assert not joined(said(20, "A liter only.", sure=0.3), reason)

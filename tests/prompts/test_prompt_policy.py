"""Prompts are few, pressing ones first, and a short word answers the one that was heard."""

import io
import wave

import msgspec
import pytest

from bayscribe.errors import BadUse
from bayscribe_relay.clinical.prompts import PromptCard
from bayscribe_relay.clinical.speech import Utterance, Word
from bayscribe_relay.prompts.config import ClinicianPrompts, PromptsConfig
from bayscribe_relay.prompts.policy import next_look, release, spoken_answer
from bayscribe_relay.prompts.voice import speak

S = 10**9
CONFIG = PromptsConfig(most=2, within_s=100, apart_s=10, urgent_s=60)


def card(name: str, fired_s: int, **more: object) -> PromptCard:
    plain = PromptCard(id=name, stay="s", gap=name, text=name, minute=0, fired_ns=fired_s * S)
    return msgspec.structs.replace(plain, **more)


def shown(name: str, at_s: int) -> PromptCard:
    return card(name, at_s, state="shown", shown_ns=at_s * S)


def names(cards: list[PromptCard]) -> list[str]:
    return [one.id for one in cards]


def test_two_prompts_are_apart() -> None:
    waiting = [card("a", 1), card("b", 2)]
    assert names(release(waiting, 3 * S, CONFIG)) == ["a"]
    after = [shown("a", 3), card("b", 2)]
    assert release(after, 12 * S, CONFIG) == []
    assert names(release(after, 13 * S, CONFIG)) == ["b"]
    assert next_look(after, 5 * S, CONFIG) == 13 * S


def test_no_more_than_so_many_in_the_window() -> None:
    cards = [shown("a", 10), shown("b", 40), card("c", 41)]
    assert release(cards, 90 * S, CONFIG) == []
    again = next_look(cards, 90 * S, CONFIG)
    assert again is not None
    assert names(release(cards, again, CONFIG)) == ["c"]


def test_a_deadline_that_is_near_waits_for_no_limit() -> None:
    cards = [shown("a", 10), shown("b", 40), card("c", 41, due_ns=150 * S), card("d", 1)]
    assert release(cards, 80 * S, CONFIG) == []
    assert next_look(cards, 80 * S, CONFIG) == 90 * S
    assert names(release(cards, 90 * S, CONFIG)) == ["c"]


def test_the_nearest_deadline_goes_first() -> None:
    cards = [card("late", 1, due_ns=900 * S), card("soon", 2, due_ns=500 * S), card("none", 0)]
    assert names(release(cards, 3 * S, CONFIG)) == ["soon"]


def test_nothing_that_was_settled_is_given_again() -> None:
    assert release([card("a", 1, state="withdrawn")], 3 * S, CONFIG) == []
    assert next_look([card("a", 1, state="dismissed")], 3 * S, CONFIG) is None


def test_a_clinician_has_an_own_wish() -> None:
    own = msgspec.structs.replace(CONFIG, clinicians={"1234567893": ClinicianPrompts(bay="off")})
    assert own.of("1234567893").bay == "off"
    assert own.of("1234567893").page is True
    assert own.of("1999999999").bay == "chime"


def said(text: str, at_s: float, *, primary: bool = True) -> Utterance:
    words = tuple(Word(word, 0, 1, 0.9) for word in text.split())
    return Utterance(
        id="u", device="d", recording="r", start=0, end=1, start_ns=int(at_s * S),
        end_ns=int(at_s * S) + S, speaker="dr", primary=primary, confidence=1, first_seq=1,
        last_seq=1, words=words,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("Yes.", "answered"),
        ("okay, noted", "answered"),
        ("yes but not now", None),
        ("Um, got it", "answered"),
        ("Not now.", "dismissed"),
        ("yes the pain started at noon", None),
        ("", None),
    ],
)
def test_a_short_answer_to_the_prompt_that_sounded(text: str, outcome: str | None) -> None:
    cards, played = [shown("a", 5), shown("b", 20)], {"a": 6 * S, "b": 21 * S}
    found = spoken_answer(said(text, 25), cards, played, CONFIG)
    assert (found[1] if found else None) == outcome
    if found:
        assert found[0].id == "b"


def test_who_else_says_yes_or_says_it_later_answers_nothing() -> None:
    cards, played = [shown("a", 5)], {"a": 6 * S}
    assert spoken_answer(said("yes", 8, primary=False), cards, played, CONFIG) is None
    assert spoken_answer(said("yes", 30), cards, played, CONFIG) is None
    assert spoken_answer(said("yes", 5), cards, played, CONFIG) is None
    assert spoken_answer(said("yes", 8), cards, {}, CONFIG) is None


def test_a_prompt_is_spoken() -> None:
    with wave.open(io.BytesIO(speak("Repeat lactate is due at 16:10.", "en-us"))) as wav:
        assert (wav.getnchannels(), wav.getsampwidth()) == (1, 2)
        assert 1.0 < wav.getnframes() / wav.getframerate() < 6.0
        assert max(memoryview(wav.readframes(wav.getnframes())).cast("h")) > 3000


def test_an_unknown_voice_is_said_clearly() -> None:
    with pytest.raises(BadUse, match="no speech"):
        speak("hello", "xx-nobody")

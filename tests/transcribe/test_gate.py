"""Noise does not become text; speech does."""

import numpy as np
import pytest

from bayscribe_relay.clinical.speech import Word
from bayscribe_relay.transcribe.config import GateConfig
from bayscribe_relay.transcribe.gate import quiet, refusal
from bayscribe_relay.transcribe.recogniser import Stretch

GATE = GateConfig()


def stretch(
    text: str, no_speech: float = 0.2, log_probability: float = -0.3, word: float = 0.9
) -> Stretch:
    words = text.split()
    timed = tuple(Word(w, 0.4 * k, 0.4 * k + 0.3, word) for k, w in enumerate(words))
    return Stretch(timed, no_speech, log_probability, 1.2)


def test_speech_passes() -> None:
    for said in (
        "Give two liters of lactated Ringer's, wide open.",
        "Yes.",
        "Noted.",
        "Thank you, the lactate is 4.2.",
        "No, no, no chest pain.",
    ):
        assert refusal(stretch(said), GATE) == "", said


@pytest.mark.parametrize(
    ("heard", "reason"),
    [
        (stretch("Give two liters.", no_speech=0.7), "no-speech"),
        (stretch("Give two liters.", log_probability=-1.1), "improbable"),
        (stretch("Let us look.", no_speech=0.56, log_probability=-0.77), "improbable"),
        (stretch("Give two liters.", word=0.3), "improbable-words"),
        (stretch("a picture of a picture of a picture of a picture of"), "repetition"),
        (stretch("no " * 8), "repetition"),
        (stretch("Thank you for watching, and see you in the next video."), "farewell"),
        (stretch("Thank you."), "farewell"),
        (stretch("Subtitles by the community"), "farewell"),
        (stretch("[Music]"), "no-words"),
        (stretch("(coughing)"), "no-words"),
        (stretch("..."), "no-words"),
        (Stretch((), 0.0, 0.0, 1.0), "no-words"),
        (
            Stretch(tuple(Word(w, 0.1, 0.2, 0.9) for w in "abcde"), 0.1, -0.2, 1.0),
            "too-fast",
        ),
    ],
)  # fmt: skip
def test_what_whisper_says_over_noise_does_not_pass(heard: Stretch, reason: str) -> None:
    assert refusal(heard, GATE) == reason


def test_digital_silence_is_quiet_and_a_whisper_is_not() -> None:
    assert quiet(np.zeros(16_000, np.int16))
    assert quiet(np.zeros(0, np.int16))
    assert not quiet(np.full(16_000, 30, np.int16))


def test_a_sentence_said_twice_counts_unless_it_is_doubtful_that_anybody_speaks() -> None:
    words = "do you like to go on for it"
    for no_speech, reason in ((0.3, ""), (0.595, "repetition")):
        one = stretch(words, no_speech=no_speech, log_probability=-0.6)
        other = stretch("the lactate is back", no_speech=no_speech, log_probability=-0.6)
        assert refusal(one, GATE, (one, one)) == reason
        assert refusal(one, GATE, (one, other)) == ""

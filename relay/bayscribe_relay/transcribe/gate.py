"""No speech, no text: which recognised stretches count.

Whisper writes fluent sentences over noise. What gives them away: it says itself that nobody
spoke, its tokens or words are improbable, the text repeats itself, or it is one of the phrases
with which its training material (captioned videos) ended.
"""

import re
import zlib
from collections.abc import Sequence
from typing import Final

from bayscribe_relay.transcribe.config import GateConfig
from bayscribe_relay.transcribe.recogniser import Pcm, Stretch

QUIET_RMS: Final = 8.0
"""Digital RMS (of 32768) under which there is nothing to recognise: -72 dBFS, 48 dB SPL."""

_NEAR_NO_SPEECH: Final = 0.05
_NEAR_IMPROBABLE: Final = 0.1
"""So near to both limits at once is too near: in 15 minutes of 70 dB SPL noise what passed lay at
0.56 and 0.58 with -0.77 and -0.79; of 26 stretches of speech on the repository's scenes one did."""

_WORDS_A_SECOND: Final = 7.0
"""Faster than anybody speaks (conversational English: 2 to 4)."""

_FAREWELLS: Final = re.compile(
    r"^(thank(s| you)( (all|very much|so much|for .*))?|bye( bye)*|you|see you .*|we ll see you .*"
    r"|(please )?(like and )?subscribe.*|.*\b(subtitles?|captions?|transcri(bed|ption)) by\b.*"
    r"|.*\bamara ?org\b.*|.*thanks? (you )?for (watching|listening|joining).*|.*\bnext video\b.*"
    r"|the end|(so|oh|ah|um+|uh+|m+ ?h+m+))$"
)
"""What it says most over noise; a person who says just this adds nothing to a chart."""

_SOUND: Final = re.compile(r"[\[(*♪].*?[\])*♪]")
"""A sound that is described: ``[Music]``, ``(coughing)``."""


def refusal(stretch: Stretch, gate: GateConfig, heard: Sequence[Stretch] = ()) -> str:
    """Why a stretch does not count as speech; empty if it does.

    Args:
        stretch: in question.
        gate: the limits.
        heard: all stretches of the same audio: who speaks may say a sentence twice, but where
            it is doubtful that anybody speaks, a sentence said twice is the recogniser's.
    """
    words, text = stretch.words, _text(stretch)
    spoken = plain(text)
    if not spoken or not plain(_SOUND.sub(" ", text)):
        return "no-words"
    if stretch.no_speech > gate.no_speech_most:
        return "no-speech"
    doubtful = stretch.no_speech > gate.no_speech_most - _NEAR_NO_SPEECH
    if stretch.log_probability < gate.log_probability_least + _NEAR_IMPROBABLE * doubtful:
        return "improbable"
    if doubtful and sum(plain(_text(each)) == spoken for each in heard) > 1:
        return "repetition"
    if sum(word.probability for word in words) / len(words) < gate.word_least:
        return "improbable-words"
    if stretch.compression > gate.compression_most or repeats(spoken):
        return "repetition"
    if len(words) > 3 and len(words) > _WORDS_A_SECOND * (words[-1].end - words[0].start):
        return "too-fast"
    return "farewell" if _FAREWELLS.match(spoken) else ""


def _text(stretch: Stretch) -> str:
    return " ".join(word.text for word in stretch.words)


def quiet(pcm: Pcm) -> bool:
    """Whether there is nothing in the audio at all."""
    return len(pcm) == 0 or float((pcm.astype(float) ** 2).mean()) < QUIET_RMS**2


def plain(text: str) -> str:
    """Lower case, letters and digits alone, single spaces."""
    return " ".join(re.findall(r"[a-z0-9]+", text.lower()))


def repeats(spoken: str) -> bool:
    """Whether three words in a row stand there three times, or one six times running."""
    words = spoken.split()
    triples = list(zip(words, words[1:], words[2:], strict=False))
    if any(triples.count(each) >= 3 for each in set(triples)):
        return True
    runs = zip(*(words[k:] for k in range(6)), strict=False)
    if any(len(set(run)) == 1 for run in runs):
        return True
    return len(spoken) > 120 and len(spoken) / len(zlib.compress(spoken.encode())) > 2.2

"""Sentences from what was said: the speaker named, the words quoted as they were."""

import re
from collections.abc import Sequence
from typing import Final

from bayscribe_relay.clinical.drafts import Link, Sentence
from bayscribe_relay.clinical.speech import Utterance
from bayscribe_relay.notes import kinds
from bayscribe_relay.notes.charted import Placed
from bayscribe_relay.notes.wording import bare, spoken

_ANSWER_WORDS: Final = 8
_ANSWER_NS: Final = 15 * 10**9
_ASKING: Final = frozenset(
    [
        "do",
        "does",
        "did",
        "are",
        "is",
        "have",
        "has",
        "had",
        "any",
        "when",
        "where",
        "what",
        "how",
        "which",
        "who",
        "why",
        "can",
        "could",
        "were",
        "was",
    ]
)
_EXAM: Final = re.compile(
    r"\b(on exam|exam(ination)? (shows|is)|auscultation|lungs?|heart sounds|abdomen|tender(ness)?|"
    r"pupils?|murmur|(o)?edema|crackles|wheez\w*|rales|rebound|guarding|cap(illary)? refill)\b",
    re.IGNORECASE,
)
_PLAN: Final = re.compile(
    r"\b(i will|we will|we'll|i'll|let's|going to|plan|order|start(ing)?|admit|discharge|consult|"
    r"concern(ed)? for|suspect(ed)?|impression|diagnosis|likely|sepsis|differential)\b",
    re.IGNORECASE,
)
_PROCEDURE: Final = re.compile(
    r"\b(time[- ]out|sterile|consent|lidocaine|guidewire|suture\w*|catheter|intubat\w*|blade)\b",
    re.IGNORECASE,
)
_HISTORY: Final = ("patient", "visitor", "family", "unknown")


def statements(
    utterances: Sequence[Utterance], sections: Sequence[str], doubtful_below: float
) -> list[Placed]:
    """A sentence for each turn; a short answer stands with the question that it answers."""
    placed: list[Placed] = []
    question: Utterance | None = None
    for one in utterances:
        text = spoken(one, doubtful_below)
        if not text:
            continue
        if asks(one):
            question = one
            continue
        answers = question is not None and _answers(question, one)
        if question is not None and answers:
            asked = spoken(question, doubtful_below)
            line = f"Asked “{asked}”, {_who(one, inside=True)} answers “{text}”."
            made = Sentence(
                id=f"said-{one.id}", text=line, origin="said", links=(_link(question), _link(one))
            )
        else:
            line = f"{_who(one)} “{text}”."
            made = Sentence(id=f"said-{one.id}", text=line, origin="said", links=(_link(one),))
        if question is not None and one.speaker != question.speaker:
            question = None  # whoever speaks next has answered it, or has not
        placed.append((_section(one, text, sections), made))
    return placed


def heard(utterances: Sequence[Utterance]) -> list[Utterance]:
    """Turns that hold words, in order of time."""
    kept = [u for u in utterances if not u.withdrawn and u.words]
    return sorted(kept, key=lambda u: (u.start_ns, u.id))


def _link(one: Utterance) -> Link:
    return Link(kind="utterance", ref=one.id, start=one.start, end=one.end)


def asks(one: Utterance) -> bool:
    """Whether a turn is a question of staff: it states nothing by itself."""
    words = one.text.split()
    if one.speaker == "patient" or not words:
        return False
    staff = one.primary or one.speaker.split("-")[0] not in _HISTORY
    opens = len(words) > 2 and bare(words[0]) in _ASKING and not words[-1].endswith((".", "!"))
    return words[-1].endswith("?") or (staff and opens)


def _answers(question: Utterance, one: Utterance) -> bool:
    return (
        one.speaker != question.speaker
        and len(one.words) <= _ANSWER_WORDS
        and 0 <= one.start_ns - question.start_ns <= _ANSWER_NS
    )


def _who(one: Utterance, *, inside: bool = False) -> str:
    if one.primary:
        return "the clinician" if inside else "The clinician states:"
    label = re.sub(r"[^A-Za-z0-9 -]", " ", one.speaker)
    label = "respiratory therapist" if label == "respiratory-therapist" else label
    known = label in ("patient", "nurse", "visitor", "respiratory therapist")
    who = label if known else f"speaker {label}"
    if inside:
        return f"the {who}" if known else who
    verb = "reports" if label == "patient" else "states"
    return f"The {who} {verb}:" if known else f"{who[0].upper()}{who[1:]} {verb}:"


def _section(one: Utterance, text: str, sections: Sequence[str]) -> str:
    if not one.primary:
        history = one.speaker.split("-")[0] in _HISTORY
        return kinds.HPI if history else kinds.COURSE
    if kinds.PROCEDURE in sections and _PROCEDURE.search(text):
        return kinds.PROCEDURE
    if kinds.EXAM in sections and _EXAM.search(text):
        return kinds.EXAM
    return kinds.PLAN if _PLAN.search(text) else kinds.COURSE

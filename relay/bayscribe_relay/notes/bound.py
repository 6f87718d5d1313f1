"""What a language model's sentence must keep beyond words: what belongs together, and to whom.

A model can be wrong with the right words: a number beside another measurement, "ordered"
turned into "given", a condition left out. So of its sentences more is asked than of those
that the composer builds by a fixed pattern. Words are compared here as well, not understood.
"""

import re
from collections.abc import Collection, Iterable, Sequence
from typing import Final

from bayscribe_relay.clinical.speech import Utterance
from bayscribe_relay.notes import tokens, wording
from bayscribe_relay.notes.recorded import PIECE, Charted, belong
from bayscribe_relay.notes.said import asks

_GRAMMAR_WORDS: Final = """
the a an of and at to in is are was were with by his her their patient patient's that this has
have had on for from as be it or
"""
_GRAMMAR: Final = frozenset(_GRAMMAR_WORDS.split())
"""Words that a model may add: alone they state nothing."""

_TELLS: Final = frozenset(["reports", "states", "says", "asked", "answers"])
_ROLES: Final = frozenset(
    ["clinician", "nurse", "visitor", "respiratory", "therapist", "speaker", "unknown"]
)

_TURNING_WORDS: Final = """
if unless whether maybe perhaps might may could would should possible possibly probable probably
likely unlikely suspect suspected suspicion concern concerned rule ruled consider considered
history previous previously prior past ago yesterday today last used stopped before until except
had was were mother father mom dad parents brother sister son daughter wife husband family uncle
aunt cousin grandmother grandfather only almost about around left right allergic allergy
think thinks thought believe believes guess afraid worried said says told tell say write writes
note pretend imagine ignore disregard forget instead
"""
_TURNING: Final = frozenset(_TURNING_WORDS.split())
"""Condition, doubt, past, relative, side, degree, what somebody is told to say: without them a
statement says something else."""

_SPELLED_WORDS: Final = """
zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
sixteen seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred
thousand half quarter once twice first second third
"""
_SPELLED: Final = frozenset(_SPELLED_WORDS.split())

_SUBJECTS_WORDS: Final = "the a an i me my she he they her his their patient patient's"
_SUBJECTS: Final = frozenset(_SUBJECTS_WORDS.split())
_SAME: Final = {"has": "have"}
_SENTENCE: Final = re.compile(r"[.!;](?!\d)|(?<=\?)")
_SIGNS: Final = frozenset(" .,;:'\"“”’()/%°-")


def problem(
    text: str,
    spoken: Sequence[Utterance],
    charted: Sequence[Charted],
    arithmetic: Collection[float] = (),
) -> str:
    """Why a model's sentence does not pass; empty if it does.

    Args:
        text: of the sentence, without marks of doubt.
        spoken: turns that it links to.
        charted: events that it links to.
        arithmetic: what volume and weight of its events give.
    """
    source = " ".join([*(u.text for u in spoken), *(c.words for c in charted)])
    said = [part for u in spoken for part in _SENTENCE.split(u.text) if part.strip()]
    if not _words_of(text) - _roles(spoken) and not _counts(text):
        return "it states nothing"
    if any(c not in _SIGNS and not c.isalnum() and c not in source for c in text):
        return "a sign is not its source's"
    if not _own_speakers(text, spoken):
        return "it names another speaker"
    if not _words_of(text) - _allowed(charted) - _roles(spoken) <= _words_of(source):
        return "a word is not its source's"
    if not _stated(text, spoken, charted):
        return "its words were only asked"
    if not all(_kept_whole(text, part) for part in said):
        return "a statement was taken apart"
    rest = _without(text, spoken, said)
    if _turned(rest, charted):
        return "a statement was taken apart"
    if not belong(rest, charted, arithmetic):
        return "a number or time belongs to something else"
    return ""


def marked(text: str, spoken: Iterable[Utterance], doubtful_below: float) -> str:
    """The text with every word marked that the recogniser was unsure of wherever it was said."""
    sure: dict[str, bool] = {}
    for word in (w for u in spoken for w in u.words):
        for piece in _pieces(word.text):
            sure[piece] = sure.get(piece, False) or word.probability >= doubtful_below
    plain = text.replace(f" {wording.DOUBTFUL}", "").replace(wording.DOUBTFUL, "")
    return PIECE.sub(
        lambda m: m[0] if sure.get(_key(m[0]), True) else f"{m[0]} {wording.DOUBTFUL}", plain
    )


def meaning(text: str) -> list[str]:
    """The words of a text in their order, without those that name whose statement it is."""
    return [piece for piece, _, _ in _row(text.replace(wording.DOUBTFUL, ""))]


def _row(text: str) -> list[tuple[str, int, int]]:
    """As :func:`meaning`, each with where it begins and ends."""
    left = _SUBJECTS | _TELLS | wording.FILLERS
    found = []
    for match in PIECE.finditer(text.replace("’", "'")):
        piece = _key(match[0])
        if piece not in left:
            found.append((_SAME.get(piece, piece), match.start(), match.end()))
    return found


def restates(text: str, one: Utterance) -> bool:
    """Whether a text says all the words of a turn in their order, and whose they are."""
    mine = _roles([one])
    source = meaning(one.text)
    row = [p for p in meaning(text) if p not in mine or p in source]
    return bool(source) and row == source and bool(mine & set(tokens.words(text)))


def _key(piece: str) -> str:
    return _plain(piece) if piece[0].isdecimal() else piece.casefold()


def _pieces(text: str) -> list[str]:
    return [_key(p) for p in PIECE.findall(text.replace("’", "'"))]


def _plain(number: str) -> str:
    """One way to write a number; a time stays."""
    return number if ":" in number else f"{tokens.value(number):.10g}"


def _numbers(text: str) -> list[str]:
    return [p for p in PIECE.findall(text) if p[0].isdecimal()]


def _words_of(text: str) -> set[str]:
    return set(tokens.words(text)) - _GRAMMAR - _TELLS


def _roles(spoken: Iterable[Utterance]) -> set[str]:
    """Words that name the speakers of the sources."""
    found: set[str] = set()
    for one in spoken:
        named = set(tokens.words(one.speaker)) & {*_ROLES, "patient"}
        if one.primary:
            found.add("clinician")
        else:
            found |= named - {"unknown"} or {*named, "speaker"}
    return found


def _own_speakers(text: str, spoken: Sequence[Utterance]) -> bool:
    """Whether whoever is said to tell something is who told it."""
    row, mine = tokens.words(text), _roles(spoken)
    said = {word for u in spoken for word in tokens.words(u.text)}
    for before, word in zip(["", *row], row, strict=False):
        if word in _TELLS - said and before not in mine:
            return False
    return True


def _allowed(charted: Iterable[Charted]) -> set[str]:
    """Words that say what kind of record a linked event is."""
    found: set[str] = set()
    for one in charted:
        event = one.event
        if event.kind == "med_given":
            found.add("given")
        if event.kind in ("order", "med_order", "rx"):
            found.add("ordered")
        if event.kind in ("obs", "proc"):
            found.add("recorded")
        if event.concept.startswith("lab."):
            found |= {"resulted", "laboratory"} | ({"collected"} if event.collected_ns else set())
        if event.status in ("preliminary", "corrected"):
            found.add(event.status)
        if event.xuln > 1:
            found |= {"abnormal", "times", "upper", "limit"}
        if event.concept == "lab.critical_flag":
            found |= {"critical", "flagged"}
        if event.concept == "med.crystalloid_bolus":
            found.add("crystalloid")
    return found


def _stated(text: str, spoken: Sequence[Utterance], charted: Sequence[Charted]) -> bool:
    """Whether something but questions holds the sentence's words."""
    told = " ".join([*(u.text for u in spoken if not asks(u)), *(c.words for c in charted)])
    asked = " ".join(u.text for u in spoken if asks(u))
    return not _words_of(text) & (_words_of(asked) - _words_of(told))


def _kept_whole(text: str, said: str) -> bool:
    """Whether a sentence of a source is taken over whole where a part of it would mislead.

    That is one with a negation, condition, doubt, past or relative of which any word that
    carries meaning is used, and one of whose numbers any is used.
    """
    words = set(tokens.words(said))
    turned = bool(words & _TURNING) or any(tokens.negates(w) for w in words)
    shared = bool(_words_of(text) & _words_of(said))
    counted = bool(_counts(text) & _counts(said))
    return not (counted or (turned and shared)) or _holds(text, said)


def _turned(rest: str, charted: Iterable[Charted]) -> bool:
    """Whether a negation, condition or the like is left beside the statements that hold one."""
    words = {word for one in charted for word in _turns(one.words)}
    return not set(_turns(rest)) <= words


def _turns(text: str) -> list[str]:
    return [w for w in tokens.words(text) if w in _TURNING or tokens.negates(w)]


def _without(text: str, spoken: Iterable[Utterance], said: Iterable[str]) -> str:
    """The text without labels of speakers and without what it holds of their statements."""
    for one in spoken:
        text = re.sub(rf"\b{re.escape(one.speaker)}\b", " ", text, flags=re.IGNORECASE)
    for part in sorted(said, key=len, reverse=True):
        if (span := _span(text, part)) is not None:
            text = f"{text[: span[0]]} {text[span[1] :]}"
    return text


def _holds(text: str, said: str) -> bool:
    return _span(text, said) is not None


def _span(text: str, said: str) -> tuple[int, int] | None:
    """Where a text holds all words of a statement in their order."""
    row, part = _row(text), meaning(said)
    words = [piece for piece, _, _ in row]
    for n in range(len(row) - len(part) + 1):
        if part and words[n : n + len(part)] == part:
            return row[n][1], row[n + len(part) - 1][2]
    return None


def _counts(text: str) -> set[str]:
    """Numbers and times, in digits or in words."""
    return {_plain(n) for n in _numbers(text)} | (set(tokens.words(text)) & _SPELLED)

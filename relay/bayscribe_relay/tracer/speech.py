"""From an attributed utterance to the concepts of the catalogue that were said in it.

A rule-based reading in the manner of NegEx (Chapman et al. 2001) and ConText (Harkema et al.
2009): phrases find a concept; words before or behind it, up to a word that ends their reach,
make it negated, historical, hypothetical, the family's or a question. The algorithm is their
idea, the code and the lists are ours (`listening/`).

Words of which the recogniser was not sure never say a concept; but an uncertain "no" still
negates: doubt may only weaken.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from bayscribe_relay.tracer.answers import answered
from bayscribe_relay.tracer.lexicon import Concept, Lexicon, Modifier, Phrase, load_lexicon
from bayscribe_relay.tracer.spoken_text import tokens
from bayscribe_relay.tracer.spoken_time import When, minute_of, read_time
from bayscribe_relay.tracer.timeline import CLINICIANS, Mention, Utterance

SURE = 0.5
"""Least probability of a word that counts as said."""

_ROLES = {
    "attending": ("attending", "physician", "doctor", "consultant"),
    "resident": ("resident", "fellow", "registrar"),
    "app": ("app", "pa", "np", "apn", "aprn", "midlevel"),
    "nurse": ("nurse", "rn", "charge"),
    "patient": ("patient",),
    "family": ("family", "visitor", "mother", "father", "wife", "husband", "parent", "spouse"),
}
_ONE_WORD = 16
"""Letters by which "septic shock" is longer than "septic": not a whole clause around it."""
_HARD = re.compile(r"[.;?!] ")
_UNSURE = "~"
_ASKS = re.compile(
    r"(?:is|are|was|were|does|do|did|has|have|could|would|should) "
    r"(?:she|he|it|this|that|they|you|we|there|anyone|anybody) "
)
"""How a question begins, when the recogniser wrote no mark."""


def role_of(label: str, *, primary: bool) -> str:
    """The speaker's role as the catalogue names it, from a diarization label."""
    if primary:
        return "attending"
    words = re.findall(r"[a-z]+", label.lower())
    for role, names in _ROLES.items():
        if any(word in names for word in words):
            return role
    return "unknown"


@dataclass(frozen=True)
class Heard:
    """A concept found in a text, with its place there."""

    concept: str
    polarity: str
    start: int
    end: int
    criterion: str | None = None
    value: float | None = None
    when: When | None = None
    negative: bool = False


def listen(
    words: str | Sequence[tuple[str, float]],
    *,
    speaker: str,
    primary: bool,
    t: int,
    received: int | None = None,
    start: int | None = None,
    utterance: str | None = None,
    version: int = 0,
    before: str = "",
    asked: str = "",
    asked_by: str = "",
    lexicon: Lexicon | None = None,
) -> Utterance:
    """An utterance as the tracer takes it.

    Args:
        words: the text, or words each with its probability.
        speaker: the diarization label or role.
        primary: the primary clinician's voice.
        t: when it was spoken, in minutes from arrival.
        received: when it became known; ``t`` by default.
        start: arrival in minutes after midnight, to resolve clock times.
        utterance: id of the turn.
        version: of the turn.
        before: what the same speaker said just before, for statements in two pieces.
        asked: what a clinician said just before somebody else did, for questions and answers.
        asked_by: the clinician's role, who has then stated what was answered.
        lexicon: other words than the built-in ones.
    """
    pairs = [(words, 1.0)] if isinstance(words, str) else list(words)
    text = " ".join(word for word, _ in pairs)
    role = role_of(speaker, primary=primary)
    received = t if received is None else received
    mentions = []
    for heard in [*understand(pairs, lexicon), *_across(before, pairs, lexicon)]:
        about = None
        if heard.when is not None:
            about = minute_of(heard.when, t, start)
            if about is None:
                continue
        mentions.append(
            Mention(
                t=t,
                received=received,
                speaker=role,
                text=text,
                concept=heard.concept,
                polarity=heard.polarity,
                criterion=heard.criterion,
                value=heard.value,
                about=about,
                utterance=utterance,
            )
        )
    if asked and asked_by in CLINICIANS and role not in CLINICIANS:
        sure = [(word, probability >= SURE) for word, probability in pairs]
        mentions += [
            Mention(
                t=t,
                received=received,
                speaker=asked_by,
                text=f"{asked} - {text}",
                concept=concept,
                polarity="affirmed",
                utterance=utterance,
            )
            for concept in answered(asked, sure, lexicon or load_lexicon())
        ]
    return Utterance(
        t=t,
        received=received,
        mentions=tuple(mentions),
        id=utterance,
        version=version,
    )


def understand(words: Sequence[tuple[str, float]], lexicon: Lexicon | None = None) -> list[Heard]:
    """The concepts in a text: each with each polarity at most once, in order of the lexicon."""
    known = lexicon or load_lexicon()
    read = tokens([(text, probability >= SURE) for text, probability in words])
    if not read:
        return []
    plain = "".join(f"{token.text} " for token in read)
    # An unsure word is masked at its length, so that places agree in both texts.
    sure = "".join(f"{token.text if token.sure else _UNSURE * len(token.text)} " for token in read)
    marks = _Context(plain, known)
    found = [heard for concept in known.concepts for heard in _find(concept, sure, marks)]
    return list({(h.concept, h.polarity, h.criterion): h for h in reversed(_kept(found))}.values())[
        ::-1
    ]


def _across(
    before: str, words: Sequence[tuple[str, float]], lexicon: Lexicon | None
) -> list[Heard]:
    """Statements whose parts stand in this utterance and the one before."""
    known = lexicon or load_lexicon()
    split = replace(known, concepts=tuple(c for c in known.concepts if c.adjacent))
    if not before.strip() or not split.concepts:
        return []
    joined = [(f"{before.rstrip(' .;!')},", 1.0), *words]
    found = understand(joined, split)
    if not found:
        return []
    alone = {h.concept for part in ([(before, 1.0)], words) for h in understand(part, split)}
    return [h for h in found if h.concept not in alone]


def _kept(found: list[Heard]) -> list[Heard]:
    """Without words that are only a negated part of a longer expression ("septic" in shock)."""
    return [
        inner
        for inner in found
        if inner.polarity == "affirmed"
        or not any(
            outer.concept != inner.concept
            and not outer.negative
            and outer.start <= inner.start
            and inner.end <= outer.end
            and 0 < (outer.end - outer.start) - (inner.end - inner.start) <= _ONE_WORD
            for outer in found
        )
    ]


def _find(concept: Concept, text: str, marks: "_Context") -> Iterator[Heard]:
    for phrase in concept.phrases:
        for found in phrase.pattern.finditer(text):
            heard = _heard(concept, phrase, found, marks)
            if heard is not None:
                yield heard
    if concept.elements:
        yield from _elements(concept, text, marks)


def _heard(
    concept: Concept, phrase: Phrase, found: re.Match[str], marks: "_Context"
) -> Heard | None:
    value = None
    if concept.low is not None and concept.high is not None:
        numbers = [float(g) for g in found.groups() if g and not re.search("[:/]", g)]
        fitting = [n for n in numbers if concept.low <= n <= concept.high]
        if not fitting:
            return None
        value = fitting[-1]
    when = None
    if concept.clock:
        when = read_time(marks.sentence(found.start(), found.end()))
        if when is None:
            return None
    negative = concept.negative or phrase.negative
    place = found.span()
    polarity = marks.polarity(*place, meant=_part_of(concept, negative=negative))
    return Heard(concept.name, polarity, *place, phrase.criterion, value, when, negative)


def _elements(concept: Concept, text: str, marks: "_Context") -> Iterator[Heard]:
    """Several parts in one utterance make the statement."""
    places = []
    for group in concept.elements:
        spans = [m.span() for phrase in group for m in phrase.pattern.finditer(text)]
        meant = _part_of(concept, negative=concept.negative)
        spoken = [span for span in spans if marks.polarity(*span, meant=meant) == "affirmed"]
        if spoken:
            places.append(min(spoken))
    if len(places) >= concept.at_least:
        yield Heard(concept.name, "affirmed", min(p[0] for p in places), max(p[1] for p in places))


def _part_of(concept: Concept, *, negative: bool) -> frozenset[str]:
    """The turns of meaning that belong to a concept and do not turn it."""
    parts = {"negated": negative, "historical": concept.past, "hypothetical": concept.conditional}
    return frozenset(kind for kind, belongs in parts.items() if belongs)


class _Context:
    """The words around a place in a text that change what is said there."""

    def __init__(self, text: str, lexicon: Lexicon) -> None:
        self._text = text
        self._starts = [0, *(m.end() for m in _HARD.finditer(text))]
        self._ends = [*(m.start() for m in _HARD.finditer(text)), len(text)]
        harmless = [m.span() for p in lexicon.harmless for m in p.finditer(text)]
        self._marks = [
            (modifier, found.start(), found.end())
            for modifier in lexicon.modifiers
            for found in modifier.pattern.finditer(text)
            if not any(a <= found.start() < b for a, b in harmless)
        ]
        self._stops = [m.span() for p in lexicon.ends for m in p.finditer(text)]

    def sentence(self, start: int, end: int) -> str:
        """The sentence that holds a place."""
        first = max(s for s in self._starts if s <= start)
        last = min((e for e in self._ends if e >= end), default=len(self._text))
        return self._text[first:last]

    def polarity(self, start: int, end: int, *, meant: frozenset[str]) -> str:
        """How what stands at a place is meant; kinds in ``meant`` do not turn it."""
        first = max(s for s in self._starts if s <= start)
        last = min((e for e in self._ends if e >= end), default=len(self._text))
        kinds = set()
        for modifier, at, until in self._marks:
            if at < first or until > last + 1:
                continue
            if self._applies(modifier, (at, until), (start, end), last):
                kinds.add(modifier.kind)
            elif modifier.kind == "negated" and start < at and until <= end:
                kinds.add("negated")
        if self._text[last : last + 1] == "?" or _ASKS.match(self._text, first):
            kinds.add("question")
        order = ("question", "family", "hypothetical", "historical", "negated")
        return next((kind for kind in order if kind in kinds - meant), "affirmed")

    def _applies(
        self, modifier: Modifier, mark: tuple[int, int], place: tuple[int, int], last: int
    ) -> bool:
        begin, finish = (mark[1], place[0]) if modifier.after else (place[1], mark[0])
        if begin > finish:
            return False
        between = self._text[begin:finish]
        if between.count(" ") > modifier.reach:
            return False
        # A comma ends a "no", unless it makes a list ("no fever, chills or sepsis").
        if modifier.kind == "negated" and ", " in between:
            rest = self._text[begin:last]
            if not re.search(r" (?:or|nor) ", rest):
                return False
        return not any(begin <= a and b <= finish for a, b in self._stops)

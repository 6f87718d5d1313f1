"""Whether each sentence says only what its sources say.

A sentence passes when it has sources that exist, and every number, time, unit and negation in
it, and every word that carries meaning, is in them. Words are compared, not understood: the
check errs on the side of refusing. What a language model wrote must pass
:mod:`~bayscribe_relay.notes.bound` as well.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo
from typing import Final

from bayscribe_relay.clinical.drafts import Draft, Sentence
from bayscribe_relay.clinical.events import ClinicalEvent
from bayscribe_relay.clinical.speech import Utterance
from bayscribe_relay.notes import bound, tokens, wording
from bayscribe_relay.notes.facts import current, measured
from bayscribe_relay.notes.recorded import Charted

_FRAME: Final = frozenset(
    [
        "the",
        "a",
        "an",
        "of",
        "and",
        "at",
        "to",
        "in",
        "is",
        "are",
        "was",
        "were",
        "with",
        "by",
        "his",
        "her",
        "their",
        "patient",
        "patient's",
        "reports",
        "states",
        "says",
        "asked",
        "answers",
        "clinician",
        "nurse",
        "visitor",
        "respiratory",
        "therapist",
        "speaker",
        "unknown",
        "that",
        "this",
        "has",
        "have",
        "had",
        "on",
        "for",
        "given",
        "ordered",
        "recorded",
        "collected",
        "resulted",
        "criteria",
        "met",
        "sirs",
        "crystalloid",
        "weight",
        "administration",
        "record",
        "abnormal",
        "times",
        "upper",
        "limit",
        "preliminary",
        "corrected",
        "flagged",
        "critical",
        "laboratory",
        "from",
        "as",
        "be",
        "it",
        "or",
    ]
)
"""Words of the composer's own frames; they state nothing that could be true or false alone."""


@dataclass(frozen=True, slots=True)
class Violation:
    """A sentence that says what its sources do not; ``reason`` names no word of it."""

    sentence: str
    reason: str


def check_links(
    draft: Draft,
    events: Iterable[ClinicalEvent],
    utterances: Sequence[Utterance],
    zone: tzinfo = UTC,
) -> list[Violation]:
    """Every violation in a draft; the clinician's own words are not judged."""
    sources = Sources(events, utterances, zone)
    return [
        Violation(sentence.id, reason)
        for section in draft.sections
        for sentence in section.sentences
        if sentence.origin != "clinician" and (reason := sources.problem(_offered(sentence)))
    ]


def _without_fillers(text: str) -> str:
    return " ".join(word for word in text.split() if wording.bare(word) not in wording.FILLERS)


def _offered(sentence: Sentence) -> Sentence:
    if not sentence.original:
        return sentence
    return Sentence(
        id=sentence.id, text=sentence.original, origin=sentence.origin, links=sentence.links
    )


class Sources:
    """What sentences may be made of.

    Args:
        events: all versions.
        utterances: all turns.
        zone: in which times of day are written.
    """

    def __init__(
        self, events: Iterable[ClinicalEvent], utterances: Sequence[Utterance], zone: tzinfo
    ) -> None:
        self._events = {event.id: event for event in current(events)}
        self._spoken = {u.id: u for u in utterances if not u.withdrawn and u.words}
        self._zone = zone

    def problem(self, sentence: Sentence) -> str:
        """Why a sentence does not pass; empty if it does."""
        if not sentence.links:
            return "it has no source"
        events, spoken = [], []
        for link in sentence.links:
            event, utterance = self._events.get(link.ref), self._spoken.get(link.ref)
            if link.kind == "event" and event is not None:
                events.append(event)
            elif link.kind == "utterance" and utterance is not None:
                if (link.start, link.end) != (utterance.start, utterance.end):
                    return "its audio span is not its source's"
                spoken.append(utterance)
            else:
                return "its source does not exist"
        if sentence.origin == "suggestion":
            return ""
        return self._compare(sentence, events, spoken)

    def _compare(
        self, sentence: Sentence, events: Sequence[ClinicalEvent], spoken: Sequence[Utterance]
    ) -> str:
        text = sentence.text.replace(wording.DOUBTFUL, "")
        said = " ".join(u.text for u in spoken)
        # "3 um mg" is quoted as "3 mg": what fillers part belongs together.
        source = " ".join([said, _without_fillers(said), *(self._words(e) for e in events)])
        times = {t for e in events for t in self._times(e).values()} | tokens.times(source)
        if not tokens.times(text) <= times:
            return "a time is not its source's"
        rest, known = tokens.TIME.sub(" ", text), tokens.TIME.sub(" ", source)
        made = _arithmetic(events) | _labels(spoken)
        if not tokens.numbers(rest) <= tokens.numbers(known) | made:
            return "a number is not its source's"
        if not tokens.units(rest) <= tokens.units(known) | _arithmetic_units(events):
            return "a unit is not its source's"
        if tokens.negated(text) != tokens.negated(source):
            return "a negation was added or lost"
        frame = _speakers(spoken) | _FRAME | {u.casefold() for u in _arithmetic_units(events)}
        if not set(tokens.words(text)) - frame <= set(tokens.words(source)):
            return "a word is not its source's"
        quoted = re.findall(r"“([^”]*)”", text)
        if sentence.origin == "said" and not _quotes(quoted, spoken):
            return "the words are not those that were said"
        if sentence.origin == "model":
            charted = [Charted(e, self._words(e), self._times(e)) for e in events]
            return bound.problem(text, spoken, charted, _arithmetic(events))
        return ""

    def _words(self, event: ClinicalEvent) -> str:
        parts = [wording.name(event), wording.value(event), event.display, event.code]
        if event.volume_ml:
            parts.append(f"{wording.number(event.volume_ml)} mL")
        if event.xuln:
            parts.append(wording.number(event.xuln))
        return " ".join(parts)

    def _times(self, event: ClinicalEvent) -> dict[str, str]:
        moments = {"at": event.clinical_ns, "collected": event.collected_ns, "to": event.end_ns}
        return {w: wording.clock(t, self._zone) for w, t in moments.items() if t is not None}


def _speakers(spoken: Iterable[Utterance]) -> set[str]:
    return {word for u in spoken for word in tokens.words(u.speaker)}


def _labels(spoken: Iterable[Utterance]) -> set[float]:
    return {number for u in spoken for number in tokens.numbers(u.speaker)}


def _arithmetic(events: Sequence[ClinicalEvent]) -> set[float]:
    """Sums and quotients that the linked events themselves give: volume, and volume by weight."""
    volumes = [e.volume_ml for e in events if e.volume_ml > 0]
    if not volumes:
        return set()
    total, found = sum(volumes), {sum(volumes)}
    for event in events:
        exact = measured(event) if event.concept == "vital.weight_kg" else None
        if exact is not None and (kg := round(exact, 1)) > 0:
            found |= {kg, float(f"{total / kg:.1f}")}
    return found


def _arithmetic_units(events: Sequence[ClinicalEvent]) -> set[str]:
    both = any(e.volume_ml > 0 for e in events) and any(
        e.concept == "vital.weight_kg" for e in events
    )
    return {"mL", "kg", "mL/kg"} if both else set()


def _quotes(quoted: Sequence[str], spoken: Sequence[Utterance]) -> bool:
    """Each quotation is one source's words in their order, without fillers alone."""
    left = [_meaning(u.text) for u in spoken]
    for quotation in quoted:
        words = _meaning(quotation)
        if words not in left:
            return False
        left.remove(words)
    return bool(quoted) and not left


def _meaning(text: str) -> list[str]:
    bare = (wording.bare(word) for word in text.split())
    return [word for word in bare if word and word not in wording.FILLERS]

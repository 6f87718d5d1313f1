"""What the templates show, made of the store's types. Read only."""

import hashlib
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from bayscribe_relay.clinical.drafts import Draft, Link, Sentence
from bayscribe_relay.clinical.events import ClinicalEvent
from bayscribe_relay.clinical.prompts import PromptCard
from bayscribe_relay.clinical.speech import Utterance
from bayscribe_relay.clinical.stays import Stay
from bayscribe_relay.clinical.store import ClinicalStore
from bayscribe_relay.web.badge import Badge, badge
from bayscribe_relay.web.editing import undecided
from bayscribe_relay.writeback.outbox import Letter, Outbox

USUAL_SPEAKERS = ("nurse", "respiratory-therapist", "patient", "visitor")


def anchor(ref: str) -> str:
    """A page's own name for an utterance or event: ids of the EMR stand in no address."""
    return "x" + hashlib.sha256(ref.encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class ShownWord:
    """A word and whether the recogniser was unsure of it."""

    text: str
    unsure: bool
    percent: int


@dataclass(frozen=True, slots=True)
class ShownUtterance:
    """An utterance as the page shows it."""

    id: str
    anchor: str
    speaker: str
    primary: bool
    reattributed: bool
    unsure_speaker: bool
    start_ns: int
    words: tuple[ShownWord, ...]
    final: bool
    not_transcribed: str
    audio: str


@dataclass(frozen=True, slots=True)
class ShownLink:
    """Where a sentence comes from; ``audio`` is empty for what was not said."""

    anchor: str
    label: str
    audio: str


@dataclass(frozen=True, slots=True)
class ShownSentence:
    """A sentence and its sources."""

    sentence: Sentence
    links: tuple[ShownLink, ...]


@dataclass(frozen=True, slots=True)
class ShownSection:
    """A section of the draft."""

    loinc: str
    title: str
    sentences: tuple[ShownSentence, ...]


@dataclass(frozen=True, slots=True)
class ShownDraft:
    """The draft; ``undecided`` counts suggestions without an answer."""

    draft: Draft
    sections: tuple[ShownSection, ...]
    undecided: int
    signed: bool


@dataclass(frozen=True, slots=True)
class ShownEvent:
    """A fact of the chart."""

    anchor: str
    at_ns: int
    name: str
    value: str
    status: str


@dataclass(frozen=True, slots=True)
class BoardRow:
    """A stay on the board."""

    stay: Stay
    badge: Badge
    prompts: int
    recording: bool


@dataclass(frozen=True, slots=True)
class Patient:
    """The patient as the banner says it."""

    name: str
    mrn: str
    birth_date: str
    age: str
    sex: str


class Views:
    """Makes what the templates show.

    Args:
        clinical: the store.
        outbox: letters; None on a relay that writes nothing back.
        low_confidence: words below it are marked.
    """

    def __init__(
        self, clinical: ClinicalStore, outbox: Outbox | None, low_confidence: float
    ) -> None:
        self._clinical = clinical
        self._outbox = outbox
        self._low = low_confidence

    def letter(self, draft: Draft | None) -> Letter | None:
        """The letter of a signed draft."""
        if draft is None or not draft.signed_key or self._outbox is None:
            return None
        return self._outbox.get(draft.signed_key)

    def badge(self, stay: str) -> tuple[Badge, str]:
        """A stay's badge, and the key of its letter or empty."""
        draft = self._clinical.draft(stay)
        return badge(draft, self.letter(draft)), draft.signed_key if draft else ""

    def board(self, most_closed: int = 20) -> tuple[list[BoardRow], list[BoardRow]]:
        """Open stays by bay, and the closed ones that came last."""
        opened = self._clinical.stays(state="open")
        opened.sort(key=lambda s: (not s.bay, _natural(s.bay), s.arrived_ns))
        closed = self._clinical.stays(state="closed")[:most_closed]
        return [self._row(s) for s in opened], [self._row(s) for s in closed]

    def _row(self, stay: Stay) -> BoardRow:
        waiting = sum(card.state == "shown" for card in self._clinical.prompts(stay.id))
        bound = self._clinical.bindings(stay=stay.id)
        recording = stay.state == "open" and any(b.until_ns is None for b in bound)
        return BoardRow(stay, self.badge(stay.id)[0], waiting, recording)

    def utterances(self, stay: str) -> list[ShownUtterance]:
        """A stay's transcript."""
        spoken = self._clinical.utterances(stay=stay)
        return [self.utterance(stay, u) for u in spoken if not u.withdrawn]

    def utterance(self, stay: str, one: Utterance) -> ShownUtterance:
        """One utterance."""
        words = tuple(
            ShownWord(w.text, w.probability < self._low, round(100 * w.probability))
            for w in one.words
        )
        return ShownUtterance(
            id=one.id,
            anchor=anchor(one.id),
            speaker=one.speaker,
            primary=one.primary,
            reattributed=one.reattributed,
            unsure_speaker=one.confidence < self._low and not one.reattributed,
            start_ns=one.start_ns,
            words=words,
            final=one.final,
            not_transcribed=one.not_transcribed,
            audio=audio_path(stay, one.id),
        )

    def speakers(self, stay: Stay) -> list[str]:
        """Labels that a turn can be given: those heard, the clinician's, the usual ones."""
        heard = {u.speaker for u in self._clinical.utterances(stay=stay.id) if not u.withdrawn}
        own = [stay.clinician.label] if stay.clinician and stay.clinician.label else []
        others = sorted(heard - {*own, *USUAL_SPEAKERS})
        return [*own, *USUAL_SPEAKERS, *others]

    def prompts(self, stay: str) -> tuple[list[PromptCard], list[PromptCard]]:
        """Prompts that wait for an answer, the most urgent first, and settled ones."""
        cards = self._clinical.prompts(stay)
        waiting = [card for card in cards if card.state == "shown"]
        waiting.sort(key=lambda card: (card.due_ns is None, card.due_ns or 0, card.fired_ns))
        settled = [card for card in cards if card.state not in ("shown", "waiting")]
        return waiting, list(reversed(settled))

    def draft(self, stay: str) -> ShownDraft | None:
        """The latest draft with its sources."""
        draft = self._clinical.draft(stay)
        if draft is None:
            return None
        spoken = {u.id: u for u in self._clinical.utterances(stay=stay)}
        charted = {e.id: e for e in self._clinical.events(stay)}
        sections = tuple(
            ShownSection(
                s.loinc,
                s.title,
                tuple(
                    ShownSentence(x, tuple(_link(stay, k, spoken, charted) for k in x.links))
                    for x in s.sentences
                ),
            )
            for s in draft.sections
        )
        return ShownDraft(draft, sections, len(undecided(draft)), bool(draft.signed_key))

    def events(self, stay: str) -> list[ShownEvent]:
        """The chart's facts, latest version of each, latest first."""
        latest: dict[str, ClinicalEvent] = {}
        for event in self._clinical.events(stay):
            if event.id not in latest or event.version >= latest[event.id].version:
                latest[event.id] = event
        shown = sorted(latest.values(), key=lambda e: e.clinical_ns, reverse=True)
        return [
            ShownEvent(anchor(e.id), e.clinical_ns, _name(e), _value(e), e.status) for e in shown
        ]


def patient(stay: Stay, now_ns: int | None = None) -> Patient:
    """The banner's line."""
    who = stay.patient
    if not who.mrn:
        return Patient("Patient not identified yet", "", "", "", "")
    name = ", ".join(part for part in (who.family, who.given) if part) or "Name not known"
    age = ""
    try:
        born = date.fromisoformat(who.birth_date)
        today = date.fromtimestamp((now_ns or time.time_ns()) / 1e9)  # noqa: DTZ012 - a birthday is local
        age = str(today.year - born.year - ((today.month, today.day) < (born.month, born.day)))
    except ValueError:
        pass
    return Patient(name, who.mrn, who.birth_date, age, who.sex)


def audio_path(stay: str, utterance: str) -> str:
    """Address of an utterance's audio: opaque ids alone."""
    return f"/stays/{stay}/audio/{utterance}"


def _link(
    stay: str,
    link: Link,
    spoken: Mapping[str, Utterance],
    charted: Mapping[str, ClinicalEvent],
) -> ShownLink:
    if link.kind == "utterance" and (said := spoken.get(link.ref)) is not None:
        path = audio_path(stay, said.id)
        if link.start is not None and link.end is not None:
            path = f"{path}?start={link.start:.3f}&end={link.end:.3f}"
        return ShownLink(anchor(said.id), said.speaker, path)
    if link.kind == "event" and (event := charted.get(link.ref)) is not None:
        return ShownLink(anchor(event.id), _name(event), "")
    if link.kind == "patient":
        return ShownLink("patient", link.ref.replace("_", " "), "")
    return ShownLink("", "source is no longer in this stay", "")


def _name(event: ClinicalEvent) -> str:
    return event.display or event.concept or event.code or event.kind


def _value(event: ClinicalEvent) -> str:
    if event.volume_ml:
        return f"{event.volume_ml:g} mL"
    if event.value is None or isinstance(event.value, bool):
        return ""
    shown = f"{event.value:g}" if isinstance(event.value, float) else event.value
    return f"{shown} {_UNITS.get(event.unit, event.unit)}".strip()


_UNITS = {
    "Cel": "°C",
    "[degF]": "°F",
    "/min": "/min",
    "mm[Hg]": "mmHg",
    "10*3/uL": "×10³/µL",
    "umol/L": "µmol/L",
}
"""UCUM codes that people write otherwise."""


def _natural(text: str) -> tuple[tuple[int, int, str], ...]:
    """So that bay 2 stands before bay 10."""
    return tuple(
        (0, int(piece), "") if piece.isdigit() else (1, 0, piece)
        for piece in re.findall(r"[0-9]+|[^0-9]+", text)
    )

"""Joining a model's sentences with the composed draft: those that pass, and no others.

A composed sentence gives way only to one that says all of its words in their order and names
its speaker. Everything else of the model is added, so nothing that was said leaves the draft.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Final

from msgspec.structs import replace

from bayscribe_relay.clinical.drafts import Draft, Dropped, Link, ModelUse, Section, Sentence
from bayscribe_relay.clinical.events import ClinicalEvent
from bayscribe_relay.clinical.speech import Utterance
from bayscribe_relay.notes import kinds
from bayscribe_relay.notes.bound import marked, restates
from bayscribe_relay.notes.check import Sources
from bayscribe_relay.notes.facts import current
from bayscribe_relay.notes.model.answer import Proposed

_TEXT_MAX: Final = 1_000
_SHOWN_MAX: Final = 300
"""Characters of a dropped sentence that are kept for the page."""

Placed = tuple[str, Sentence]
"""Section code and sentence."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of asking a model.

    Attributes:
        use: what the draft is to say of it.
        proposed: its sentences; None if it was not used.
        refs: what the names of its sources stand for.
    """

    use: ModelUse
    proposed: Sequence[Proposed] | None
    refs: Mapping[str, Link]


@dataclass(frozen=True, slots=True)
class Material:
    """What sentences are judged by, as it is now."""

    sources: Sources
    spoken: Mapping[str, Utterance]
    event_ids: frozenset[str]
    doubtful_below: float

    @classmethod
    def of(
        cls,
        events: Sequence[ClinicalEvent],
        spoken: Sequence[Utterance],
        zone: tzinfo,
        doubtful_below: float,
    ) -> "Material":
        """Of all versions of a stay's events and all its turns."""
        heard = {u.id: u for u in spoken if not u.withdrawn and u.words}
        ids = frozenset(e.id for e in current(events))
        return cls(Sources(events, spoken, zone), heard, ids, doubtful_below)

    def holds(self, ids: Iterable[str]) -> bool:
        """Whether all of these are still sources of this stay."""
        return all(one in self.spoken or one in self.event_ids for one in ids)

    def turns(self, links: Iterable[Link]) -> list[Utterance]:
        """The turns that links name."""
        return [self.spoken[k.ref] for k in links if k.kind == "utterance" and k.ref in self.spoken]


def join(new: Draft, old: Draft | None, answered: Answered | None, material: Material) -> Draft:
    """A new composition with the model's sentences: of this answer, or of the ones before.

    Args:
        new: as composed.
        old: the draft in force; its model's sentences are judged again by what is known now.
        answered: what came of asking, or None if the model was not asked.
        material: sources.
    """
    before = _before(old, material)
    if answered is None or answered.proposed is None:
        use = old.model if old is not None else None
        if answered is not None:
            use = replace(use or answered.use, failure=answered.use.failure)
        joined = _placed(new, old, before, material)
        return replace(joined, model=use, dropped=_still(old, material))
    passed, dropped = _judged(answered, new, material)
    decided = [one for one in before if one[1].outcome != "open"]
    joined = _placed(new, old, [*decided, *passed], material)
    kept = old.model.versions if old is not None and old.model is not None and decided else ()
    versions = tuple(dict.fromkeys([*kept, *answered.use.versions]))
    return replace(joined, model=replace(answered.use, versions=versions), dropped=dropped)


def _before(old: Draft | None, material: Material) -> list[Placed]:
    """The model's sentences of the draft in force that still pass, as they were offered."""
    found = []
    for section in old.sections if old is not None else ():
        for one in section.sentences:
            offered = replace(one, text=one.original or one.text)
            if one.origin == "model" and not material.sources.problem(offered):
                found.append((section.loinc, offered))
    return found


def _still(old: Draft | None, material: Material) -> tuple[Dropped, ...]:
    """What was dropped, unless a source of the request has left the stay: it may repeat it."""
    if old is None or old.model is None or not material.holds(old.model.sources):
        return ()
    return old.dropped


def _judged(
    answered: Answered, new: Draft, material: Material
) -> tuple[list[Placed], tuple[Dropped, ...]]:
    passed: dict[str, Placed] = {}
    dropped = []
    for one in answered.proposed or ():
        links = tuple(_link(answered.refs.get(name), name, material) for name in one.sources)
        text = marked(one.text, material.turns(links), material.doubtful_below)
        made = Sentence(id=_ident(text, links), text=text, origin="model", links=links)
        if not text or len(text) > _TEXT_MAX:
            reason = "it is too long" if text else "it has no text"
        else:
            reason = material.sources.problem(made)
        if reason:
            dropped.append(Dropped(text=text[:_SHOWN_MAX], reason=reason))
        else:
            passed.setdefault(made.id, (_section(one.section, new), made))
    return list(passed.values()), tuple(dropped)


def _link(known: Link | None, name: str, material: Material) -> Link:
    """The exact link of a source: its audio span as it is now. An unknown name links to nothing."""
    if known is None:
        return Link(kind="event", ref=f"?{name[:20]}")
    turn = material.spoken.get(known.ref)
    if known.kind == "utterance" and turn is not None:
        return replace(known, start=turn.start, end=turn.end)
    return known


def _ident(text: str, links: Iterable[Link]) -> str:
    body = "\0".join([text, *(f"{k.kind} {k.ref}" for k in links)])
    return "model-" + hashlib.sha256(body.encode()).hexdigest()[:16]


def _section(named: str, draft: Draft) -> str:
    """The section's code by code or title; the course where there is none such."""
    for section in draft.sections:
        if named.casefold() in (section.loinc, section.title.casefold()):
            return section.loinc
    codes = [s.loinc for s in draft.sections]
    return kinds.COURSE if kinds.COURSE in codes else codes[-1]


def _placed(new: Draft, old: Draft | None, placed: Iterable[Placed], material: Material) -> Draft:
    composed = {s.id: s for part in new.sections for s in part.sentences if s.origin == "said"}
    decided = {
        s.id
        for part in (old.sections if old is not None else ())
        for s in part.sentences
        if s.outcome != "open" and s.origin != "model"
    }
    gone: set[str] = set()
    added: dict[str, dict[str, Sentence]] = {}
    for code, sentence in placed:
        same = _restated(sentence, composed, material)
        ident = sentence.id if same is None else same.id
        if ident in gone | decided or (same is None and not ident.startswith("model-")):
            continue  # it stands already, or the composed sentence does again
        gone.add(ident)
        made = replace(sentence, id=ident, outcome="open", original="")
        added.setdefault(code, {})[ident] = made
    return replace(
        new, sections=tuple(_with(s, gone, added.get(s.loinc, {})) for s in new.sections)
    )


def _restated(
    sentence: Sentence, composed: Mapping[str, Sentence], material: Material
) -> Sentence | None:
    """The composed sentence that a model's sentence says whole, if there is one."""
    turns = material.turns(sentence.links)
    if len(sentence.links) != 1 or len(turns) != 1 or not restates(sentence.text, turns[0]):
        return None
    found = composed.get(f"said-{turns[0].id}")
    return found if found is not None and len(found.links) == 1 else None


def _with(section: Section, gone: set[str], added: Mapping[str, Sentence]) -> Section:
    kept = [s for s in section.sentences if s.id not in gone]
    return replace(section, sentences=(*kept, *added.values()))

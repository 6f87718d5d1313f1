"""The composer: a pure function of what was said and charted."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, tzinfo
from typing import Final

from msgspec.structs import replace

from bayscribe.errors import BadUse
from bayscribe_relay.clinical.drafts import Draft, Section, Sentence
from bayscribe_relay.clinical.events import ClinicalEvent
from bayscribe_relay.clinical.prompts import PromptCard
from bayscribe_relay.clinical.speech import Utterance
from bayscribe_relay.clinical.stays import Stay
from bayscribe_relay.notes import charted, kinds, said, suggestions
from bayscribe_relay.notes.facts import current
from bayscribe_relay.notes.kinds import NoteType, note_type

_ADULT_YEARS: Final = 18


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """How a site wants its drafts.

    Attributes:
        zone: in which times of day are written.
        doubtful_below: probability under which a word is marked.
    """

    zone: tzinfo = UTC
    doubtful_below: float = 0.5


def compose(
    stay: Stay,
    events: Iterable[ClinicalEvent],
    utterances: Sequence[Utterance],
    prompts: Iterable[PromptCard] = (),
    kind: str = "emergency",
    style: Style | None = None,
) -> Draft:
    """The draft of a stay: revision 0, not yet merged with an earlier one.

    Args:
        stay: whose.
        events: all versions of its events, in any order.
        utterances: all its turns, withdrawn ones too, in any order.
        prompts: open ones become suggestions.
        kind: note type, a key of :data:`~bayscribe_relay.notes.kinds.NOTE_TYPES`.
        style: times and marks.

    Raises:
        BadUse: ``no-audio`` if nothing was heard; ``note-type``.
    """
    wanted, look = note_type(kind), style or Style()
    spoken = said.heard(utterances)
    if not spoken:
        raise BadUse(
            "nothing was heard in this stay, and a note is made from what was said",
            "record the encounter, or write the note in the chart",
            code="no-audio",
        )
    facts = current(events)
    placed = [
        *said.statements(spoken, wanted.sections, look.doubtful_below),
        *charted.statements(facts, look.zone, child=_is_child(stay, look.zone)),
        *((kinds.PLAN, one) for one in suggestions.statements(facts)),
        *((kinds.PLAN, one) for one in suggestions.open_prompts(prompts, facts)),
    ]
    return Draft(
        stay=stay.id,
        type_loinc=wanted.loinc,
        title=wanted.title,
        sections=_sections(wanted, placed),
    )


def _is_child(stay: Stay, zone: tzinfo) -> bool:
    """Under 18 at arrival; one whose birth date is not known is taken for an adult."""
    try:
        born = date.fromisoformat(stay.patient.birth_date)
    except ValueError:
        return False
    came = datetime.fromtimestamp(stay.arrived_ns // 10**9, UTC).astimezone(zone).date()
    years = came.year - born.year - ((came.month, came.day) < (born.month, born.day))
    return years < _ADULT_YEARS


def _sections(wanted: NoteType, placed: Iterable[tuple[str, Sentence]]) -> tuple[Section, ...]:
    filled: dict[str, list[Sentence]] = {code: [] for code in wanted.sections}
    for code, sentence in placed:
        filled[code if code in filled else kinds.COURSE].append(sentence)
    return tuple(
        Section(loinc=code, title=kinds.SECTIONS[code], sentences=tuple(sentences))
        for code, sentences in filled.items()
    )


def merge(old: Draft | None, new: Draft) -> Draft:
    """A new composition with what the clinician has done to the old one.

    An edit survives a correction of its source, with the corrected text as its original; an
    acceptance does not, for what was accepted is no longer what is offered. A sentence that
    the clinician wrote or edited stays even when its source is withdrawn.
    """
    if old is None:
        return replace(new, revision=1)
    before = {s.id: s for section in old.sections for s in section.sentences}
    present = {s.id for section in new.sections for s in section.sentences}
    left: dict[str, list[Sentence]] = {}
    for section in old.sections:
        own = [_kept(s) for s in section.sentences if _stays(s, present)]
        left.setdefault(section.loinc, []).extend(own)
    sections = tuple(
        replace(
            section,
            sentences=(
                *(_merged(before.get(s.id), s) for s in section.sentences),
                *left.pop(section.loinc, ()),
            ),
        )
        for section in new.sections
    )
    rest = tuple(s for own in left.values() for s in own)
    if rest:
        last = sections[-1]
        sections = (*sections[:-1], replace(last, sentences=(*last.sentences, *rest)))
    return replace(new, revision=old.revision + 1, sections=sections, signed_key=old.signed_key)


def _stays(sentence: Sentence, present: set[str]) -> bool:
    mine = sentence.origin == "clinician" or sentence.outcome == "modified"
    return mine and sentence.id not in present


def _kept(sentence: Sentence) -> Sentence:
    if sentence.origin == "clinician":
        return sentence
    return replace(sentence, origin="clinician", outcome="accepted", links=(), original="")


def _merged(old: Sentence | None, new: Sentence) -> Sentence:
    if old is None or old.outcome == "open":
        return new
    if old.outcome == "modified":
        return replace(new, text=old.text, outcome="modified", original=new.text)
    if old.outcome == "rejected" or old.text == new.text:
        return replace(new, outcome=old.outcome)
    return new

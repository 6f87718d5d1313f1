"""The note while it is being written: every sentence with where it comes from."""

from typing import Literal

from msgspec import Struct

LinkKind = Literal["utterance", "event", "patient"]
SentenceOrigin = Literal["said", "charted", "model", "clinician", "suggestion"]
ElementOutcome = Literal["open", "accepted", "modified", "rejected"]


class Link(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a sentence comes from.

    Attributes:
        ref: id of the utterance or event; a field's name for ``patient``.
        start: seconds in the recording, for an utterance.
        end: likewise.
    """

    kind: LinkKind
    ref: str
    start: float | None = None
    end: float | None = None


class Sentence(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One sentence of the draft.

    Attributes:
        id: stable over revisions of the draft for the same content.
        origin: who made it: composed from speech or record, by the optional model, by the
            clinician's own hand, or offered as a suggestion (an ICD-10 code, a gap's text).
        outcome: what the clinician did with it; sentences of the clinician are ``accepted``.
        original: the text as it was offered, once it has been modified.
    """

    id: str
    text: str
    origin: SentenceOrigin
    links: tuple[Link, ...] = ()
    outcome: ElementOutcome = "open"
    original: str = ""


class Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A section of the note: LOINC code and title."""

    loinc: str
    title: str
    sentences: tuple[Sentence, ...] = ()


class Dropped(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A sentence of the optional model that failed the link check, and why."""

    text: str
    reason: str


class ModelUse(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the optional language model had to do with a draft.

    Attributes:
        name: as the site configured it.
        versions: as its server called itself in the answers that sentences are taken from, the
            latest last; empty while it has given none.
        asked_sha256: of the request that it answered last.
        sources: ids of the utterances and events that this request held.
        failure: why the latest request came to nothing; empty if it was answered.
    """

    name: str
    versions: tuple[str, ...] = ()
    asked_sha256: str = ""
    sources: tuple[str, ...] = ()
    failure: str = ""


class Draft(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A draft note.

    Attributes:
        stay: whose.
        revision: counts up with every change; an edit names the one that it saw.
        type_loinc: document type.
        title: of the document.
        composed_ns: when it was last composed from speech and record.
        signed_key: idempotency key of the letter, once signed.
        dropped: what the model wrote and the check refused; never part of the note.
        model: None where no model was asked.
    """

    stay: str
    revision: int = 0
    type_loinc: str = "34878-9"
    title: str = "Emergency department note"
    sections: tuple[Section, ...] = ()
    dropped: tuple[Dropped, ...] = ()
    composed_ns: int = 0
    signed_key: str = ""
    model: ModelUse | None = None

"""What an addendum is made of, and the signed note that it is added to."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import sqlalchemy as sa
from msgspec.structs import replace

from bayscribe.errors import BadUse
from bayscribe_relay.clinical.drafts import Draft, Section, Sentence
from bayscribe_relay.writeback import note
from bayscribe_relay.writeback import tables as letter_tables

TITLE: Final = "Addendum"

Chart = tuple[str | None, ...]
"""Site, patient's id and record number, encounter's id and visit number."""


@dataclass(frozen=True, slots=True)
class SignedNote:
    """A signed note as an addendum names it.

    Attributes:
        key: of its letter.
        title: in the chart.
        author: who signed it.
        npi: of the author.
        signed_ns: when.
    """

    key: str
    title: str
    author: str
    npi: str
    signed_ns: int


def signed_note(link: sa.Connection, key: str) -> SignedNote:
    """The signed note of a key."""
    kept = _kept(link, key)
    signed = datetime.fromisoformat(kept.attestation.signed_at)
    author = f"{kept.author.given} {kept.author.family}"
    at_ns = int(signed.timestamp() * 1e3) * 10**6
    return SignedNote(key, kept.note.title, author, kept.author.npi, at_ns)


def written(first: Draft, text: str, n: int) -> Draft:
    """An addendum as a draft of its own: the clinician's words, and the note's key."""
    own = Sentence(id=f"addendum-{n}", text=text, origin="clinician", outcome="accepted")
    relates = Sentence(
        id=f"relates-{n}",
        text=f"Relates to the note with the key {first.signed_key}.",
        origin="clinician",
        outcome="accepted",
    )
    section = Section(loinc="51847-2", title=TITLE, sentences=(own, relates))
    return replace(first, title=f"{TITLE}: {first.title}", sections=(section,))


def chart(one: note.Note) -> Chart:
    """Which chart a note goes into."""
    who, stay = one.patient, one.encounter
    return one.site, who.id, who.mrn, stay.id, stay.visit_number


def check_same_chart(link: sa.Connection, key: str, goes_into: Chart) -> None:
    """An addendum goes into the chart that the note of a key went into, or nowhere.

    Raises:
        BadUse: ``identity``: the stay has come to another patient, visit or chart since.
    """
    if chart(_kept(link, key)) != goes_into:
        raise BadUse(
            "the stay has come to another chart since this note was signed",
            "write the addendum in the chart by hand, and tell operations",
            code="identity",
        )


def _kept(link: sa.Connection, key: str) -> note.Note:
    n = letter_tables.signed_notes.c
    return note.read_note(link.execute(sa.select(n.note).where(n.key == key)).scalar_one())

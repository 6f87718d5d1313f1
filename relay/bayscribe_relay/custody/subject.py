"""Which encounter is meant, and what belongs to it."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import sqlalchemy as sa

from bayscribe.errors import BadUse
from bayscribe_relay.attest import tables as attest_tables
from bayscribe_relay.clinical import tables
from bayscribe_relay.clinical.stays import Stay
from bayscribe_relay.store import schema
from bayscribe_relay.writeback import tables as letter_tables


@dataclass(frozen=True, slots=True)
class Subject:
    """One encounter.

    Attributes:
        name: the stay's id; without a stay what was asked for.
        stay: None where only recordings or submitted notes are known.
        recordings: device, recording and the stretches that belong (none: all of it).
        letters: keys of its notes.
    """

    name: str
    stay: Stay | None
    recordings: tuple[tuple[str, str, tuple[tuple[int, int | None], ...]], ...]
    letters: tuple[str, ...]


class _Encounter(msgspec.Struct):
    visit_number: str


class _Audio(msgspec.Struct):
    chain_sha256: str


class _Note(msgspec.Struct):
    """The little of a signed note that says whose it is."""

    encounter: _Encounter
    audio: _Audio


def find(link: sa.Connection, name: str) -> Subject:
    """The encounter of our stay id, a visit number or a recording's id.

    Raises:
        BadUse: ``encounter``: there is none, or the name fits several.
    """
    stays = _stays(link, name)
    if len(stays) > 1:
        raise BadUse(
            f"{name} names {len(stays)} stays",
            f"give one of {', '.join(sorted(stay.id for stay in stays))}",
            code="encounter",
        )
    if stays:
        stay = stays[0]
        return Subject(stay.id, stay, _bound(link, stay.id), letters_of(link, stay))
    letters, chains = _submitted(link, name)
    recordings = _recordings(link, name) or _by_chain(link, chains)
    if not recordings and not letters:
        raise BadUse(
            f"no encounter {name}",
            "give a stay's id, a visit number or a recording's id",
            code="encounter",
        )
    return Subject(name, None, recordings, letters)


def _stays(link: sa.Connection, name: str) -> list[Stay]:
    c, b = tables.stays.c, tables.bindings.c
    of_recording = sa.select(b.stay).where(b.recording == name)
    query = sa.select(c.body).where((c.id == name) | (c.visit_number == name))
    rows = link.execute(query).all()
    if not rows:
        rows = link.execute(sa.select(c.body).where(c.id.in_(of_recording))).all()
    return [msgspec.json.decode(row.body, type=Stay) for row in rows]


def _bound(
    link: sa.Connection, stay: str
) -> tuple[tuple[str, str, tuple[tuple[int, int | None], ...]], ...]:
    b = tables.bindings.c
    query = sa.select(b.device, b.recording, b.from_ns, b.until_ns).where(b.stay == stay)
    found: dict[tuple[str, str], list[tuple[int, int | None]]] = {}
    for row in link.execute(query.order_by(b.from_ns, b.n)):
        found.setdefault((row.device, row.recording), []).append((row.from_ns, row.until_ns))
    return tuple((device, rec, tuple(parts)) for (device, rec), parts in found.items())


def _recordings(
    link: sa.Connection, name: str
) -> tuple[tuple[str, str, tuple[tuple[int, int | None], ...]], ...]:
    e = schema.encounters.c
    rows = link.execute(sa.select(e.device, e.encounter).where(e.encounter == name))
    return tuple((row.device, row.encounter, ()) for row in rows)


def _by_chain(
    link: sa.Connection, chains: Sequence[bytes]
) -> tuple[tuple[str, str, tuple[tuple[int, int | None], ...]], ...]:
    r = schema.records.c
    query = sa.select(r.device, r.encounter).where(r.chain.in_(chains)).distinct()
    rows = link.execute(query.order_by(r.device, r.encounter))
    return tuple((row.device, row.encounter, ()) for row in rows)


def letters_of(link: sa.Connection, stay: Stay) -> tuple[str, ...]:
    """Keys of a stay's notes: those signed here, then others of the same visit."""
    s = attest_tables.signatures.c
    own = link.execute(sa.select(s.key).where(s.stay == stay.id).order_by(s.n)).scalars()
    others, _ = _submitted(link, stay.visit_number, stay.site)
    return tuple(dict.fromkeys([*own, *others]))


def _submitted(
    link: sa.Connection, visit_number: str, site: str | None = None
) -> tuple[tuple[str, ...], list[bytes]]:
    """Notes of a visit, however they came into the outbox, and the chain values they name."""
    n = letter_tables.signed_notes.c
    query = sa.select(n.key, n.note).order_by(n.received_ns, n.key)
    if site is not None:
        query = query.where(n.site == site)
    keys, chains = [], []
    for row in link.execute(query.execution_options(yield_per=100)):
        note = msgspec.json.decode(row.note, type=_Note)
        if note.encounter.visit_number == visit_number:
            keys.append(row.key)
            chains.append(bytes.fromhex(note.audio.chain_sha256))
    return tuple(keys), chains

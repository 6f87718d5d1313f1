"""Statements on the tables of the encounters, inside a caller's transaction."""

from collections.abc import Iterable
from typing import Any

import msgspec
import sqlalchemy as sa

from bayscribe.wire.header import decode_header
from bayscribe_relay.encounters import tables
from bayscribe_relay.encounters.binding import Correction, Recording, Tap
from bayscribe_relay.encounters.course import Movement, Presence
from bayscribe_relay.store import schema


def add_movement(link: sa.Connection, stay: str, movement: Movement) -> None:
    """Keep a movement; its order of receipt is the row's."""
    link.execute(
        sa.insert(tables.movements).values(
            stay=stay,
            kind=movement.kind,
            at_ns=movement.at_ns,
            bay=movement.bay,
            inside=movement.inside,
            arrived_ns=movement.arrived_ns,
            source=movement.source,
        )
    )


def has_movement(link: sa.Connection, stay: str, movement: Movement) -> bool:
    """Whether this movement was kept since the last one of the opposite sense.

    An Encounter that is read again tells its whole course again; but one that was taken back
    and then made once more is another movement. Messages are never the same one twice.
    """
    if not movement.source.startswith("fhir"):
        return False
    cancels = movement.kind.startswith("cancel")
    known = sorted(movements(link, stay), key=lambda m: m.n, reverse=True)
    for one in known:
        if one.kind.startswith("cancel") != cancels:
            return False
        if msgspec.structs.replace(one, n=movement.n) == movement:
            return True
    return False


def movements(link: sa.Connection, stay: str) -> list[Movement]:
    """All movements of a stay."""
    t = tables.movements
    return [
        Movement(
            kind=row.kind,
            at_ns=row.at_ns,
            n=row.n,
            bay=row.bay,
            inside=bool(row.inside),
            arrived_ns=row.arrived_ns,
            source=row.source,
        )
        for row in link.execute(sa.select(t).where(t.c.stay == stay))
    ]


def give_movements(link: sa.Connection, stay: str, to: str) -> None:
    """A merge: the survivor has been where the other was."""
    for table in (tables.movements, tables.taps, tables.corrections, tables.event_owners):
        link.execute(sa.update(table).where(table.c.stay == stay).values(stay=to))


def presences(
    link: sa.Connection, *, stay: str | None = None, bay: str | None = None, since_ns: int = 0
) -> list[Presence]:
    """Who was where beyond an instant, in order of time."""
    t = tables.presences
    query = sa.select(t.c.stay, t.c.bay, t.c.from_ns, t.c.until_ns).order_by(t.c.from_ns)
    if stay is not None:
        query = query.where(t.c.stay == stay)
    if bay is not None:
        query = query.where(t.c.bay == bay)
    if since_ns:
        query = query.where(t.c.until_ns.is_(None) | (t.c.until_ns > since_ns))
    return [Presence(*row) for row in link.execute(query)]


def set_presences(link: sa.Connection, stay: str, now: Iterable[Presence]) -> None:
    """Replace a stay's presences."""
    t = tables.presences
    link.execute(sa.delete(t).where(t.c.stay == stay))
    for one in now:
        link.execute(sa.insert(t).values(**one._asdict()))


def add_tap(link: sa.Connection, bay: str, stay: str, action: str, at_ns: int) -> None:
    """Keep a tap."""
    link.execute(sa.insert(tables.taps).values(bay=bay, stay=stay, action=action, at_ns=at_ns))


def taps(link: sa.Connection, bay: str, since_ns: int) -> list[Tap]:
    """The taps of a bay from an instant on, in order of time."""
    t = tables.taps
    query = sa.select(t).where(t.c.bay == bay, t.c.at_ns >= since_ns)
    query = query.order_by(t.c.at_ns, t.c.n)
    return [Tap(r.n, r.bay, r.stay, r.action, r.at_ns) for r in link.execute(query)]


def add_correction(
    link: sa.Connection, recording: str, stay: str, from_ns: int, until_ns: int | None
) -> None:
    """Keep a correction."""
    link.execute(
        sa.insert(tables.corrections).values(
            recording=recording, stay=stay, from_ns=from_ns, until_ns=until_ns
        )
    )


def corrections(link: sa.Connection, recording: str) -> list[Correction]:
    """The corrections of a recording, oldest first."""
    t = tables.corrections
    query = sa.select(t).where(t.c.recording == recording).order_by(t.c.n)
    return [
        Correction(r.n, r.recording, r.stay, r.from_ns, r.until_ns) for r in link.execute(query)
    ]


def own_event(link: sa.Connection, event: str, stay: str) -> None:
    """This event and its later versions belong to a stay whatever they say."""
    t = tables.event_owners
    link.execute(sa.delete(t).where(t.c.event == event))
    link.execute(sa.insert(t).values(event=event, stay=stay))


def owners_of_events(link: sa.Connection) -> dict[str, str]:
    """The stays that people gave events to, by event."""
    return {str(row.event): str(row.stay) for row in link.execute(sa.select(tables.event_owners))}


def recordings(link: sa.Connection, bay: str, since_ns: int) -> list[Recording]:
    """Recordings of a bay that go on beyond an instant, in order of time."""
    t = tables.recordings
    beyond = t.c.until_ns.is_(None) | (t.c.until_ns > since_ns)
    query = sa.select(t).where(t.c.bay == bay, beyond).order_by(t.c.from_ns)
    return [_recording(row) for row in link.execute(query)]


def recording(link: sa.Connection, ident: str) -> Recording | None:
    """A recording by its id."""
    t = tables.recordings
    row = link.execute(sa.select(t).where(t.c.recording == ident)).first()
    return None if row is None else _recording(row)


def open_reason(link: sa.Connection, device: str) -> str:
    """How the recording that an appliance makes now was opened; empty if it makes none."""
    t = tables.recordings
    query = sa.select(t.c.reason).where(t.c.device == device, t.c.until_ns.is_(None))
    return str(link.execute(query.order_by(t.c.from_ns.desc())).scalar() or "")


def units(link: sa.Connection) -> dict[str, str]:
    """The bay in which each appliance recorded last."""
    t = tables.recordings
    last = sa.select(t.c.device, sa.func.max(t.c.from_ns).label("at")).group_by(t.c.device)
    newest = last.subquery()
    query = sa.select(t.c.device, t.c.bay).join(
        newest, (newest.c.device == t.c.device) & (newest.c.at == t.c.from_ns)
    )
    return {str(row.device): str(row.bay) for row in link.execute(query)}


def has_news(link: sa.Connection) -> bool:
    """Whether :func:`note_recordings` would find any."""
    return link.execute(_news().limit(1)).first() is not None


def note_recordings(link: sa.Connection) -> list[Recording]:
    """Take over new and newly closed recordings from the records that came in.

    Returns:
        those that are new or changed.
    """
    known = tables.recordings
    changed = []
    for row in link.execute(_news()).all():
        values = {
            "recording": row.encounter,
            "device": row.device,
            "bay": row.bay,
            "reason": row.opened_reason,
            "from_ns": _wall(link, row.device, row.opened_seq),
            "until_ns": None if row.closed_seq is None else _wall(link, row.device, row.closed_seq),
        }
        if row.known is None:
            link.execute(sa.insert(known).values(**values))
        else:
            where = known.c.recording == row.encounter
            link.execute(sa.update(known).where(where).values(until_ns=values["until_ns"]))
        if (found := recording(link, row.encounter)) is not None:
            changed.append(found)
    return changed


def _news() -> sa.Select[Any]:
    e, known = schema.encounters, tables.recordings
    query = sa.select(e, known.c.recording.label("known")).select_from(
        e.outerjoin(known, known.c.recording == e.c.encounter)
    )
    return query.where(
        known.c.recording.is_(None) | (known.c.until_ns.is_(None) & e.c.closed_seq.is_not(None))
    )


def _recording(row: sa.Row[tuple[object, ...]]) -> Recording:
    return Recording(row.device, row.recording, row.bay, row.from_ns, row.until_ns)


def _wall(link: sa.Connection, device: str, seq: int) -> int:
    """When a record was made by the appliance's clock; of receipt if that is known wrong."""
    r = schema.records
    row = link.execute(
        sa.select(r.c.header, r.c.received_ns).where(r.c.device == device, r.c.seq == seq)
    ).one()
    header = decode_header(bytes(row.header))
    return int(row.received_ns) if header.clock == "unsynchronised" else header.wall_ns

"""Statements that insert and move letters, many in a few statements.

On a database server every statement is a round trip, so what waits together is read with
one query and written with one batch for each table.
"""

import dataclasses
import hashlib
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from bayscribe.errors import BadUse
from bayscribe_relay.writeback import tables
from bayscribe_relay.writeback.note import Note
from bayscribe_relay.writeback.states import OPEN, Event, State, after

_L: Final = tables.letters.c
REASON_MAX: Final = 2_000


@dataclass(frozen=True, slots=True)
class Letter:
    """A letter without its Bundle; times are this relay's wall clock in ns.

    Attributes:
        key: idempotency key.
        site: which gateway site.
        note_sha256: of the note as it is sent.
        state: where it stands.
        replay: an operator asked for it again.
        attempts: writes that the gateway has tried.
        received_ns: when it was signed into the outbox.
        queued_ns: when it last became QUEUED.
        accepted_ns: when it was first known to be durable at the gateway.
        settled_ns: when it became VERIFIED, DEAD or REJECTED.
        alerted_ns: when somebody was told, or None.
        reason: why it is where it is, in words.
        answer: the gateway's last word as it came.
    """

    key: str
    site: str
    note_sha256: str
    state: State
    replay: bool
    attempts: int
    received_ns: int
    queued_ns: int
    accepted_ns: int | None
    settled_ns: int | None
    alerted_ns: int | None
    reason: str
    answer: bytes | None


_FIELDS: Final = tuple(Letter.__dataclass_fields__)
_MOVING: Final = (
    "state", "replay", "attempts", "queued_ns", "accepted_ns", "settled_ns", "alerted_ns",
    "reason", "answer",
)  # fmt: skip
COLUMNS: Final = tuple(tables.letters.c[name] for name in _FIELDS)
"""What :func:`letter` needs of a row."""


def letter(row: Any) -> Letter:  # noqa: ANN401 - a row of COLUMNS
    """A letter from its row."""
    values = {name: getattr(row, name) for name in _FIELDS}
    return Letter(**{**values, "state": State(row.state)})


@dataclass(frozen=True, slots=True)
class Signed:
    """A signed note on its way into the outbox.

    Attributes:
        note: with its key, and the content that is sent.
        content: the submission's bytes.
        bundle: the transaction made of it.
        lease: owner and until when (ns); ``("", 0)`` leaves the letter to any relay.
    """

    note: Note
    content: bytes
    bundle: bytes
    lease: tuple[str, int] = ("", 0)


@dataclass(frozen=True, slots=True)
class Move:
    """An event that befalls a letter; ``answer`` is the gateway's word, as it came."""

    key: str
    event: Event
    reason: str = ""
    answer: bytes | None = None
    attempts: int = 0


def insert_all(connection: sa.Connection, signed: Sequence[Signed]) -> list[Letter | BadUse]:
    """Insert signed notes with their letters; call it in the transaction of the signatures.

    Returns:
        for each the letter (the one that stands there if the same note is submitted
        again), or ``key`` if the key stands for another note.
    """
    known = _known(connection, [str(one.note.idempotency_key) for one in signed])
    notes: list[dict[str, Any]] = []
    rows: list[dict[str, Any]] = []
    found: list[Letter | BadUse] = []
    for one in signed:
        key, digest = str(one.note.idempotency_key), hashlib.sha256(one.bundle).hexdigest()
        if key not in known:
            note, row = _rows(one, digest)
            notes.append(note)
            rows.append(row)
            known[key] = (Letter(**_fresh(row)), digest)
        if known[key][1] == digest:
            found.append(known[key][0])
        else:
            found.append(
                BadUse(f"idempotency_key {key} stands for another note", "leave it out", code="key")
            )
    if rows:
        connection.execute(sa.insert(tables.signed_notes), notes)
        connection.execute(sa.insert(tables.letters), rows)
        record(connection, [(row["key"], "signed", State.QUEUED, "") for row in rows])
    return found


def _known(connection: sa.Connection, keys: list[str]) -> dict[str, tuple[Letter, str]]:
    query = sa.select(*COLUMNS, _L.bundle_sha256).where(_L.key.in_(keys))
    return {row.key: (letter(row), row.bundle_sha256) for row in connection.execute(query)}


def _rows(one: Signed, digest: str) -> tuple[dict[str, Any], dict[str, Any]]:
    now, attestation = time.time_ns(), one.note.attestation
    common = {
        "key": str(one.note.idempotency_key),
        "site": one.note.site,
        "note_sha256": attestation.note_sha256,
        "received_ns": now,
    }
    row = {
        "note_sha256": one.note.sent_sha256,
        "bundle": one.bundle,
        "bundle_sha256": digest,
        "state": State.QUEUED,
        "replay": False,
        "attempts": 0,
        "lease_owner": one.lease[0] or None,
        "lease_until_ns": one.lease[1],
        "queued_ns": now,
        "reason": "",
    }
    return common | {"note": one.content, "signed_at": attestation.signed_at}, common | row


def _fresh(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row.get(name) for name in _FIELDS}


def record(connection: sa.Connection, events: Iterable[tuple[str, str, State, str]]) -> None:
    """Note what happened: key, event, state after it, detail."""
    now = time.time_ns()
    rows = [
        {"key": key, "at_ns": now, "event": event, "state": state, "detail": detail[:REASON_MAX]}
        for key, event, state, detail in events
    ]
    if rows:
        connection.execute(sa.insert(tables.letter_events), rows)


_MOVE: Final = (
    sa.update(tables.letters)
    .where(_L.key == sa.bindparam("of_key"))
    .values({name: sa.bindparam(f"to_{name}") for name in _MOVING})
)
_MOVE_AND_RELEASE: Final = _MOVE.values(lease_owner=None, lease_until_ns=0)


def move_all(connection: sa.Connection, moves: Sequence[Move]) -> list[Letter | None]:
    """Move letters, in the order of the events; a late event changes nothing.

    Returns:
        for each event its letter as it then stands, None where there is none.
    """
    now = _locked(connection, {move.key for move in moves})
    changed: set[str] = set()
    released: set[str] = set()
    events: list[tuple[str, str, State, str]] = []
    found: list[Letter | None] = []
    for move in moves:
        before = now.get(move.key)
        state = after(before.state, move.event) if before is not None else None
        if before is not None and state is not None:
            now[move.key] = _moved(before, state, move)
            changed.add(move.key)
            events.append((move.key, move.event, state, move.reason))
            if state not in OPEN or move.event is Event.REPLAY:
                released.add(move.key)
        found.append(now.get(move.key))
    _write(connection, _MOVE, [now[key] for key in sorted(changed - released)])
    _write(connection, _MOVE_AND_RELEASE, [now[key] for key in sorted(released)])
    record(connection, events)
    return found


def _locked(connection: sa.Connection, keys: set[str]) -> dict[str, Letter]:
    query = sa.select(*COLUMNS).where(_L.key.in_(keys))
    if connection.dialect.name == "postgresql":
        # In one order everywhere, or two relays wait for each other's rows.
        query = query.order_by(_L.key).with_for_update()
    return {row.key: letter(row) for row in connection.execute(query)}


def _write(connection: sa.Connection, statement: sa.Update, moved: list[Letter]) -> None:
    rows = [
        {"of_key": one.key, **{f"to_{name}": getattr(one, name) for name in _MOVING}}
        for one in moved
    ]
    if rows:
        connection.execute(statement, rows)


def _moved(before: Letter, state: State, move: Move) -> Letter:
    now = time.time_ns()
    changes: dict[str, Any] = {"state": state, "reason": move.reason[:REASON_MAX]}
    if move.event is Event.ACCEPT:
        changes["accepted_ns"] = before.accepted_ns or now
    if move.event is Event.REPLAY:
        changes |= {"replay": True, "settled_ns": None, "alerted_ns": None, "answer": None}
    if state is State.QUEUED:
        changes["queued_ns"] = now
    if state not in OPEN:
        changes |= {"settled_ns": now, "replay": False}
    if state in (State.DEAD, State.REJECTED):
        changes["alerted_ns"] = None
    if move.answer is not None:
        changes["answer"] = move.answer
    changes["attempts"] = max(before.attempts, move.attempts)
    return dataclasses.replace(before, **changes)

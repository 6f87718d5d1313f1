"""The outbox: every statement on letters, each in a durable transaction.

Leases let several relays share one database: a letter is worked on by the relay that
holds its lease, and by another once the lease has run out. That two relays may hold one
letter for a moment is harmless: the gateway knows the key.
"""

import hashlib
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from bayscribe.errors import BadUse
from bayscribe_relay.store.database import make_tables, open_engine, storage_error
from bayscribe_relay.writeback import tables
from bayscribe_relay.writeback.groupcommit import GroupCommit
from bayscribe_relay.writeback.note import Note
from bayscribe_relay.writeback.states import DEAD_LETTER_QUEUE, OPEN, Event, State, after

_L: Final = tables.letters.c
REASON_MAX: Final = 2_000


@dataclass(frozen=True, slots=True)
class Letter:
    """A letter without its Bundle; times are this relay's wall clock in ns.

    Attributes:
        key: idempotency key.
        site: which gateway site.
        note_sha256: of the note as attested.
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
_COLUMNS: Final = tuple(tables.letters.c[name] for name in _FIELDS)


def _letter(row: Any) -> Letter:  # noqa: ANN401 - a row of _COLUMNS
    values = {name: getattr(row, name) for name in _FIELDS}
    return Letter(**{**values, "state": State(row.state)})


def insert(
    connection: sa.Connection, note: Note, content: bytes, bundle: bytes, lease: tuple[str, int]
) -> Letter:
    """Insert a signed note and its letter; call it in the transaction of the signature.

    Args:
        connection: in a transaction.
        note: with its key.
        content: the submission's bytes.
        bundle: the transaction made of it.
        lease: owner and until when (ns); ``("", 0)`` leaves it to any relay.

    Returns:
        the letter; the one that stands there if the same note is submitted again.

    Raises:
        BadUse: ``key`` if the key stands for another note.
    """
    now, key = time.time_ns(), str(note.idempotency_key)
    digest = hashlib.sha256(bundle).hexdigest()
    known = connection.execute(sa.select(*_COLUMNS, _L.bundle_sha256).where(_L.key == key)).first()
    if known is not None:
        if known.bundle_sha256 != digest:
            raise BadUse(
                f"idempotency_key {key} stands for another note", "leave it out", code="key"
            )
        return _letter(known)
    common = {"key": key, "site": note.site, "note_sha256": note.attestation.note_sha256}
    signed = {"note": content, "signed_at": note.attestation.signed_at, "received_ns": now}
    connection.execute(sa.insert(tables.signed_notes), common | signed)
    row = common | {
        "bundle": bundle,
        "bundle_sha256": digest,
        "state": State.QUEUED,
        "replay": False,
        "attempts": 0,
        "lease_owner": lease[0] or None,
        "lease_until_ns": lease[1],
        "queued_ns": now,
        "received_ns": now,
        "reason": "",
    }
    connection.execute(sa.insert(tables.letters), row)
    _note_event(connection, key, "signed", State.QUEUED, "")
    found = connection.execute(sa.select(*_COLUMNS).where(_L.key == key)).one()
    return _letter(found)


def _note_event(connection: sa.Connection, key: str, event: str, state: State, detail: str) -> None:
    row = {"key": key, "at_ns": time.time_ns(), "event": event, "state": state}
    connection.execute(sa.insert(tables.letter_events), row | {"detail": detail[:REASON_MAX]})


class Outbox:
    """Letters in the relay's database.

    Args:
        url: SQLAlchemy URL of the relay's store.
        owner: who holds the leases that are taken here: one running process.
        lease_s: how long a lease lasts.
    """

    def __init__(self, url: str, owner: str, lease_s: float) -> None:
        self._engine = open_engine(url)
        self._owner = owner
        self._lease_ns = int(lease_s * 1e9)
        self._watch: sa.Connection | None = None
        try:
            make_tables(self._engine, tables.metadata)
        except SQLAlchemyError as error:
            raise storage_error(error) from None
        self.commits = GroupCommit(self._engine)

    def close(self) -> None:
        """Commit what waits and let go of the database."""
        self.commits.close()
        if self._watch is not None:
            self._watch.close()
        self._engine.dispose()

    # -- writing

    async def enqueue(self, note: Note, content: bytes, bundle: bytes, *, hold: bool) -> Letter:
        """Store a signed note and its letter; ``hold`` takes its lease at once."""
        lease = (self._owner, time.time_ns() + self._lease_ns) if hold else ("", 0)
        return await self.commits.run(lambda c: insert(c, note, content, bundle, lease))

    async def claim(self, most: int) -> list[tuple[Letter, bytes]]:
        """Take the leases of open letters that nobody holds; with their Bundles."""
        return await self.commits.run(lambda c: self._claim(c, most))

    def _claim(self, connection: sa.Connection, most: int) -> list[tuple[Letter, bytes]]:
        now = time.time_ns()
        free = (
            sa.select(*_COLUMNS, _L.bundle)
            .where(_L.state.in_(OPEN), _L.lease_until_ns <= now)
            .order_by(_L.received_ns)
            .limit(most)
        )
        if connection.dialect.name == "postgresql":
            free = free.with_for_update(skip_locked=True)
        rows = connection.execute(free).all()
        self._lease(connection, [row.key for row in rows], now)
        return [(_letter(row), bytes(row.bundle)) for row in rows]

    def _lease(self, connection: sa.Connection, keys: Sequence[str], now: int) -> None:
        if keys:
            connection.execute(
                sa.update(tables.letters)
                .where(_L.key.in_(keys))
                .values(lease_owner=self._owner, lease_until_ns=now + self._lease_ns)
            )

    async def renew(self, keys: Sequence[str]) -> None:
        """Hold on to letters."""
        await self.commits.run(lambda c: self._lease(c, keys, time.time_ns()))

    async def release(self, keys: Sequence[str]) -> None:
        """Let go of letters, so that another relay takes them at once."""

        def work(connection: sa.Connection) -> None:
            connection.execute(
                sa.update(tables.letters)
                .where(_L.key.in_(keys), _L.lease_owner == self._owner)
                .values(lease_owner=None, lease_until_ns=0)
            )

        if keys:
            await self.commits.run(work)

    async def happened(
        self,
        key: str,
        event: Event,
        *,
        reason: str = "",
        answer: bytes | None = None,
        attempts: int = 0,
    ) -> Letter | None:
        """Move a letter; a late event changes nothing. Gives the letter as it then stands."""
        return await self.commits.run(lambda c: _happened(c, key, event, reason, answer, attempts))

    async def park_overdue(self, older_than_ns: int, reason: str) -> list[str]:
        """Park letters that have waited since before a time; their keys.

        Both those that no gateway has, and those that one took and says nothing about.
        """

        def work(connection: sa.Connection) -> list[str]:
            waiting = sa.case((_L.state == State.QUEUED, _L.queued_ns), else_=_L.accepted_ns)
            overdue = sa.select(_L.key).where(
                _L.state.in_((State.QUEUED, State.ACCEPTED)), waiting < older_than_ns
            )
            keys = [row.key for row in connection.execute(overdue)]
            for key in keys:
                _happened(connection, key, Event.PARK, reason, None, 0)
            return keys

        return await self.commits.run(work)

    async def alerted(self, keys: Iterable[str]) -> None:
        """Note that somebody was told of these letters."""
        names = list(keys)

        def work(connection: sa.Connection) -> None:
            for key in names:
                changed = connection.execute(
                    sa.update(tables.letters)
                    .where(_L.key == key, _L.alerted_ns.is_(None))
                    .values(alerted_ns=time.time_ns())
                    .returning(_L.state)
                ).first()
                if changed is not None:
                    _note_event(connection, key, "alerted", State(changed.state), "")

        await self.commits.run(work)

    async def replay(self, keys: Sequence[str]) -> list[Letter]:
        """Send letters of the dead-letter queue again; those that were there."""

        def work(connection: sa.Connection) -> list[Letter]:
            moved = [_happened(connection, key, Event.REPLAY, "", None, 0) for key in keys]
            return [letter for letter in moved if letter is not None and letter.replay]

        return await self.commits.run(work)

    # -- reading

    def get(self, key: str) -> Letter | None:
        """One letter."""
        rows = self._rows(sa.select(*_COLUMNS).where(_L.key == key))
        return _letter(rows[0]) if rows else None

    def bundle(self, key: str) -> bytes:
        """A letter's Bundle."""
        rows = self._rows(sa.select(_L.bundle).where(_L.key == key))
        return bytes(rows[0].bundle)

    def letters(self, states: Sequence[State] = DEAD_LETTER_QUEUE) -> list[Letter]:
        """Letters in any of these states, oldest first."""
        query = sa.select(*_COLUMNS).where(_L.state.in_(states)).order_by(_L.received_ns)
        return [_letter(row) for row in self._rows(query)]

    def events(self, key: str) -> list[tuple[int, str, str, str]]:
        """What happened to a letter: time in ns, event, state after it, detail."""
        table = tables.letter_events
        query = sa.select(table).where(table.c.key == key).order_by(table.c.id)
        return [(row.at_ns, row.event, row.state, row.detail) for row in self._rows(query)]

    def unalerted(self) -> list[str]:
        """Keys of letters that were given up and of which nobody is known to have been told."""
        query = sa.select(_L.key).where(
            _L.state.in_((State.DEAD, State.REJECTED)), _L.alerted_ns.is_(None)
        )
        return [row.key for row in self._rows(query)]

    def anything_free(self) -> bool:
        """Whether an open letter waits for somebody to take it."""
        query = sa.select(sa.literal(1)).where(
            _L.state.in_(OPEN), _L.lease_until_ns <= time.time_ns()
        )
        return bool(self._rows(query.limit(1)))

    def changes(self) -> int | None:
        """A number that moves when another process commits (SQLite); None elsewhere.

        ``PRAGMA data_version`` reads shared memory and costs microseconds.
        """
        if self._engine.dialect.name != "sqlite":
            return None
        try:
            if self._watch is None:
                connection = self._engine.connect()
                self._watch = connection.execution_options(isolation_level="AUTOCOMMIT")
            return int(self._watch.exec_driver_sql("PRAGMA data_version").scalar_one())
        except SQLAlchemyError as error:
            raise storage_error(error) from None

    def _rows(self, query: sa.Select[Any]) -> list[Any]:
        try:
            with self._engine.connect() as connection:
                return list(connection.execute(query).all())
        except SQLAlchemyError as error:
            raise storage_error(error) from None


def _happened(
    connection: sa.Connection,
    key: str,
    event: Event,
    reason: str,
    answer: bytes | None,
    attempts: int,
) -> Letter | None:
    query = sa.select(*_COLUMNS).where(_L.key == key)
    if connection.dialect.name == "postgresql":
        query = query.with_for_update()
    row = connection.execute(query).first()
    if row is None:
        return None
    letter = _letter(row)
    state = after(letter.state, event)
    if state is None:
        return letter
    changes = _changes(letter, state, event) | {"reason": reason[:REASON_MAX]}
    if answer is not None:
        changes["answer"] = answer
    if attempts > letter.attempts:
        changes["attempts"] = attempts
    connection.execute(sa.update(tables.letters).where(_L.key == key).values(**changes))
    _note_event(connection, key, event, state, reason)
    return _letter(connection.execute(sa.select(*_COLUMNS).where(_L.key == key)).one())


def _changes(letter: Letter, state: State, event: Event) -> dict[str, Any]:
    now = time.time_ns()
    changes: dict[str, Any] = {"state": state}
    if event is Event.ACCEPT:
        changes["accepted_ns"] = letter.accepted_ns or now
    if event is Event.REPLAY:
        changes |= {"replay": True, "settled_ns": None, "alerted_ns": None, "answer": None}
        changes |= {"lease_owner": None, "lease_until_ns": 0}
    if state is State.QUEUED:
        changes["queued_ns"] = now
    if state not in OPEN:
        changes |= {"settled_ns": now, "replay": False, "lease_owner": None, "lease_until_ns": 0}
    if state in (State.DEAD, State.REJECTED):
        changes["alerted_ns"] = None
    return changes

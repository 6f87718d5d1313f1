"""The outbox: every statement on letters, each in a durable transaction.

Leases let several relays share one database: a letter is worked on by the relay that
holds its lease, and by another once the lease has run out. That two relays may hold one
letter for a moment is harmless: the gateway knows the key.
"""

import time
from collections.abc import Iterable, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from bayscribe.errors import BadUse
from bayscribe_relay.store.database import make_tables, open_engine, storage_error
from bayscribe_relay.writeback import tables
from bayscribe_relay.writeback.groupcommit import GroupCommit
from bayscribe_relay.writeback.letters import (
    COLUMNS,
    Letter,
    Move,
    Signed,
    insert_all,
    letter,
    move_all,
    record,
)
from bayscribe_relay.writeback.note import Note
from bayscribe_relay.writeback.states import DEAD_LETTER_QUEUE, OPEN, Event, State

__all__ = ["Letter", "Outbox"]

_L: Final = tables.letters.c


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
        """Store a signed note and its letter; ``hold`` takes its lease at once.

        Raises:
            BadUse: ``key`` if the key stands for another note.
            StorageError: nothing is stored.
        """
        lease = (self._owner, time.time_ns() + self._lease_ns) if hold else ("", 0)
        one = Signed(note, content, bundle, lease)
        found = await self.commits.run_with(insert_all, one)
        if isinstance(found, BadUse):
            raise found
        return found

    async def claim(self, most: int) -> list[tuple[Letter, bytes]]:
        """Take the leases of open letters that nobody holds; with their Bundles."""
        return await self.commits.run(lambda c: self._claim(c, most))

    def _claim(self, connection: sa.Connection, most: int) -> list[tuple[Letter, bytes]]:
        now = time.time_ns()
        free = (
            sa.select(*COLUMNS, _L.bundle)
            .where(_L.state.in_(OPEN), _L.lease_until_ns <= now)
            .order_by(_L.received_ns)
            .limit(most)
        )
        if connection.dialect.name == "postgresql":
            free = free.with_for_update(skip_locked=True)
        rows = connection.execute(free).all()
        self._lease(connection, [row.key for row in rows], now)
        return [(letter(row), bytes(row.bundle)) for row in rows]

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
        move = Move(key, event, reason, answer, attempts)
        return await self.commits.run_with(move_all, move)

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
            move_all(connection, [Move(key, Event.PARK, reason) for key in keys])
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
                    record(connection, [(key, "alerted", State(changed.state), "")])

        await self.commits.run(work)

    async def replay(self, keys: Sequence[str]) -> list[Letter]:
        """Send letters of the dead-letter queue again; those that were there."""

        def work(connection: sa.Connection) -> list[Letter]:
            moved = move_all(connection, [Move(key, Event.REPLAY) for key in keys])
            return [found for found in moved if found is not None and found.replay]

        return await self.commits.run(work)

    # -- reading

    def get(self, key: str) -> Letter | None:
        """One letter."""
        rows = self._rows(sa.select(*COLUMNS).where(_L.key == key))
        return letter(rows[0]) if rows else None

    def bundle(self, key: str) -> bytes:
        """A letter's Bundle."""
        rows = self._rows(sa.select(_L.bundle).where(_L.key == key))
        return bytes(rows[0].bundle)

    def letters(self, states: Sequence[State] = DEAD_LETTER_QUEUE) -> list[Letter]:
        """Letters in any of these states, oldest first."""
        query = sa.select(*COLUMNS).where(_L.state.in_(states)).order_by(_L.received_ns)
        return [letter(row) for row in self._rows(query)]

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

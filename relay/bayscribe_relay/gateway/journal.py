"""The gateway's durable memory: what it was asked, and what it answered.

A note is in the journal before it is accepted, and its end is there before it is told, so
the same key gets the same answer after any restart. The Bundle is dropped once the note
is in the chart: the gateway keeps no note longer than it must.
"""

import functools
import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from bayscribe_relay.gateway.outcome import Job
from bayscribe_relay.store.database import make_tables, open_engine, storage_error
from bayscribe_relay.writeback.groupcommit import GroupCommit

metadata = sa.MetaData()

commits = sa.Table(
    "commits",
    metadata,
    sa.Column("key", sa.String(36), primary_key=True),
    sa.Column("site", sa.String(64), nullable=False),
    sa.Column("bundle", sa.LargeBinary),
    sa.Column("bundle_sha256", sa.String(64), nullable=False),
    sa.Column("note_sha256", sa.String(64), nullable=False),
    sa.Column("deadline", sa.String(40), nullable=False),
    sa.Column("state", sa.String(16), nullable=False, index=True),
    sa.Column("path", sa.String(8)),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("answer", sa.LargeBinary),
    sa.Column("accepted_ns", sa.BigInteger, nullable=False),
    sa.Column("settled_ns", sa.BigInteger),
    sa.Column("alerted_ns", sa.BigInteger),
)

EntryState = Literal["open", "parked", "committed", "dead", "rejected"]
UNFINISHED: Final = ("open", "parked")


@dataclass(frozen=True, slots=True)
class Entry:
    """A journal entry without its Bundle; ``answer`` is the last word as it was sent."""

    key: str
    site: str
    bundle_sha256: str
    state: EntryState
    reason: str
    attempts: int
    answer: bytes | None
    alerted_ns: int | None


_FIELDS: Final = tuple(Entry.__dataclass_fields__)
_C: Final = commits.c


class Journal:
    """The journal behind plain methods; writes are durable when they return.

    Raises:
        StorageError: from every method, when the database fails.
    """

    def __init__(self, url: str) -> None:
        self._engine = open_engine(url)
        try:
            make_tables(self._engine, metadata)
        except SQLAlchemyError as error:
            raise storage_error(error) from None
        self._writes = GroupCommit(self._engine)

    def close(self) -> None:
        """Commit what waits and let go of the database."""
        self._writes.close()
        self._engine.dispose()

    async def accept(self, job: Job, bundle_sha256: str) -> Entry | None:
        """Take a note in; None, or the entry that stands there already."""
        row = {
            "key": job.key,
            "site": job.site,
            "bundle": job.bundle,
            "bundle_sha256": bundle_sha256,
            "note_sha256": job.note_sha256,
            "deadline": job.deadline,
            "state": "open",
            "failures": 0,
            "attempts": 0,
            "reason": "",
            "accepted_ns": time.time_ns(),
        }

        return await self._writes.run_with(_accept_all, row)

    async def reopen(self, job: Job) -> None:
        """Begin again a note that was given up or refused, at an operator's wish."""
        values = {"state": "open", "failures": 0, "answer": None, "alerted_ns": None}
        await self._update(job.key, values | {"bundle": job.bundle, "settled_ns": None})

    async def progress(self, job: Job, state: EntryState, reason: str) -> None:
        """Note a failed attempt."""
        values: dict[str, Any] = {"state": state, "failures": job.failures, "reason": reason}
        await self._update(job.key, values | {"path": job.path, "attempts": job.clock.attempts})

    async def begun(self, job: Job) -> None:
        """Note which way the first write goes, before it goes."""
        await self._update(job.key, {"path": job.path})

    async def settle(self, job: Job, state: EntryState, reason: str, answer: bytes) -> None:
        """Note the end of a note's way."""
        values: dict[str, Any] = {"state": state, "reason": reason, "answer": answer}
        values |= {"path": job.path, "attempts": job.clock.attempts, "failures": job.failures}
        await self._update(job.key, values | {"settled_ns": time.time_ns(), "bundle": None})

    async def alerted(self, key: str) -> None:
        """Note that people have been told."""
        await self._update(key, {"alerted_ns": time.time_ns()})

    async def _update(self, key: str, values: dict[str, Any]) -> None:
        await self._writes.run_with(_update_all, (key, values))

    def get(self, key: str) -> Entry | None:
        """One entry."""
        for row in self._rows(_entries().where(_C.key == key)):
            return _entry(row)
        return None

    def unfinished(self) -> list[Job]:
        """Notes that were under way when the gateway ended; each may have been written."""
        query = sa.select(commits).where(_C.state.in_(UNFINISHED)).order_by(_C.accepted_ns)
        jobs = []
        for row in self._rows(query):
            job = Job(row.key, row.site, bytes(row.bundle), row.note_sha256, row.deadline)
            job.failures, job.path, job.maybe_stored = row.failures, row.path, True
            job.clock.attempts = row.attempts
            jobs.append(job)
        return jobs

    def unalerted(self) -> list[Entry]:
        """Notes given up or refused of which nobody was told yet."""
        given_up = _C.state.in_(("dead", "rejected"))
        return [_entry(r) for r in self._rows(_entries().where(given_up, _C.alerted_ns.is_(None)))]

    def _rows(self, query: sa.Select[Any]) -> list[Any]:
        try:
            with self._engine.connect() as connection:
                return list(connection.execute(query).all())
        except SQLAlchemyError as error:
            raise storage_error(error) from None


def _accept_all(connection: sa.Connection, rows: Sequence[dict[str, Any]]) -> list[Entry | None]:
    """Insert what is new; for each row None, or the entry that stands there already."""
    keys = [row["key"] for row in rows]
    known = {row.key: _entry(row) for row in connection.execute(_entries().where(_C.key.in_(keys)))}
    found: list[Entry | None] = []
    new: list[dict[str, Any]] = []
    for row in rows:
        found.append(known.get(row["key"]))
        if row["key"] not in known:
            new.append(row)
            known[row["key"]] = _fresh(row)
    if new:
        connection.execute(sa.insert(commits), new)
    return found


def _update_all(
    connection: sa.Connection, updates: Sequence[tuple[str, dict[str, Any]]]
) -> list[None]:
    """Update entries; neighbours that set the same columns go in one batch."""
    for columns, same in itertools.groupby(updates, key=lambda update: tuple(update[1])):
        rows = [
            {"of_key": key, **{f"to_{name}": value for name, value in values.items()}}
            for key, values in same
        ]
        connection.execute(_setting(columns), rows)
    return [None] * len(updates)


@functools.cache
def _setting(columns: tuple[str, ...]) -> sa.Update:
    values: dict[str, Any] = {name: sa.bindparam(f"to_{name}") for name in columns}
    return sa.update(commits).where(_C.key == sa.bindparam("of_key")).values(values)


def _entries() -> "sa.Select[Any]":
    return sa.select(*(_C[name] for name in _FIELDS))


def _fresh(row: dict[str, Any]) -> Entry:
    values: dict[str, Any] = {name: row.get(name) for name in _FIELDS}
    return Entry(**values)


def _entry(row: Any) -> Entry:  # noqa: ANN401 - a row of _FIELDS
    return Entry(**{name: getattr(row, name) for name in _FIELDS})

"""The inbox: every message is durable here before anybody is told that it arrived."""

import hashlib
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Final, Literal

import sqlalchemy as sa
from sqlalchemy.exc import DataError, SQLAlchemyError

from bayscribe_relay.clinical.store import ClinicalStore, insert_new
from bayscribe_relay.emr_feed import tables
from bayscribe_relay.store.database import make_tables, storage_error
from bayscribe_relay.store.groups import GroupQueue

GROUP_MAX: Final = 256
"""Receipts in one transaction."""

State = Literal["received", "done", "ignored", "parked", "waiting"]


@dataclass(frozen=True, slots=True)
class Receipt:
    """A message as it came in.

    Attributes:
        source: ``hl7``; ``notice``: a FHIR notification; ``fhir``: a resource with its patient
            and encounter.
        type: ``ADT^A01``, ``Observation`` ...
        control_id: MSH-10, or the resource.
        stamp_key: identity by sender, control id and the sender's own time.
        body_key: identity by sender, control id and content.
        received_ns: CLOCK_REALTIME.
        body: the bytes.
    """

    source: Literal["hl7", "notice", "fhir"]
    type: str
    control_id: str
    stamp_key: bytes
    body_key: bytes
    received_ns: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Kept:
    """A message in the inbox. ``n`` is its place in the order of receipt."""

    n: int
    source: str
    type: str
    control_id: str
    received_ns: int
    state: State
    reason: str
    body: bytes


@dataclass(slots=True)
class _Waiting:
    receipts: Sequence[Receipt]
    done: "Future[list[bool]]"


def identity(*parts: str | bytes) -> bytes:
    """A digest that no other list of parts has."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogateescape") if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.digest()


class Inbox:
    """Receipts into the database in group commits, by a thread of its own.

    Args:
        store: whose database it stands in.

    Attributes:
        turn: held by whoever of this process writes for the feed: SQLite lets one writer in
            and has others poll, which costs them more than waiting here.
        submitted: submissions since start.
        arrived: called from that thread after each commit with something new.
    """

    def __init__(self, store: ClinicalStore) -> None:
        self._engine = store.engine
        self.turn = threading.Lock()
        self.arrived: Callable[[], None] = lambda: None
        self.submitted = 0
        self._last_ns = 0
        try:
            make_tables(self._engine, tables.metadata)
        except SQLAlchemyError as error:
            raise storage_error(error) from None
        self._queue: GroupQueue[_Waiting] = GroupQueue(GROUP_MAX)
        self._thread = threading.Thread(target=self._run, name="feed-inbox", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Make durable what waits, then end."""
        self._queue.end()
        self._thread.join()

    def submit(self, receipts: Sequence[Receipt]) -> "Future[list[bool]]":
        """Keep messages, all or none.

        Returns:
            resolved once they are durable: for each, whether it is new. Fails with
            :class:`~bayscribe.errors.StorageError` when the database does.
        """
        future: Future[list[bool]] = Future()
        # Whoever waits may go away; what was submitted is kept all the same.
        future.set_running_or_notify_cancel()
        self.submitted += 1
        self._queue.put(_Waiting(receipts, future))
        return future

    def quiet(self) -> bool:
        """Whether nothing has come in for a moment."""
        return time.monotonic_ns() - self._last_ns > 200_000_000

    def waiting(self) -> int:
        """How many submissions are not durable yet."""
        return self._queue.waiting()

    # -- what became of them

    def counts(self) -> dict[str, int]:
        """Messages by state."""
        c = tables.messages.c
        query = sa.select(c.state, sa.func.count()).group_by(c.state)
        with self._engine.connect() as link:
            return {str(state): int(number) for state, number in link.execute(query)}

    def parked(self, limit: int = 1_000) -> list[Kept]:
        """Messages that could not be applied, oldest first."""
        c = tables.messages.c
        query = sa.select(tables.messages).where(c.state == "parked").order_by(c.n).limit(limit)
        with self._engine.connect() as link:
            return [kept(row) for row in link.execute(query)]

    def received(self, source: str, limit: int) -> list[Kept]:
        """Messages of a source that nothing was done about yet, oldest first."""
        c = tables.messages.c
        query = sa.select(tables.messages).where(c.state == "received", c.source == source)
        try:
            with self._engine.connect() as link:
                return [kept(row) for row in link.execute(query.order_by(c.n).limit(limit))]
        except SQLAlchemyError as error:
            raise storage_error(error) from None

    def settle(self, n: int, state: State, reason: str = "") -> None:
        """Say what became of a message."""
        c = tables.messages.c
        values = {"state": state, "reason": reason[:200]}
        try:
            with self.turn, self._engine.begin() as link:
                link.execute(sa.update(tables.messages).where(c.n == n).values(values))
        except SQLAlchemyError as error:
            raise storage_error(error) from None

    def replay(self, n: int | None = None) -> int:
        """Have one parked message, or all of them, interpreted again.

        Returns:
            how many.
        """
        c = tables.messages.c
        which = c.state == "parked" if n is None else (c.state == "parked") & (c.n == n)
        with self._engine.begin() as link:
            changed = link.execute(
                sa.update(tables.messages).where(which).values(state="received", reason="")
            ).rowcount
        self.arrived()
        return int(changed)

    def purge(self, older_ns: int, waiting_ns: int) -> int:
        """Delete what has been interpreted and is older; parked messages stay.

        Args:
            older_ns: received before this.
            waiting_ns: those received before this wait no longer: the visit is not ours.
        """
        c = tables.messages.c
        with self._engine.begin() as link:
            link.execute(
                sa.update(tables.messages)
                .where(c.state == "waiting", c.received_ns < waiting_ns)
                .values(state="ignored", reason="not-ours: its visit never came here")
            )
            gone = link.execute(
                sa.delete(tables.messages).where(
                    c.state.in_(("done", "ignored")), c.received_ns < older_ns
                )
            )
            return int(gone.rowcount)

    # -- the thread

    def _run(self) -> None:
        ended = False
        while not ended:
            group, ended = self._queue.take()
            if group:
                self._commit(group)

    def _commit(self, group: Sequence[_Waiting]) -> None:
        self._last_ns = time.monotonic_ns()
        try:
            with self.turn, self._engine.begin() as link:
                results = [[_insert(link, one) for one in item.receipts] for item in group]
        except DataError as error:
            # One that the database will not take must not take the others with it.
            if len(group) > 1:
                for item in group:
                    self._commit([item])
                return
            group[0].done.set_exception(storage_error(error))
            return
        except SQLAlchemyError as error:
            failure = storage_error(error)
            for item in group:
                item.done.set_exception(failure)
            time.sleep(0.05)  # the database is down: do not spin on those who try again
            return
        for item, result in zip(group, results, strict=True):
            item.done.set_result(result)
        if any(any(result) for result in results):
            self.arrived()


def kept(row: sa.Row[tuple[object, ...]]) -> Kept:
    """A row of the table."""
    return Kept(
        n=row.n,
        source=row.source,
        type=row.type,
        control_id=row.control_id,
        received_ns=row.received_ns,
        state=row.state,
        reason=row.reason,
        body=bytes(row.body),
    )


def _insert(link: sa.Connection, receipt: Receipt) -> bool:
    return insert_new(
        link,
        tables.messages,
        {
            "source": receipt.source,
            "type": receipt.type[:32],
            "control_id": receipt.control_id[:200],
            "stamp_key": receipt.stamp_key,
            "body_key": receipt.body_key,
            "received_ns": receipt.received_ns,
            "state": "received",
            "reason": "",
            "body": receipt.body,
        },
    )

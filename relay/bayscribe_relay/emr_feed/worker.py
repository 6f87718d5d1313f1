"""The worker: interprets what the inbox holds, in order, and never stands still for one.

A message and all that follows from it are one savepoint, a run of messages one transaction.
So a message that was received and not interpreted when the relay died is interpreted at the
next start, one that was is not interpreted again, and one that fails leaves nothing behind.
"""

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError

from bayscribe.errors import StorageError
from bayscribe_relay.emr_feed import tables
from bayscribe_relay.emr_feed.application import Application, Waits
from bayscribe_relay.emr_feed.inbox import Inbox, Kept, State, kept
from bayscribe_relay.emr_feed.interpretation import CannotApply, Interpretation
from bayscribe_relay.encounters.desk import Desk
from bayscribe_relay.store.database import storage_error

log = logging.getLogger("bayscribe.feed")
RUN_MAX: Final = 64
RUN_SHORT: Final = 8
"""Messages in one transaction, while none and while some are coming in: it bounds how long
a sender waits for the lock."""
_LOOK_S: Final = 2.0
_RETRY_S: Final = 2.0

Reader = Callable[[Kept], Sequence[Interpretation]]
"""Reads a message of one source; raises CannotApply."""


class Worker:
    """Interprets in a thread of its own; several relays on a database take turns.

    Args:
        inbox: what it interprets.
        desk: whose transaction it works in.
        application: applies what is said.
        readers: by source.

    Attributes:
        counters: messages by what became of them, since start.
    """

    def __init__(
        self, inbox: Inbox, desk: Desk, application: Application, readers: dict[str, Reader]
    ) -> None:
        self.counters = {"done": 0, "ignored": 0, "parked": 0, "waiting": 0, "events": 0}
        self._inbox = inbox
        self._desk = desk
        self._application = application
        self._readers = readers
        self._bell = threading.Event()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="feed-worker", daemon=True)

    def start(self) -> None:
        """Begin, with what an earlier run left."""
        self._thread.start()

    def close(self) -> None:
        """End after the transaction that is under way."""
        self._ending.set()
        self._bell.set()
        self._thread.join()

    def wake(self) -> None:
        """There is something new."""
        self._bell.set()

    def turn(self) -> int:
        """Interpret one run of messages; how many there were.

        Raises:
            StorageError: the database failed; nothing of the run is applied.
        """
        with storage(), self._desk.store.engine.connect() as link:
            rows = link.execute(self._waiting(RUN_MAX if self._inbox.quiet() else RUN_SHORT)).all()
        if not rows:
            return 0
        # Reading needs no lock; only what it comes to is written under one.
        read = [(message, self._read(message)) for message in map(kept, rows)]
        outcomes: list[str] = []
        with self._inbox.turn, self._desk.transaction() as link:
            c = tables.messages.c
            numbers = [message.n for message, _ in read]
            mine = sa.select(c.n).where(c.state == "received", c.n.in_(numbers))
            still = set(link.execute(mine).scalars())
            self._application.refresh(link)
            for message, said in read:
                if message.n in still:
                    outcomes.append(self._one(link, message, said))
        for outcome in outcomes:
            self.counters[outcome] += 1
        return len(read)

    def drain(self) -> int:
        """Interpret all that waits; how many there were."""
        total = 0
        while number := self.turn():
            total += number
        return total

    # -- inside

    def _run(self) -> None:
        while not self._ending.is_set():
            self._bell.clear()
            try:
                while self.turn():
                    if self._ending.is_set():
                        return
            except StorageError as error:
                log.error("the feed waits for the store: %s", error.line())  # noqa: TRY400 - one line
                self._bell.wait(_RETRY_S)
            self._bell.wait(_LOOK_S)

    def _waiting(self, most: int) -> sa.Select[Any]:
        c = tables.messages.c
        query = sa.select(tables.messages)
        query = query.where(c.state == "received", c.source.in_(list(self._readers)))
        return query.order_by(c.n).limit(most)

    def _read(self, message: Kept) -> Sequence[Interpretation] | CannotApply:
        try:
            return self._readers[message.source](message)
        except CannotApply as error:
            return error
        except Exception as error:
            log.exception("a message could not be read", exc_info=bare(error))
            return CannotApply(f"internal: {type(error).__name__}")

    def _one(
        self, link: sa.Connection, message: Kept, read: Sequence[Interpretation] | CannotApply
    ) -> State:
        state, reason, visit = self._applied(link, read)
        if state == "parked":
            self._application.refresh(link)
            log.warning("message %d parked: %s", message.n, reason)
        self._mark(link, message.n, state, reason, visit)
        return state

    def _applied(
        self, link: sa.Connection, read: Sequence[Interpretation] | CannotApply
    ) -> tuple[State, str, str]:
        """What became of a message: state, reason, awaited visit."""
        if isinstance(read, CannotApply):
            return "parked", str(read), ""
        reason = ""
        try:
            with link.begin_nested():
                for said in read:
                    reason = self._application.apply(link, said)
                    self.counters["events"] += len(said.events)
        except Waits as waits:
            return "waiting", "waits: its visit is not known yet", waits.visit
        except CannotApply as error:
            return "parked", str(error), ""
        except (OperationalError, StorageError):
            raise
        except SQLAlchemyError as error:
            _raise_if_gone(error)
            return "parked", f"refused-by-store: {type(error).__name__}", ""
        except Exception as error:
            log.exception("a message could not be applied", exc_info=bare(error))
            return "parked", f"internal: {type(error).__name__}", ""
        return "ignored" if reason else "done", reason, ""

    def _mark(self, link: sa.Connection, n: int, state: str, reason: str, visit: str) -> None:
        values: dict[str, Any] = {"state": state, "reason": reason[:200], "visit": visit}
        link.execute(sa.update(tables.messages).where(tables.messages.c.n == n).values(values))


def hl7_reader(interpret: Callable[[bytes, int, int], Interpretation]) -> Reader:
    """A reader of HL7 messages."""

    def read(message: Kept) -> Sequence[Interpretation]:
        return [interpret(message.body, message.n, message.received_ns)]

    return read


@contextlib.contextmanager
def storage() -> Iterator[None]:
    """The database's failures as the product's own.

    Raises:
        StorageError: it failed.
    """
    try:
        yield
    except SQLAlchemyError as error:
        raise storage_error(error) from None


def _raise_if_gone(error: SQLAlchemyError) -> None:
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        raise error


def bare(error: Exception) -> Exception:
    """The error's kind and place without its text, which may hold what the message said."""
    return RuntimeError(type(error).__name__).with_traceback(error.__traceback__)

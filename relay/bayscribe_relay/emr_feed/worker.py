"""The worker: interprets what the inbox holds, in order, and never stands still for one.

A message and all that follows from it are one savepoint, a run of messages one transaction.
So a message that was received and not interpreted when the relay died is interpreted at the
next start, one that was is not interpreted again, and one that fails leaves nothing behind.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError

from bayscribe.errors import StorageError
from bayscribe_relay.emr_feed import tables
from bayscribe_relay.emr_feed.application import Application, Waits
from bayscribe_relay.emr_feed.inbox import Kept, State, kept
from bayscribe_relay.emr_feed.interpretation import CannotApply, Interpretation
from bayscribe_relay.encounters.desk import Desk

log = logging.getLogger("bayscribe.feed")
RUN_MAX: Final = 64
"""Messages in one transaction: bounds how long others wait for the lock."""
_LOOK_S: Final = 2.0
_RETRY_S: Final = 2.0

Reader = Callable[[Kept], Sequence[Interpretation]]
"""Reads a message of one source; raises CannotApply."""


class Worker:
    """Interprets in a thread of its own; several relays on a database take turns.

    Args:
        desk: whose transaction it works in.
        application: applies what is said.
        readers: by source.

    Attributes:
        counters: messages by what became of them, since start.
    """

    def __init__(self, desk: Desk, application: Application, readers: dict[str, Reader]) -> None:
        self.counters = {"done": 0, "ignored": 0, "parked": 0, "waiting": 0, "events": 0}
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
        outcomes: list[str] = []
        with self._desk.transaction() as link:
            c = tables.messages.c
            query = sa.select(tables.messages).where(c.state == "received")
            rows = link.execute(query.order_by(c.n).limit(RUN_MAX)).all()
            if rows:
                self._application.refresh(link)
            outcomes.extend([self._one(link, kept(row)) for row in rows])
        for outcome in outcomes:
            self.counters[outcome] += 1
        return len(outcomes)

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

    def _one(self, link: sa.Connection, message: Kept) -> State:
        state: State = "done"
        reason, visit = "", ""
        try:
            with link.begin_nested():
                for said in self._readers[message.source](message):
                    reason = self._application.apply(link, said)
                    self.counters["events"] += len(said.events)
            state = "ignored" if reason else "done"
        except Waits as waits:
            state, visit, reason = "waiting", waits.visit, "waits: its visit is not known yet"
        except CannotApply as error:
            state, reason = "parked", str(error)
        except OperationalError:
            raise
        except SQLAlchemyError as error:
            _raise_if_gone(error)
            state, reason = "parked", f"refused-by-store: {type(error).__name__}"
        except Exception as error:
            state, reason = "parked", f"internal: {type(error).__name__}"
            log.exception("a message could not be interpreted", exc_info=_without_values(error))
        if state == "parked":
            self._application.refresh(link)
            log.warning("message %d parked: %s", message.n, reason)
        self._mark(link, message.n, state, reason, visit)
        return state

    def _mark(self, link: sa.Connection, n: int, state: str, reason: str, visit: str) -> None:
        values: dict[str, Any] = {"state": state, "reason": reason[:200], "visit": visit}
        link.execute(sa.update(tables.messages).where(tables.messages.c.n == n).values(values))


def hl7_reader(interpret: Callable[[bytes, int, int], Interpretation]) -> Reader:
    """A reader of HL7 messages."""

    def read(message: Kept) -> Sequence[Interpretation]:
        return [interpret(message.body, message.n, message.received_ns)]

    return read


def _raise_if_gone(error: SQLAlchemyError) -> None:
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        raise error


def _without_values(error: Exception) -> Exception:
    """The error's kind and place without its text, which may hold what the message said."""
    return RuntimeError(type(error).__name__).with_traceback(error.__traceback__)

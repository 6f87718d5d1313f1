"""Group commit: statements of many letters in one durable transaction.

A transaction costs one flush of the disk, some 10 ms, however much is in it. One thread
takes whatever waits and commits it together, so forty signatures in one second share a
few flushes instead of queueing for forty. On a database server each statement costs a
round trip as well: work of one kind that waits together is handed to one function, which
can do it in a few statements.
"""

import asyncio
import itertools
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from bayscribe_relay.store.database import storage_error
from bayscribe_relay.store.groups import GroupQueue

T = TypeVar("T")
A = TypeVar("A")
Together = Callable[[sa.Connection, Sequence[A]], Sequence[T]]
"""Does pieces of work of one kind in their order; gives a result for each."""

MOST = 256
"""Pieces of work in one transaction: bounds how long the first of them waits."""


class GroupCommit:
    """The one thread that writes. :meth:`submit` may be called from any thread.

    Args:
        engine: opened by :func:`bayscribe_relay.store.database.open_engine`.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._queue: GroupQueue[_Item] = GroupQueue(MOST)
        self._thread = threading.Thread(target=self._run, name="group-commit", daemon=True)
        self._thread.start()

    def submit(self, together: Together[A, T], piece: A) -> "Future[T]":
        """Run a piece of work in a transaction; the result comes once it is durable.

        A piece may be run twice: once with others, and again alone if the others failed.

        Args:
            together: does pieces of this kind; neighbours with an equal one go in one call.
            piece: what is to be done.
        """
        future: Future[T] = Future()
        self._queue.put((together, piece, future))
        return future

    async def run(self, work: Callable[[sa.Connection], T]) -> T:
        """Run work that stands alone.

        Raises:
            StorageError: the database failed; nothing of it is stored.
        """
        return await self.run_with(_one_by_one, work)

    async def run_with(self, together: Together[A, T], piece: A) -> T:
        """As :meth:`submit`, awaited.

        Raises:
            StorageError: the database failed; nothing of it is stored.
        """
        return await asyncio.wrap_future(self.submit(together, piece))

    def close(self) -> None:
        """Commit what waits, then end the thread."""
        self._queue.end()
        self._thread.join()

    def _run(self) -> None:
        ending = False
        while not ending:
            group, ending = self._queue.take()
            if group:
                self._commit(group)

    def _commit(self, group: "list[_Item]") -> None:
        try:
            with self._engine.begin() as connection:
                if connection.dialect.name == "sqlite":
                    # Take the writer's lock before the first read, or two processes that
                    # both read and then write fail with SQLITE_BUSY_SNAPSHOT.
                    connection.exec_driver_sql("BEGIN IMMEDIATE")
                results = _do(connection, group)
        except Exception as error:  # noqa: BLE001 - handed to whoever waits, whatever it is
            if len(group) > 1:
                for item in group:
                    self._commit([item])
                return
            mine = storage_error(error) if isinstance(error, SQLAlchemyError) else error
            _give(group[0][2], error=mine)
            return
        for (*_, future), result in zip(group, results, strict=True):
            _give(future, result)


_Item = tuple[Together[Any, Any], Any, "Future[Any]"]


def _do(connection: sa.Connection, group: "list[_Item]") -> list[Any]:
    results: list[Any] = []
    for together, items in itertools.groupby(group, key=lambda item: item[0]):
        results += together(connection, [piece for _, piece, _ in items])
    return results


def _one_by_one(
    connection: sa.Connection, works: Sequence[Callable[[sa.Connection], T]]
) -> list[T]:
    return [work(connection) for work in works]


def _give(future: "Future[Any]", result: object = None, error: Exception | None = None) -> None:
    if not future.set_running_or_notify_cancel():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)

"""Group commit: statements of many letters in one durable transaction.

A transaction costs one flush of the disk, some 10 ms, however much is in it. One thread
takes whatever waits and commits it together, so forty signatures in one second share a
few flushes instead of queueing for forty.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from bayscribe_relay.store.database import storage_error
from bayscribe_relay.store.groups import GroupQueue

T = TypeVar("T")
Work = Callable[[sa.Connection], Any]

MOST = 256
"""Pieces of work in one transaction: bounds how long the first of them waits."""


class GroupCommit:
    """The one thread that writes. :meth:`submit` may be called from any thread.

    Args:
        engine: opened by :func:`bayscribe_relay.store.database.open_engine`.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._queue: GroupQueue[tuple[Work, Future[Any]]] = GroupQueue(MOST)
        self._thread = threading.Thread(target=self._run, name="group-commit", daemon=True)
        self._thread.start()

    def submit(self, work: Callable[[sa.Connection], T]) -> "Future[T]":
        """Run ``work`` in a transaction; the result comes once it is durable.

        ``work`` may run twice: once with others, and again alone if the others failed.
        """
        future: Future[T] = Future()
        self._queue.put((work, future))
        return future

    async def run(self, work: Callable[[sa.Connection], T]) -> T:
        """As :meth:`submit`, awaited.

        Raises:
            StorageError: the database failed; nothing of it is stored.
        """
        return await asyncio.wrap_future(self.submit(work))

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

    def _commit(self, group: list[tuple[Work, "Future[Any]"]]) -> None:
        try:
            with self._engine.begin() as connection:
                if connection.dialect.name == "sqlite":
                    # Take the writer's lock before the first read, or two processes that
                    # both read and then write fail with SQLITE_BUSY_SNAPSHOT.
                    connection.exec_driver_sql("BEGIN IMMEDIATE")
                results = [work(connection) for work, _ in group]
        except Exception as error:  # noqa: BLE001 - handed to whoever waits, whatever it is
            if len(group) > 1:
                for item in group:
                    self._commit([item])
                return
            mine = storage_error(error) if isinstance(error, SQLAlchemyError) else error
            _give(group[0][1], error=mine)
            return
        for (_, future), result in zip(group, results, strict=True):
            _give(future, result)


def _give(future: "Future[Any]", result: object = None, error: Exception | None = None) -> None:
    if not future.set_running_or_notify_cancel():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)

"""Group commit: one durable transaction for whatever all connections have ready.

A transaction costs a flush of the disk (milliseconds) however many records are in it,
so one thread takes everything that waits and commits it together.
"""

import threading
import time
from concurrent.futures import Future

from bayscribe.errors import StorageError
from bayscribe_relay.store.groups import GroupQueue
from bayscribe_relay.store.records import Batch
from bayscribe_relay.store.store import Store

MOST_BATCHES = 256
"""Batches in one transaction: bounds how long the first of them waits."""


class Committer:
    """The one thread that writes records.

    :meth:`submit` may be called from any thread.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._queue: GroupQueue[tuple[Batch, Future[bool]]] = GroupQueue(MOST_BATCHES)
        self._busy_since: float | None = None
        self._thread = threading.Thread(target=self._run, name="committer", daemon=True)
        self._thread.start()

    def submit(self, batch: Batch) -> Future[bool]:
        """Store a batch.

        Returns:
            True once it is durable; False if the stream was continued elsewhere;
            StorageError if the store failed, and then nothing of it is stored.
        """
        future: Future[bool] = Future()
        self._queue.put((batch, future))
        return future

    def waiting(self) -> int:
        """How many batches wait."""
        return self._queue.waiting()

    def stuck_for(self) -> float:
        """Seconds that the transaction under way has taken, 0 when idle."""
        since = self._busy_since
        return 0.0 if since is None else time.monotonic() - since

    def close(self) -> None:
        """Commit what waits, then end the thread."""
        self._queue.end()
        self._thread.join()

    def _run(self) -> None:
        ending = False
        while not ending:
            group, ending = self._queue.take()
            if group:
                self._busy_since = time.monotonic()
                self._commit(group)
                self._busy_since = None

    def _commit(self, group: list[tuple[Batch, Future[bool]]]) -> None:
        try:
            taken = self._store.commit([batch for batch, _ in group])
        except StorageError as error:
            if len(group) == 1:
                group[0][1].set_exception(error)
                return
            # One batch may have spoilt it for all: try each alone.
            for item in group:
                self._commit([item])
            return
        for (_, future), ok in zip(group, taken, strict=True):
            future.set_result(ok)

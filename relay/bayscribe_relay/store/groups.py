"""Taking everything that waits: the queue behind a thread that commits in groups."""

import queue
from typing import Generic, TypeVar

T = TypeVar("T")


class GroupQueue(Generic[T]):
    """Items from any thread, handed out in groups to one.

    Args:
        most: items in one group: bounds how long the first of them waits.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._queue: queue.SimpleQueue[T | None] = queue.SimpleQueue()

    def put(self, item: T) -> None:
        """Add an item."""
        self._queue.put(item)

    def end(self) -> None:
        """Nothing comes behind what waits now."""
        self._queue.put(None)

    def waiting(self) -> int:
        """How many items wait."""
        return self._queue.qsize()

    def take(self) -> tuple[list[T], bool]:
        """Wait for an item; it and whatever waits behind it, and whether the end was met."""
        first = self._queue.get()
        if first is None:
            return [], True
        group = [first]
        while len(group) < self._most:
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                break
            if item is None:
                return group, True
            group.append(item)
        return group, False

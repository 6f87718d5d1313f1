"""What changed, handed to the pages that are open: within half a second, from any relay."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Final

from bayscribe.errors import StorageError
from bayscribe_relay.clinical.store import Change, Changes, ClinicalStore
from bayscribe_relay.writeback.outbox import Outbox
from bayscribe_relay.writeback.states import State

log = logging.getLogger("bayscribe.web")

LOOK_S: Final = 0.3
"""Between looks at what other relays on the database changed, and at letters."""

_GATHER_S: Final = 0.03
"""Changes of one moment go out together."""

_MOST_WAITING: Final = 2_000

Told = tuple[str, str]
"""What changed and its id: as in :class:`Change`, or ``letter`` and its key."""

END: Final[Told] = ("end", "")
"""Told to every page when the relay stops."""


class Follower:
    """One open page."""

    def __init__(self, stay: str) -> None:
        self.stay = stay
        self.letter = ""
        self._told: set[Told] = set()
        self._bell = asyncio.Event()

    def tell(self, told: Told) -> None:
        """Something changed; one that nobody takes is told that all did."""
        if len(self._told) >= _MOST_WAITING:
            self._told = {("all", "")}
        self._told.add(told)
        self._bell.set()

    async def take(self, timeout_s: float) -> set[Told]:
        """What changed since the last call; empty when nothing did in time."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._bell.wait(), timeout_s)
            await asyncio.sleep(_GATHER_S)
        self._bell.clear()
        told, self._told = self._told, set()
        return told


class Live:
    """Follows the store for all open pages of this relay.

    Args:
        clinical: the store.
        outbox: letters; None on a relay that writes nothing back.
    """

    def __init__(self, clinical: ClinicalStore, outbox: Outbox | None) -> None:
        self._clinical = clinical
        self._outbox = outbox
        self._followers: set[Follower] = set()
        self._bell = asyncio.Event()
        self._letters: dict[str, str] = {}

    @contextlib.contextmanager
    def follow(self, stay: str = "") -> Iterator[Follower]:
        """Be told of one stay's changes, or of all stays' if none is named."""
        follower = Follower(stay)
        self._followers.add(follower)
        try:
            yield follower
        finally:
            self._followers.discard(follower)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Live"]:
        """Follow until the end of the block."""
        loop = asyncio.get_running_loop()

        def ring() -> None:
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._bell.set)

        end = self._clinical.listen(ring)
        cursor = await asyncio.to_thread(Changes, self._clinical)
        task = asyncio.create_task(self._run(cursor))
        try:
            yield self
        finally:
            end()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def end(self) -> None:
        """The relay stops: open streams end, and their pages come back to the next one."""
        for follower in self._followers:
            follower.tell(END)

    async def _run(self, cursor: Changes) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._bell.wait(), LOOK_S)
                await asyncio.sleep(_GATHER_S)
            self._bell.clear()
            try:
                for change in await asyncio.to_thread(cursor.take):
                    self._tell(change)
                await self._look_at_letters()
            except StorageError as error:
                log.error("pages wait for the store: %s", error.code)  # noqa: TRY400 - one line
                await asyncio.sleep(LOOK_S)

    def _tell(self, change: Change) -> None:
        for follower in self._followers:
            if follower.stay in ("", change.stay):
                follower.tell((change.what, change.ref))

    async def _look_at_letters(self) -> None:
        wanted = {f.letter for f in self._followers if f.letter}
        self._letters = {key: state for key, state in self._letters.items() if key in wanted}
        if self._outbox is None:
            return
        for key in wanted:
            if self._letters.get(key) == State.VERIFIED:
                continue
            letter = await asyncio.to_thread(self._outbox.get, key)
            seen = "" if letter is None else f"{letter.state}"
            if self._letters.get(key) != seen:
                self._letters[key] = seen
                for follower in self._followers:
                    if follower.letter == key:
                        follower.tell(("letter", key))

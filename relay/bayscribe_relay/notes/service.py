"""Keeps drafts current: composes a stay's draft again when something of it changes."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from datetime import UTC, tzinfo
from typing import Final

from bayscribe.errors import BadUse, StorageError
from bayscribe_relay.clinical.store import Changes, ClinicalStore
from bayscribe_relay.notes.config import NotesConfig
from bayscribe_relay.notes.model.asking import Asker
from bayscribe_relay.notes.model.client import ModelClient
from bayscribe_relay.notes.recompose import recompose

__all__ = ["Drafter", "recompose"]

log = logging.getLogger("bayscribe.notes")

_MATTERS: Final = frozenset({"stay", "event", "utterance", "prompt", "binding"})


class Drafter:
    """Follows the changes of all relays on the database.

    Args:
        store: the clinical tables.
        config: the site's wishes.
        zone: in which times of day are written.
    """

    def __init__(self, store: ClinicalStore, config: NotesConfig, zone: tzinfo = UTC) -> None:
        self._store = store
        self._config = config
        self._zone = zone
        self._changes = Changes(store)

    @classmethod
    @contextlib.asynccontextmanager
    async def running(
        cls, store: ClinicalStore, config: NotesConfig, zone: tzinfo = UTC
    ) -> AsyncIterator["Drafter"]:
        """Compose until the end of the block; open stays first get what they missed.

        Raises:
            ConfigError: the model's key or authority cannot be read.
        """
        drafter = cls(store, config, zone)
        async with drafter._asking() as asker:
            opened = await asyncio.to_thread(drafter.catch_up)
            task = asyncio.create_task(drafter._run(asker, opened))
            try:
                yield drafter
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    def catch_up(self) -> set[str]:
        """Compose the drafts of all open stays; which they are."""
        found = {stay.id for stay in self._store.stays(state="open")}
        for stay in sorted(found):
            recompose(self._store, stay, self._config, self._zone)
        return found

    def step(self) -> set[str]:
        """Compose the drafts of stays that changed since the last call; which."""
        found = {c.stay for c in self._changes.take() if c.what in _MATTERS and c.stay}
        for stay in sorted(found):
            recompose(self._store, stay, self._config, self._zone)
        return found

    @contextlib.asynccontextmanager
    async def _asking(self) -> AsyncIterator[Asker | None]:
        model = self._config.model
        if model is None:
            yield None
            return
        async with ModelClient.running(model) as client:
            asker = Asker(self._store, self._config, model, client, self._zone)
            try:
                yield asker
            finally:
                await asker.close()

    async def _run(self, asker: Asker | None, changed: set[str]) -> None:
        while True:
            if asker is not None:
                asker.tick(changed)
            await asyncio.sleep(self._config.every_s)
            try:
                changed = await asyncio.to_thread(self.step)
            except (StorageError, BadUse) as error:
                changed = set()
                log.warning("a draft could not be composed: %s", error.code)

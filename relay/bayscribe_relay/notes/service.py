"""Keeps drafts current: composes a stay's draft again when something of it changes."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from datetime import UTC, tzinfo
from typing import Final

from msgspec.structs import replace

from bayscribe.errors import BadUse, StorageError
from bayscribe_relay.clinical.drafts import Draft
from bayscribe_relay.clinical.store import Changes, ClinicalStore
from bayscribe_relay.notes.compose import Style, compose, merge
from bayscribe_relay.notes.config import NotesConfig

log = logging.getLogger("bayscribe.notes")

_TRIES: Final = 8
_MATTERS: Final = frozenset({"stay", "event", "utterance", "prompt", "binding"})


def recompose(
    store: ClinicalStore, stay_id: str, config: NotesConfig, zone: tzinfo = UTC
) -> Draft | None:
    """Compose a stay's draft and store it as the next revision if anything in it changed.

    Returns:
        the draft in force; None without a stay, or with nothing heard and no draft before.
    """
    for _ in range(_TRIES):
        stay, old = store.stay(stay_id), store.draft(stay_id)
        if stay is None or (old is not None and old.signed_key):
            return old
        style = Style(zone=zone, doubtful_below=config.doubtful_below)
        spoken, events = store.utterances(stay=stay_id), store.events(stay_id)
        try:
            new = compose(stay, events, spoken, store.prompts(stay_id), config.type, style)
        except BadUse as error:
            if error.code != "no-audio" or old is None:
                return old
            # What it was made of has been given to another patient: nothing of it may stay.
            new = replace(old, sections=tuple(replace(s, sentences=()) for s in old.sections))
        merged = merge(old, new)
        if old is not None and merged.sections == old.sections:
            return old
        try:
            store.put_draft(replace(merged, composed_ns=time.time_ns()))
        except BadUse as error:
            if error.code != "revision":
                raise
            continue
        return merged
    return store.draft(stay_id)


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
        """Compose until the end of the block; open stays first get what they missed."""
        drafter = cls(store, config, zone)
        await asyncio.to_thread(drafter.catch_up)
        task = asyncio.create_task(drafter._run())
        try:
            yield drafter
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def catch_up(self) -> None:
        """Compose the drafts of all open stays."""
        for stay in self._store.stays(state="open"):
            recompose(self._store, stay.id, self._config, self._zone)

    def step(self) -> set[str]:
        """Compose the drafts of stays that changed since the last call; which."""
        found = {c.stay for c in self._changes.take() if c.what in _MATTERS and c.stay}
        for stay in sorted(found):
            recompose(self._store, stay, self._config, self._zone)
        return found

    async def _run(self) -> None:
        while True:
            try:
                await asyncio.to_thread(self.step)
            except (StorageError, BadUse) as error:
                log.warning("a draft could not be composed: %s", error.code)
            await asyncio.sleep(self._config.every_s)

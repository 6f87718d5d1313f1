"""When the model is asked, and what becomes of its answer; no draft waits for it."""

import asyncio
import logging
import time
from collections.abc import Iterable
from datetime import tzinfo
from typing import Final

from bayscribe.errors import BadUse, StorageError
from bayscribe_relay.clinical.drafts import Draft, ModelUse
from bayscribe_relay.clinical.store import ClinicalStore
from bayscribe_relay.notes.config import ModelConfig, NotesConfig
from bayscribe_relay.notes.model.answer import Unreadable, read_answer
from bayscribe_relay.notes.model.client import ModelClient, NotUsed
from bayscribe_relay.notes.model.joining import Answered
from bayscribe_relay.notes.model.request import Request, make_request
from bayscribe_relay.notes.recompose import recompose

log = logging.getLogger("bayscribe.notes")

_PAUSE_MAX_S: Final = 900.0
_FAILURES_MAX: Final = 8
"""After so many failures in a row a stay is asked for again only when something changes."""


class Asker:
    """Asks for the stays that changed, one request for a stay at a time.

    Belongs to one event loop; every method is called from it.

    Args:
        store: the clinical tables.
        notes: the site's wishes.
        config: the endpoint.
        client: to it.
        zone: in which times of day are written.
    """

    def __init__(
        self,
        store: ClinicalStore,
        notes: NotesConfig,
        config: ModelConfig,
        client: ModelClient,
        zone: tzinfo,
    ) -> None:
        self._store = store
        self._notes = notes
        self._config = config
        self._client = client
        self._zone = zone
        self._due: dict[str, float] = {}
        self._failures: dict[str, int] = {}
        self._running: dict[str, asyncio.Task[None]] = {}

    def tick(self, changed: Iterable[str] = ()) -> None:
        """Note what changed, and begin what is due."""
        now = time.monotonic()
        for stay in changed:
            self._due.setdefault(stay, now + self._config.every_s)
        for stay, at in sorted(self._due.items(), key=lambda item: item[1]):
            if at > now or len(self._running) >= self._config.parallel:
                break
            if stay not in self._running:
                del self._due[stay]
                self._running[stay] = asyncio.create_task(self._ask(stay))

    async def close(self) -> None:
        """End what is under way; the drafts stand as they are."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _ask(self, stay: str) -> None:
        try:
            await self._once(stay)
        except (StorageError, BadUse) as error:
            log.warning("a draft could not take the model's answer: %s", error.code)
            self._again(stay, 0.0)
        except Exception as error:  # noqa: BLE001 - whatever an answer holds, drafting goes on
            log.error("a model's answer was let go: %s", type(error).__name__)  # noqa: TRY400 - it may hold words
        finally:
            del self._running[stay]

    async def _once(self, stay: str) -> None:
        request = await asyncio.to_thread(self._request, stay)
        if request is None:
            return
        sources = tuple(link.ref for link in request.refs.values())
        try:
            if not request.fits:
                raise NotUsed("the encounter is too long for it")  # noqa: TRY301 - one place says why
            reply = await self._client.ask(request.body)
            proposed = read_answer(reply.content)
        except (NotUsed, Unreadable) as error:
            log.warning("the model was not used for a draft: %s", error)
            failed = ModelUse(name=self._config.model, failure=str(error))
            await asyncio.to_thread(self._store_answer, stay, Answered(failed, None, request.refs))
            self._again(stay, error.after_s if isinstance(error, NotUsed) else 0.0)
            return
        self._failures.pop(stay, None)
        use = ModelUse(
            name=self._config.model,
            versions=(reply.version,),
            asked_sha256=request.sha256,
            sources=sources,
        )
        await asyncio.to_thread(self._store_answer, stay, Answered(use, proposed, request.refs))

    def _request(self, stay: str) -> Request | None:
        """What to ask; None if there is no draft to fill, or this was answered already."""
        draft = self._store.draft(stay)
        spoken, events = self._store.utterances(stay=stay), self._store.events(stay)
        if (
            draft is None
            or draft.signed_key
            or not any(u.words and not u.withdrawn for u in spoken)
        ):
            return None
        request = make_request(
            self._config, draft, events, spoken, self._zone, self._notes.doubtful_below
        )
        return None if _answered(draft, request) else request

    def _store_answer(self, stay: str, answered: Answered) -> None:
        recompose(self._store, stay, self._notes, self._zone, answered)

    def _again(self, stay: str, after_s: float) -> None:
        failures = self._failures[stay] = self._failures.get(stay, 0) + 1
        if failures >= _FAILURES_MAX:
            del self._failures[stay]
            return
        pause = min(self._config.every_s * 2 ** (failures - 1), _PAUSE_MAX_S)
        self._due[stay] = time.monotonic() + max(pause, after_s)


def _answered(draft: Draft, request: Request) -> bool:
    use = draft.model
    return use is not None and not use.failure and use.asked_sha256 == request.sha256

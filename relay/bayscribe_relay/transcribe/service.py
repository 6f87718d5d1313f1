"""The transcriber: follows what devices store and keeps the transcript beside it."""

import asyncio
import contextlib
import logging
import threading
import time
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

from bayscribe.errors import BayscribeError
from bayscribe.wire.seal import OpeningKey
from bayscribe_relay.clinical.store import Changes, ClinicalStore
from bayscribe_relay.ingest.hub import Observer
from bayscribe_relay.store.records import StoredRecord
from bayscribe_relay.store.store import Store
from bayscribe_relay.transcribe.config import TranscribeConfig
from bayscribe_relay.transcribe.follow import Recording, rebind
from bayscribe_relay.transcribe.hearing import Hearing
from bayscribe_relay.transcribe.model import Model, find_model
from bayscribe_relay.transcribe.process import RecogniserProcess
from bayscribe_relay.transcribe.progress import Progress
from bayscribe_relay.transcribe.queue import DeviceQueue
from bayscribe_relay.transcribe.recogniser import Recogniser, RecogniserAbsent

log = logging.getLogger("bayscribe.transcribe")

MakeRecogniser = Callable[[Model, TranscribeConfig], Recogniser]
_RETRY_S: Final = 2.0


class Transcriber(Observer):
    """Transcribes whatever devices store. Use :meth:`running`.

    An observer of the ingest hub: it looks when it is told that records are durable, and by
    itself every few seconds for what other relays took in or left undone.
    """

    def __init__(
        self,
        config: TranscribeConfig,
        store: Store,
        clinical: ClinicalStore,
        keys: Sequence[OpeningKey],
        model: Model,
        make: MakeRecogniser = RecogniserProcess,
    ) -> None:
        self.model = model
        self._config = config
        self._store = store
        self._clinical = clinical
        self._keys = keys
        self._make = make
        self._progress = Progress(clinical, str(uuid.uuid4()), config.lease_s)
        self._queue = DeviceQueue()
        self._after: dict[str, int] = {}
        self._live: dict[str, tuple[str, Recording]] = {}
        self._ending = threading.Event()

    @classmethod
    @contextlib.asynccontextmanager
    async def running(
        cls,
        config: TranscribeConfig,
        store: Store,
        clinical: ClinicalStore,
        keys: Sequence[OpeningKey],
        make: MakeRecogniser = RecogniserProcess,
    ) -> AsyncIterator["Transcriber"]:
        """Transcribe until the end of the block.

        Raises:
            ModelError: the model is not there or not complete.
        """
        model = await asyncio.to_thread(find_model, config.model)
        self = cls(config, store, clinical, keys, model, make)
        log.info("speech model %s %s, SHA-256 %s", model.name, model.version, model.sha256)
        threads = [threading.Thread(target=self._look, name="transcripts", daemon=True)]
        threads += [
            threading.Thread(target=self._work, name=f"transcriber-{k}", daemon=True)
            for k in range(config.workers)
        ]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self._ending.set()
            self._queue.end()
            for thread in threads:
                await asyncio.to_thread(thread.join)
            with contextlib.suppress(BayscribeError):
                await asyncio.to_thread(self._progress.release)

    def notify(self, device: str) -> None:
        """More of a device's records are durable. From any thread; returns at once."""
        self._queue.put(device)

    def stored(self, device: str) -> None:
        """The hub's way to say so."""
        self.notify(device)

    def rebind(self, recording: str) -> int:
        """Give a recording's utterances the stays that its bindings now say; how many moved."""
        return rebind(self._clinical, recording)

    # -- the thread that looks around

    def _look(self) -> None:
        changes: Changes | None = None
        while not self._ending.is_set():
            try:
                if changes is None:
                    changes = Changes(self._clinical)
                    self._rebind_open()
                for recording in {c.ref for c in changes.take() if c.what == "binding"}:
                    self.rebind(recording)
                if working := [*self._live]:
                    self._progress.renew(working)
                for mark in self._store.marks():
                    if mark.seq > self._after.get(mark.device, 0):
                        self.notify(mark.device)
            except BayscribeError as error:
                log.error("the transcript waits: %s", error.line())  # noqa: TRY400 - one line
            self._ending.wait(self._config.look_s)

    def _rebind_open(self) -> None:
        """Bindings that were made while no relay looked."""
        for stay in self._clinical.stays(state="open"):
            for binding in self._clinical.bindings(stay=stay.id):
                self.rebind(binding.recording)

    # -- the threads that work

    def _work(self) -> None:
        recogniser = self._make(self.model, self._config)
        hearing = Hearing(recogniser, self._config.gate)
        try:
            while (device := self._queue.take()) is not None:
                more = False
                try:
                    more = self._advance(device, hearing)
                except RecogniserAbsent as error:
                    log.error("%s", error.line())  # noqa: TRY400 - one line
                    self._drop(device)
                    self._ending.wait(_RETRY_S)
                except BayscribeError as error:
                    log.error("the transcript of %s waits: %s", device, error.line())  # noqa: TRY400
                    self._drop(device)
                except Exception:
                    # One device's trouble must not end the transcript of all others.
                    log.exception("the transcript of %s waits", device)
                    self._drop(device)
                self._queue.done(device, again=more)
        finally:
            recogniser.close()

    def _advance(self, device: str, hearing: Hearing) -> bool:
        """Take in a device's next record; whether there may be more."""
        if device not in self._after:
            self._after[device] = self._finished(device)
        after = self._after[device]
        record = next(iter(self._store.read_records(device, page=1, after=after)), None)
        if record is None:
            return False
        if not self._take_in(device, record, hearing):
            return False
        self._after[device] = record.seq
        return True

    def _take_in(self, device: str, record: StoredRecord, hearing: Hearing) -> bool:
        """Whether a record is done, by this relay or another."""
        live = self._live.get(record.encounter, ("", None))[1]
        if live is None:
            opened = self._opened_seq(device, record)
            held = self._progress.take(record.encounter, device, opened)
            if held is None:
                return self._progress.done(device).get(record.encounter, 0) >= record.seq
            live = Recording(held, device, self._store, self._clinical, self._keys)
            self._live[record.encounter] = (device, live)
        if live.done_seq >= record.seq:
            return True
        began = time.monotonic()
        if not live.advance(record, hearing, self._progress):
            self._live.pop(record.encounter, None)
            return False
        log.debug("record %d of %s in %.2f s", record.seq, device, time.monotonic() - began)
        if record.kind == "closed":
            self._live.pop(record.encounter, None)
        return True

    def _opened_seq(self, device: str, record: StoredRecord) -> int:
        states = self._store.encounters(device)
        return next((s.opened_seq for s in states if s.encounter == record.encounter), record.seq)

    def _finished(self, device: str) -> int:
        """Number of the record behind which there is something to do."""
        done, after = self._progress.done(device), 0
        for state in self._store.encounters(device):
            reached = done.get(state.encounter, state.opened_seq - 1)
            if state.closed_seq is None or reached < state.closed_seq:
                return reached
            after = state.closed_seq
        return after

    def _drop(self, device: str) -> None:
        """Forget what is in memory about a device's recordings; what is stored is the truth."""
        for recording in [r for r, (name, _) in self._live.items() if name == device]:
            self._live.pop(recording, None)

"""The whole feed of a running relay."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from typing import Final

from bayscribe.errors import StorageError
from bayscribe_relay.clinical.store import ClinicalStore
from bayscribe_relay.emr_feed.application import Application
from bayscribe_relay.emr_feed.codebook import Codebook
from bayscribe_relay.emr_feed.config import FeedConfig, FhirConfig, MllpConfig
from bayscribe_relay.emr_feed.fhir_client import FhirReader
from bayscribe_relay.emr_feed.fhir_endpoint import FhirEndpoint
from bayscribe_relay.emr_feed.fhir_fetcher import FhirFetcher, fhir_reader
from bayscribe_relay.emr_feed.fhir_identity import FhirIdentity
from bayscribe_relay.emr_feed.hl7_messages import interpret
from bayscribe_relay.emr_feed.hl7_reading import Site
from bayscribe_relay.emr_feed.inbox import Inbox
from bayscribe_relay.emr_feed.listener import MllpListener
from bayscribe_relay.emr_feed.unmapped import UnmappedCode, unmapped_codes
from bayscribe_relay.emr_feed.worker import Worker, hl7_reader
from bayscribe_relay.encounters.config import EncountersConfig
from bayscribe_relay.encounters.desk import Desk

log = logging.getLogger("bayscribe.feed")
_PURGE_S: Final = 3_600.0
_DAY_NS: Final = 86_400 * 10**9


class Feed:
    """Inbox, worker and endpoints.

    Attributes:
        inbox: what was received.
        worker: interprets it.
        mllp: the listener, if there is one.
        fhir: the endpoint for notifications, if there is one.
        fetcher: follows notifications.
        identity: finds the charts of stays that came by HL7 v2, if the EMR can be read.
    """

    def __init__(
        self,
        config: FeedConfig,
        store: ClinicalStore,
        encounters: EncountersConfig,
        desk: Desk | None = None,
    ) -> None:
        self._config = config
        self._store = store
        self._desk = desk = desk or Desk(store, config.site)
        site = site_of(config)
        self.inbox = Inbox(store)
        self.worker = Worker(
            self.inbox,
            desk,
            Application(desk, encounters, config.site),
            {
                "hl7": hl7_reader(lambda data, n, at: interpret(data, n, at, site)),
                "fhir": fhir_reader(site),
            },
        )
        self.inbox.arrived = self.worker.wake
        self.mllp: MllpListener | None = None
        self.fhir: FhirEndpoint | None = None
        self.fetcher: FhirFetcher | None = None
        self.identity: FhirIdentity | None = None

    @classmethod
    @contextlib.asynccontextmanager
    async def running(
        cls,
        config: FeedConfig,
        store: ClinicalStore,
        encounters: EncountersConfig,
        desk: Desk | None = None,
    ) -> AsyncIterator["Feed"]:
        """Receive and interpret until the end of the block.

        Args:
            config: the feed's, its paths absolute.
            store: where stays and events go.
            encounters: where the bays are.
            desk: the one of the running encounters, if there is one.

        Raises:
            ConfigError: a table, a certificate or a token cannot be read.
            OSError: a port cannot be bound.
        """
        feed = cls(config, store, encounters, desk)
        feed.worker.start()
        try:
            async with contextlib.AsyncExitStack() as stack:
                if config.mllp is not None:
                    listener = MllpListener(config.mllp, feed.inbox)
                    feed.mllp = await stack.enter_async_context(listener.running())
                    log.info("HL7 messages are taken on port %d", listener.port)
                if config.fhir is not None:
                    await feed._start_fhir(stack, config.fhir)
                purging = asyncio.create_task(feed._purge())
                stack.push_async_callback(_end, purging)
                yield feed
        finally:
            await asyncio.to_thread(feed.inbox.close)
            await asyncio.to_thread(feed.worker.close)

    async def _start_fhir(self, stack: contextlib.AsyncExitStack, config: FhirConfig) -> None:
        reader = FhirReader(config)
        stack.push_async_callback(reader.close)
        self.identity = FhirIdentity(self._desk, reader, self._config.patient)
        if not config.notifications:
            return
        self.fetcher = FhirFetcher(self._store, self.inbox, reader)
        following = asyncio.create_task(self.fetcher.run())
        stack.push_async_callback(_end, following)
        endpoint = FhirEndpoint(config, self.inbox)
        self.fhir = await stack.enter_async_context(endpoint.running())
        log.info("FHIR notifications are taken on port %d", endpoint.port)

    def health(self) -> dict[str, int]:
        """Counters for operators: nothing of a patient."""
        values = {f"messages_{state}": n for state, n in self.inbox.counts().items()}
        values |= {f"worker_{name}": n for name, n in self.worker.counters.items()}
        values["inbox_waiting"] = self.inbox.waiting()
        if self.mllp is not None:
            counters = self.mllp.counters
            values |= {f"mllp_{name}": getattr(counters, name) for name in counters.__slots__}
        if self.fhir is not None and self.fetcher is not None:
            values |= {f"fhir_{name}": n for name, n in self.fhir.counters.items()}
            values |= {f"fhir_{name}": n for name, n in self.fetcher.counters.items()}
        return values

    def unmapped(self) -> list[UnmappedCode]:
        """Codes that no table knows."""
        return unmapped_codes(self._store.engine, self._config.site)

    async def _purge(self) -> None:
        while True:
            now = time.time_ns()
            old = now - self._config.keep_days * _DAY_NS
            unbound = now - self._config.unbound_hours * 3_600 * 10**9
            try:
                await asyncio.to_thread(self.inbox.purge, old, unbound)
                await asyncio.to_thread(self._store.forget_unbound, unbound)
            except StorageError as error:
                log.error("old messages stay: %s", error.line())  # noqa: TRY400 - one line
            await asyncio.sleep(_PURGE_S)


def site_of(config: FeedConfig) -> Site:
    """What all messages of the feed share.

    Raises:
        ConfigError: a code table cannot be read.
    """
    mapping = config.mapping
    return Site(
        name=config.site,
        zone=config.zone,
        charset=(config.mllp or MllpConfig()).charset,
        patient=config.patient,
        codebook=Codebook(mapping.files, match_names=mapping.match_names),
    )


async def _end(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

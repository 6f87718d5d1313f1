"""The parts of a relay, put together as its configuration says.

A part that is not configured is not imported: a relay that only takes in streams needs none
of the libraries of the others.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from bayscribe_relay.clinical.store import ClinicalStore
from bayscribe_relay.config import RelayConfig
from bayscribe_relay.ingest.hub import Hub, ToDevice
from bayscribe_relay.ingest.server import IngestServer
from bayscribe_relay.notes.config import NotesConfig
from bayscribe_relay.writeback.config import Outgoing

if TYPE_CHECKING:
    from bayscribe_relay.attest.signing import Signing
    from bayscribe_relay.custody.package import Custody
    from bayscribe_relay.emr_feed.feed import Feed
    from bayscribe_relay.emr_feed.fhir_identity import FhirIdentity
    from bayscribe_relay.encounters.service import Encounters
    from bayscribe_relay.fleet.subscriber import Fleet
    from bayscribe_relay.prompts.service import Prompter
    from bayscribe_relay.transcribe.service import Transcriber
    from bayscribe_relay.web.server import Web
    from bayscribe_relay.writeback.service import Writeback

log = logging.getLogger("bayscribe.relay")
_SEND_S: Final = 5.0
"""How long a message to a device may take to be handed to its connection."""


class Services:
    """What runs beside ingest.

    Attributes:
        clinical: stays, events, utterances, prompts and drafts.
        writeback: absent without ``[writeback]``; likewise the others.
    """

    def __init__(self, config: RelayConfig, server: IngestServer) -> None:
        self.clinical = ClinicalStore(config.store.url)
        self.writeback: Writeback | None = None
        self.encounters: Encounters | None = None
        self.feed: Feed | None = None
        self.transcriber: Transcriber | None = None
        self.prompter: Prompter | None = None
        self.fleet: Fleet | None = None
        self.web: Web | None = None
        self._config = config
        self._server = server

    @classmethod
    @asynccontextmanager
    async def running(cls, config: RelayConfig, server: IngestServer) -> AsyncIterator["Services"]:
        """Run every configured part beside a running ingest server.

        Raises:
            ConfigError: a part's configuration cannot be taken.
            OSError: a port cannot be bound.
        """
        services = cls(config, server)
        async with AsyncExitStack() as stack:
            stack.callback(services.clinical.close)
            await services._start(stack)
            yield services

    async def _start(self, stack: AsyncExitStack) -> None:
        config = self._config
        if config.writeback is not None:
            from bayscribe_relay.writeback.service import Writeback

            outgoing = Outgoing(config.store.url, config.writeback)
            self.writeback = await stack.enter_async_context(Writeback.running(outgoing))
        if config.transcribe is not None:
            from bayscribe_relay.transcribe.service import Transcriber

            self.transcriber = await stack.enter_async_context(
                Transcriber.running(
                    config.transcribe, self._server.store, self.clinical, self._server.hub.opening
                )
            )
            self._server.hub.observers.append(self.transcriber)
        if config.feed is not None or config.prompts is not None or config.web is not None:
            await self._start_encounters(stack)
        if config.prompts is not None:
            await self._start_prompts(stack)
        if config.notes is not None:
            from bayscribe_relay.notes.service import Drafter

            zone = config.feed.zone if config.feed is not None else ZoneInfo("UTC")
            await stack.enter_async_context(Drafter.running(self.clinical, config.notes, zone))
        if config.fleet is not None:
            from bayscribe_relay.fleet.subscriber import Fleet

            self.fleet = Fleet(config.fleet)
            self.fleet.start()
            stack.callback(self.fleet.stop)
        if config.retention is not None:
            from bayscribe_relay.custody.config import Signer
            from bayscribe_relay.retention import service
            from bayscribe_relay.retention.erase import Retention

            signer = await asyncio.to_thread(Signer.load, config.custody)
            retention = Retention(self.clinical, signer, config.retention)
            await stack.enter_async_context(service.daily(retention))
        if config.web is not None:
            await self._start_web(stack)

    async def _start_encounters(self, stack: AsyncExitStack) -> None:
        from bayscribe_relay.encounters.service import Encounters

        config = self._config
        site = (
            config.feed.site if config.feed is not None else config.web.site if config.web else ""
        )
        encounters = Encounters(self.clinical, config.encounters, site)
        await stack.enter_async_context(encounters.running(sender(self._server.hub)))
        self._server.hub.observers.append(encounters)
        self.encounters = encounters
        if config.feed is not None:
            from bayscribe_relay.emr_feed.feed import Feed

            self.feed = await stack.enter_async_context(
                Feed.running(config.feed, self.clinical, config.encounters, encounters.desk)
            )

    async def _start_prompts(self, stack: AsyncExitStack) -> None:
        from bayscribe_relay.prompts.service import Prompter
        from bayscribe_relay.prompts.tracing import tracer_maker

        config = self._config
        assert config.prompts is not None  # noqa: S101 - the caller looked
        zone = config.feed.zone if config.feed is not None else ZoneInfo("UTC")
        make = await asyncio.to_thread(tracer_maker, config.tracer, zone)
        self.prompter = await stack.enter_async_context(
            Prompter.running(self.clinical, make, sender(self._server.hub), config.prompts)
        )
        self._server.hub.observers.append(self.prompter)

    async def _start_web(self, stack: AsyncExitStack) -> None:
        from bayscribe_relay.fleet.routes import fleet_routes
        from bayscribe_relay.web.parts import Parts
        from bayscribe_relay.web.server import Web

        assert self._config.web is not None  # noqa: S101 - the caller looked
        assert self.encounters is not None  # noqa: S101 - pages start them
        parts = Parts(
            clinical=self.clinical,
            store=self._server.store,
            keys=self._server.hub.opening,
            desk=self.encounters.desk,
            outbox=self.writeback.outbox if self.writeback is not None else None,
            signing=self._signing() if self.writeback is not None else None,
            identity=self._identity(),
            custody=self._custody() if self._config.custody is not None else None,
            fleet=fleet_routes(self.fleet) if self.fleet is not None else None,
        )
        self.web = await stack.enter_async_context(Web.running(self._config.web, parts))

    def _signing(self) -> "Signing":
        from bayscribe_relay.attest.signing import Signing

        recognisers = {}
        if self.transcriber is not None:
            model = self.transcriber.model
            recognisers[model.sha256] = (model.name, model.version)
        notes = self._config.notes or NotesConfig()
        return Signing(self.clinical, notes.media_type, recognisers, self._hl7_only())

    def _hl7_only(self) -> set[str]:
        """Sites that are written to without a FHIR server."""
        sites = self._config.writeback.sites if self._config.writeback is not None else {}
        return {name for name, site in sites.items() if not site.fhir_ids}

    def _identity(self) -> "FhirIdentity | None":
        """What finds the charts of the feed's site, if it can and has to."""
        if self._config.feed is None or self._config.feed.site in self._hl7_only():
            return None
        return self.feed.identity if self.feed is not None else None

    def _custody(self) -> "Custody":
        from bayscribe_relay.custody.config import Signer
        from bayscribe_relay.custody.package import Custody
        from bayscribe_relay.pki import files

        config = self._config
        return Custody(
            clinical=self.clinical,
            signer=Signer.load(config.custody),
            device_ca=files.read(Path(config.tls.device_ca)),
            opening=self._server.hub.opening,
        )


def sender(hub: Hub) -> Callable[[str, ToDevice], bool]:
    """A function that brings a message to a device, from any thread of this process.

    It returns False if the device has no connection here. Must be made in the event loop
    that serves the devices.
    """
    loop = asyncio.get_running_loop()

    def send(device: str, message: ToDevice) -> bool:
        if device not in hub.connected or loop.is_closed():
            return False
        sent = asyncio.run_coroutine_threadsafe(hub.send(device, message), loop)
        try:
            return sent.result(_SEND_S)
        except TimeoutError:
            sent.cancel()
            log.warning("%s does not take messages", device)
            return False

    return send

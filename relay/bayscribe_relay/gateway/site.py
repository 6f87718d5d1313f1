"""One site: its EMR, the two ways to write to it, and which of them is taken.

What the EMR allows is looked at when the site is first needed, from time to time, and
whenever it turns out to have changed.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from bayscribe_relay.gateway.config import SiteConfig
from bayscribe_relay.gateway.fhir.capability import Capability, read_capability
from bayscribe_relay.gateway.fhir.client import Answer, FhirClient, Json
from bayscribe_relay.gateway.fhir.writer import FhirWriter
from bayscribe_relay.gateway.limiter import RateLimiter
from bayscribe_relay.gateway.mdm.writer import MdmWriter
from bayscribe_relay.gateway.outcome import Job, Refused, TryAgain, Verified
from bayscribe_relay.writeback.protocol import Path

log = logging.getLogger("bayscribe.gateway")

RETRY_UNKNOWN_S = 5.0
"""How long a failed look at the EMR's capabilities is believed."""


class Site:
    """Writes notes to one EMR by the way that it allows.

    Args:
        name: as the relay calls it.
        config: its profile.
    """

    def __init__(self, name: str, config: SiteConfig) -> None:
        self.name = name
        self.config = config
        self.slots = asyncio.Semaphore(config.in_flight_max)
        self._client: FhirClient | None = None
        self._fhir: FhirWriter | None = None
        if config.fhir_base is not None and config.prefer != "mdm":
            self._client = FhirClient(config, RateLimiter(config.max_requests_per_second))
            self._fhir = FhirWriter(self._client)
        self._mdm = MdmWriter(config) if config.mdm_host is not None else None
        self._capability: Capability | None = None
        self._looked_at = 0.0
        self._looking = asyncio.Lock()

    async def close(self) -> None:
        """End all connections to the EMR."""
        if self._client is not None:
            await self._client.close()
        if self._mdm is not None:
            await self._mdm.close()

    async def attempt(self, job: Job, begun: Callable[[Job], Awaitable[None]]) -> Verified:
        """Try once, by the way that is open.

        Args:
            job: the note.
            begun: awaited before the first write by a way, to make it durable.

        Raises:
            Refused: for good.
            TryAgain: not this time.
        """
        capability = await self._provision()
        path = self._choose(job, capability)
        if job.path != path:
            job.path = path
            await begun(job)
        if path == "mdm" and self._mdm is not None:
            return await self._mdm.attempt(job)
        if self._fhir is None or capability is None:
            raise Refused("the site has no way to write")
        try:
            return await self._fhir.attempt(job, capability)
        except TryAgain as failure:
            if not (failure.silent or failure.throttled):
                self._looked_at = 0.0
            raise

    def _choose(self, job: Job, capability: Capability | None) -> Path:
        """FHIR where it may write, MDM where not; never both for one note.

        A note that may have been stored by one way stays with it: the other could only
        store it twice.
        """
        if job.maybe_stored and job.path is not None:
            fhir = job.path == "fhir"
        else:
            fhir = capability is not None and capability.write
        if fhir and capability is not None and not capability.write:
            raise TryAgain(f"{capability.why}, and the note may have been stored before")
        if fhir and capability is not None:
            return "fhir"
        if self._mdm is None or self.config.prefer == "fhir":
            why = capability.why if capability else "the site has no FHIR endpoint"
            raise TryAgain(f"{why}, and there is no document interface to fall back to")
        return "mdm"

    async def _provision(self) -> Capability | None:
        """What the EMR allows by FHIR; None where only MDM is in question.

        Raises:
            TryAgain: the EMR does not say, and nothing is known from before.
        """
        if self._client is None:
            return None
        age = time.monotonic() - self._looked_at
        if self._capability is not None and age < self.config.provision_every_s:
            return self._capability
        async with self._looking:
            if self._capability is not None and (
                time.monotonic() - self._looked_at < self.config.provision_every_s
            ):
                return self._capability
            return await self._look(self._client)

    async def _look(self, client: FhirClient) -> Capability:
        try:
            answer = await client.request("GET", "metadata")
            if answer.status in (404, 405, 410, 501):
                found = Capability(False, why="the EMR has no CapabilityStatement")
            else:
                statement = _statement(answer)
                found = read_capability(statement, await client.authorization.scopes())
        except TryAgain:
            if self._capability is None:
                raise
            self._looked_at = time.monotonic() - self.config.provision_every_s + RETRY_UNKNOWN_S
            return self._capability
        if found != self._capability:
            log.info(
                "site provisioned",
                extra={"site": self.name, "fhir_write": found.write, "why": found.why},
            )
        self._capability, self._looked_at = found, time.monotonic()
        return found


def _statement(answer: Answer) -> Json:
    if not answer.ok or answer.body is None:
        raise TryAgain(f"the EMR's CapabilityStatement: {answer.status}")
    return answer.body

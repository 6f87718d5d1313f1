"""The fetcher: what notifications point to, read from the EMR and put into the inbox.

A notification stays in the inbox until every resource that it names is there, with its
patient and encounter; one that cannot be read now is tried again with growing pauses while
the others go on. A gap in a subscription's event numbers, or a rest-hook without payload, is
caught up by reading.
"""

import asyncio
import logging
import random
import time
from typing import Final

import msgspec
import sqlalchemy as sa

from bayscribe.errors import StorageError
from bayscribe_relay.clinical.store import ClinicalStore
from bayscribe_relay.emr_feed import tables
from bayscribe_relay.emr_feed.fhir_chart import Chart
from bayscribe_relay.emr_feed.fhir_client import FhirReader, NotNow, NotThere
from bayscribe_relay.emr_feed.fhir_notice import (
    TYPES,
    BadNotice,
    Notice,
    Resource,
    local,
    notice,
    reference_of,
)
from bayscribe_relay.emr_feed.fhir_resources import read_resource
from bayscribe_relay.emr_feed.hl7_reading import Site
from bayscribe_relay.emr_feed.inbox import Inbox, Kept, Receipt, identity
from bayscribe_relay.emr_feed.interpretation import CannotApply, Interpretation
from bayscribe_relay.emr_feed.worker import Reader, bare, storage

log = logging.getLogger("bayscribe.feed")
_LOOK_S: Final = 0.5
_PAUSE_MAX_S: Final = 300.0
_TRIES_MAX: Final = 40
"""With the pauses above more than two hours."""
_OVERLAP_NS: Final = 120 * 10**9
"""How much further back than the last word is searched: clocks differ."""
REST_HOOK: Final = "rest-hook"


class FhirFetcher:
    """Works through notifications until it is cancelled.

    Attributes:
        counters: since start.
    """

    def __init__(self, store: ClinicalStore, inbox: Inbox, reader: FhirReader) -> None:
        self._engine = store.engine
        self._inbox = inbox
        self._reader = reader
        self._later: dict[int, tuple[float, int]] = {}
        self.counters = {"resources": 0, "gone": 0, "gaps": 0, "put_off": 0}

    async def run(self) -> None:
        """Never returns."""
        while True:
            try:
                busy = await self.turn()
            except StorageError as error:
                log.error("notifications wait for the store: %s", error.line())  # noqa: TRY400 - one line
                busy = False
            await asyncio.sleep(0 if busy else _LOOK_S)

    async def turn(self) -> bool:
        """Handle the notifications that are due; whether there were any."""
        waiting = await asyncio.to_thread(self._inbox.received, "notice", 500)
        now = time.monotonic()
        due = [one for one in waiting if self._later.get(one.n, (0.0, 0))[0] <= now]
        for one in due:
            await self._handle(one)
        return bool(due)

    async def _handle(self, one: Kept) -> None:
        try:
            told = notice(one.body)
            await self._catch_up(told, one.received_ns)
            for reference in told.focus:
                resource = told.resources.get(reference)
                await self._fetch(reference, resource, told)
        except NotNow as error:
            await self._put_off(one, str(error))
            return
        except BadNotice as error:
            await asyncio.to_thread(self._inbox.settle, one.n, "parked", f"notice: {error}")
            return
        except StorageError:
            raise
        except Exception as error:
            log.exception("a notification could not be followed", exc_info=bare(error))
            reason = f"internal: {type(error).__name__}"
            await asyncio.to_thread(self._inbox.settle, one.n, "parked", reason)
            return
        self._later.pop(one.n, None)
        await asyncio.to_thread(self._inbox.settle, one.n, "done")

    async def _put_off(self, one: Kept, why: str) -> None:
        tries = self._later.get(one.n, (0.0, 0))[1] + 1
        if tries > _TRIES_MAX:
            self._later.pop(one.n, None)
            await asyncio.to_thread(self._inbox.settle, one.n, "parked", f"unreadable: {why}")
            log.error("a notification could not be followed and is parked: %s", why)
            return
        pause = min(_PAUSE_MAX_S, 0.5 * 2 ** min(tries, 16)) * random.uniform(0.5, 1.0)
        self._later[one.n] = (time.monotonic() + pause, tries)
        self.counters["put_off"] += 1
        log.warning("the EMR's FHIR server cannot be read now: %s", why)

    # -- one resource

    async def _fetch(self, reference: str, resource: Resource | None, told: Notice) -> None:
        """A resource with its patient and encounter, into the inbox."""
        if reference.split("/", maxsplit=1)[0] not in TYPES:
            return
        try:
            found = resource if resource is not None else await self._reader.read(reference)
            patient = await self._beside(found, "Patient", told)
            encounter = await self._beside(found, "Encounter", told)
        except NotThere:
            self.counters["gone"] += 1
            return
        await self._keep(found, patient, encounter)

    async def _beside(self, resource: Resource, kind: str, told: Notice) -> Resource:
        if resource.get("resourceType") == kind:
            return resource
        reference = pointed_to(resource, kind)
        if not reference or reference in told.resources:
            return told.resources.get(reference, {})
        return await self._reader.read(reference, cached=True)

    async def _keep(self, resource: Resource, patient: Resource, encounter: Resource) -> None:
        receipt = resource_receipt(resource, patient, encounter)
        await asyncio.wrap_future(self._inbox.submit([receipt]))
        self.counters["resources"] += 1

    # -- what was missed

    async def _catch_up(self, told: Notice, received_ns: int) -> None:
        name = told.subscription or REST_HOOK
        known = await asyncio.to_thread(self._known, name)
        last, heard_ns = known if known is not None else (None, received_ns)
        if told.type == "rest-hook":
            if not told.focus:
                await self._search(heard_ns)
            await asyncio.to_thread(self._heard, name, 0, received_ns)
            return
        newest = max([*told.numbers, told.since_start or 0])
        first = min(told.numbers, default=newest + 1)
        if last is not None and told.type != "handshake" and first > last + 1:
            self.counters["gaps"] += 1
            log.warning("notifications were lost: they are read now")
            await self._lost(name, last + 1, first - 1, heard_ns)
        if told.type == "handshake" and last is not None and newest < last:
            last = None  # the subscription began anew
        await asyncio.to_thread(self._heard, name, max(newest, last or 0), received_ns)

    async def _lost(self, subscription: str, first: int, until: int, heard_ns: int) -> None:
        if local(subscription).startswith("Subscription/"):
            try:
                bundle = await self._reader.events(local(subscription), first, until)
                lost = notice(msgspec.json.encode(bundle))
            except (NotThere, BadNotice):
                lost = None
            if lost is not None and set(range(first, until + 1)) <= set(lost.numbers):
                for reference in lost.focus:
                    await self._fetch(reference, lost.resources.get(reference), lost)
                return
        await self._search(heard_ns)

    async def _search(self, since_ns: int) -> None:
        for kind in TYPES:
            try:
                changed = await self._reader.changed(kind, since_ns - _OVERLAP_NS)
            except NotThere:
                continue  # a type that this server does not have
            together = Notice(REST_HOOK, resources={reference_of(r): r for r in changed})
            for reference, resource in together.resources.items():
                await self._fetch(reference, resource, together)

    def _known(self, name: str) -> tuple[int, int] | None:
        t = tables.subscriptions
        with storage(), self._engine.connect() as link:
            row = link.execute(sa.select(t).where(t.c.id == name)).first()
        return None if row is None else (row.last_event, row.heard_ns)

    def _heard(self, name: str, last: int, at_ns: int) -> None:
        t = tables.subscriptions
        values = {"last_event": last, "heard_ns": at_ns}
        with storage(), self._inbox.turn, self._engine.begin() as link:
            if link.execute(sa.update(t).where(t.c.id == name).values(values)).rowcount == 0:
                link.execute(sa.insert(t).values(id=name, **values))


def pointed_to(resource: Resource, kind: str) -> str:
    """The reference to the Patient or Encounter that a resource is of, or empty."""
    for element in ("subject", "patient", "encounter", "context"):
        pointed = resource.get(element)
        reference = local(pointed.get("reference")) if isinstance(pointed, dict) else ""
        if reference.startswith(kind + "/"):
            return reference
    return ""


def beside(told: Notice, resource: Resource) -> tuple[Resource, Resource]:
    """Patient and Encounter of a resource, as far as they came in the same notification."""
    found = [
        resource
        if resource.get("resourceType") == kind
        else told.resources.get(pointed_to(resource, kind), {})
        for kind in ("Patient", "Encounter")
    ]
    return found[0], found[1]


def resource_receipt(resource: Resource, patient: Resource, encounter: Resource) -> Receipt:
    """A resource with its patient and encounter, as it goes into the inbox."""
    reference = reference_of(resource)
    meta = resource.get("meta")
    version = meta if isinstance(meta, dict) else {}
    stamp = f"{version.get('versionId')}|{version.get('lastUpdated')}"
    content = msgspec.json.encode(resource)
    return Receipt(
        source="fhir",
        type=reference.split("/")[0],
        control_id=reference,
        stamp_key=identity("fhir", reference, stamp if version else content),
        body_key=identity("fhir-body", content),
        received_ns=time.time_ns(),
        body=msgspec.json.encode([resource, patient, encounter]),
    )


def fhir_reader(site: Site) -> Reader:
    """Reads the resources that the fetcher has put into the inbox."""

    def read(message: Kept) -> list[Interpretation]:
        try:
            resource, patient, encounter = msgspec.json.decode(message.body, type=list[Resource])
        except (msgspec.DecodeError, ValueError):
            raise CannotApply("unreadable: not a resource with its patient") from None
        return read_resource(
            Chart(resource, patient, encounter, message.n, message.received_ns, site)
        )

    return read

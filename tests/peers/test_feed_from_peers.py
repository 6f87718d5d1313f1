"""The EMR feed behind an independent FHIR server that notifies and is read."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bayscribe_relay.clinical.store import ClinicalStore
from bayscribe_relay.emr_feed.config import FeedConfig, FhirConfig
from bayscribe_relay.emr_feed.feed import Feed
from bayscribe_relay.encounters.config import EncountersConfig
from peers import independent
from peers.independent import FhirPeer

BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition"
TOKEN = "letmein"


@pytest.fixture(scope="module")
def notifying(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FhirPeer]:
    """A server whose Subscriptions work (Medplum's router sends none)."""
    with independent.sekmet(tmp_path_factory.mktemp("notifying")) as peer:
        yield peer


@contextlib.asynccontextmanager
async def feed_of(peer: FhirPeer, folder: Path) -> AsyncIterator[tuple[Feed, ClinicalStore]]:
    (folder / "token").write_text(TOKEN)
    fhir = FhirConfig(base=peer.base, port=0, bearer_file="token")
    config = FeedConfig(site="demo", fhir=fhir).beside(folder)
    store = ClinicalStore(f"sqlite:///{folder}/relay.db")
    try:
        async with Feed.running(config, store, EncountersConfig()) as feed:
            yield feed, store
    finally:
        store.close()


def subscription(feed: Feed, criteria: str, **channel: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    assert feed.fhir is not None
    return {
        "resourceType": "Subscription",
        "status": "requested",
        "reason": "the scribe's feed",
        "criteria": criteria,
        "channel": {
            "type": "rest-hook",
            "endpoint": f"http://127.0.0.1:{feed.fhir.port}/fhir-notify",
            "payload": "application/fhir+json",
            "header": [f"Authorization: Bearer {TOKEN}"],
            **channel,
        },
    }


def a_visit(peer: FhirPeer, name: str) -> None:
    peer.put(
        {
            "resourceType": "Patient",
            "id": f"{name}-p",
            "identifier": [{"value": f"{name}-mrn"}],
            "name": [{"family": "Doe"}],
        }
    )
    peer.put(
        {
            "resourceType": "Encounter",
            "id": f"{name}-e",
            "status": "in-progress",
            "class": {"code": "EMER"},
            "identifier": [{"value": f"{name}-visit"}],
            "subject": {"reference": f"Patient/{name}-p"},
            "period": {"start": "2026-11-23T11:50:00Z"},
            "location": [{"location": {"display": "bay-12"}}],
        }
    )


def a_pulse(name: str, value: int) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": f"{name}-o",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
        "subject": {"reference": f"Patient/{name}-p"},
        "encounter": {"reference": f"Encounter/{name}-e"},
        "effectiveDateTime": "2026-11-23T12:05:00Z",
        "valueQuantity": {"value": value, "code": "/min"},
    }


async def until(condition: Callable[[], bool], feed: Feed) -> None:
    end = time.monotonic() + 90
    while not condition():
        assert time.monotonic() < end, feed.health()
        await asyncio.sleep(0.05)


def test_a_rest_hook_with_its_payload_brings_a_stay_and_its_events(
    notifying: FhirPeer, tmp_path: Path
) -> None:
    async def story() -> None:
        async with feed_of(notifying, tmp_path) as (feed, store):
            for criteria in ("Encounter?status=in-progress", "Observation?status=final"):
                wanted = subscription(feed, criteria)
                await asyncio.to_thread(notifying.post, "Subscription", wanted)
            await asyncio.to_thread(a_visit, notifying, "hook")

            def stays() -> int:
                return len(store.stays(state="open", bay="bay-12"))

            await until(lambda: stays() == 1, feed)
            await asyncio.to_thread(notifying.put, a_pulse("hook", 112))
            (stay,) = store.stays()
            assert stay.visit_number == "hook-visit"
            await until(
                lambda: (
                    [e.value for e in store.events(stay.id) if e.concept == "vital.hr"] == [112]
                ),
                feed,
            )

    asyncio.run(story())


def test_a_rest_hook_without_payload_is_followed_by_reading(
    fhir_peer: FhirPeer, tmp_path: Path
) -> None:
    """What any server can be asked: both are read after an empty notification."""

    async def story() -> None:
        async with feed_of(fhir_peer, tmp_path) as (feed, store):
            await asyncio.to_thread(a_visit, fhir_peer, "empty")
            await asyncio.to_thread(fhir_peer.put, a_pulse("empty", 99))
            assert feed.fhir is not None
            writer_of = f"127.0.0.1:{feed.fhir.port}"
            reader, writer = await asyncio.open_connection(*writer_of.split(":"))
            writer.write(
                b"POST /fhir-notify HTTP/1.1\r\nHost: relay\r\nContent-Length: 0\r\n"
                b"Authorization: Bearer letmein\r\nConnection: close\r\n\r\n"
            )
            assert b"200" in await reader.readline()
            writer.close()
            await until(lambda: bool(pulses(store, "empty-visit")), feed)
            assert pulses(store, "empty-visit") == [99]

    asyncio.run(story())


def pulses(store: ClinicalStore, visit: str) -> list[object]:
    stay = store.stay_of_visit("demo", visit)
    found = store.events(stay.id) if stay is not None else []
    return [e.value for e in found if e.concept == "vital.hr"]


def test_a_backport_subscription_is_shaken_hands_with_and_followed(
    notifying: FhirPeer, tmp_path: Path
) -> None:
    topics = notifying.get("Basic?code=SubscriptionTopic")["entry"]
    urls = [
        value
        for entry in topics
        if entry["resource"]["id"] == "topic-encounter-start"
        for extension in entry["resource"]["extension"]
        if extension["url"].endswith("url")
        for value in (extension.get("valueUri") or extension.get("valueCanonical"),)
        if value
    ]
    assert urls, [entry["resource"]["id"] for entry in topics]

    async def story() -> None:
        async with feed_of(notifying, tmp_path) as (feed, store):
            content = {"url": f"{BACKPORT}/backport-payload-content", "valueCode": "id-only"}
            wanted = subscription(feed, urls[0], _payload={"extension": [content]})
            wanted["meta"] = {"profile": [f"{BACKPORT}/backport-subscription"]}
            made = await asyncio.to_thread(notifying.post, "Subscription", wanted)

            def active() -> bool:
                return bool(notifying.get(f"Subscription/{made['id']}")["status"] == "active")

            await until(lambda: feed.health().get("messages_done", 0) >= 1 and active(), feed)
            await asyncio.to_thread(a_visit, notifying, "back")
            await until(lambda: store.stay_of_visit("demo", "back-visit") is not None, feed)
            assert feed.health()["messages_done"] >= 1

    asyncio.run(story())

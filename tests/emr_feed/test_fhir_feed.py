"""FHIR notifications and reads: what an EMR sends, what becomes of it in the record."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bayscribe.errors import ConfigError
from bayscribe_relay.clinical.events import ClinicalEvent
from bayscribe_relay.clinical.store import ClinicalStore
from bayscribe_relay.emr_feed.config import FeedConfig, FhirConfig
from bayscribe_relay.emr_feed.feed import Feed
from bayscribe_relay.emr_feed.fhir_notice import BadNotice, notice
from bayscribe_relay.encounters.config import EncountersConfig
from emr_feed.fhir_emr import (
    ENCOUNTER,
    PATIENT,
    Emr,
    Resource,
    bundle,
    coded,
    observation,
    of_visit,
)
from emr_feed.hospital import Hospital

BAYS = EncountersConfig(bays={"Location/12": "bay-12", "Location/14": "bay-14"})


class Relay:
    """A running feed with a FHIR endpoint."""

    def __init__(self, feed: Feed, store: ClinicalStore, client: aiohttp.ClientSession) -> None:
        self.feed, self.store, self._client = feed, store, client
        assert feed.fhir is not None
        self.url = f"http://127.0.0.1:{feed.fhir.port}/fhir-notify"

    async def post(self, body: Resource | bytes, token: str = "letmein", path: str = "") -> int:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        method = self._client.put if path else self._client.post
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with method(self.url + path, data=data, headers=headers) as answer:
            return answer.status

    async def until(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < end, self.feed.health()
            await asyncio.sleep(0.02)

    async def event(self, concept: str, version: int = 1) -> ClinicalEvent:
        """The latest version of a concept's event, once there are so many."""
        await self.until(lambda: len(self._versions(concept)) >= version)
        return max(self._versions(concept), key=lambda e: e.version)

    def _versions(self, concept: str) -> list[ClinicalEvent]:
        stay = self.store.stay_of_visit("demo", "V1")
        events = self.store.events(stay.id) if stay else []
        return [e for e in events if e.concept == concept]


@contextlib.asynccontextmanager
async def relay(folder: Path, base: str) -> AsyncIterator[Relay]:
    (folder / "token").write_text("letmein\n")
    fhir = FhirConfig(base=base, port=0, bearer_file="token")
    config = FeedConfig(site="demo", fhir=fhir).beside(folder)
    store = ClinicalStore(f"sqlite:///{folder}/relay.db")
    try:
        async with (
            Feed.running(config, store, BAYS) as feed,
            aiohttp.ClientSession() as client,
        ):
            yield Relay(feed, store, client)
    finally:
        store.close()


@contextlib.asynccontextmanager
async def both(folder: Path) -> AsyncIterator[tuple[Emr, Relay]]:
    async with Emr().running() as emr, relay(folder, emr.base) as found:
        assert await found.post(bundle("handshake", 0)) == 200
        assert await found.post(bundle("event-notification", 1, (1, ENCOUNTER))) == 200
        await found.event("adt.arrival")
        yield emr, found


def test_an_encounter_opens_moves_and_closes_a_stay(tmp_path: Path) -> None:
    async def story() -> None:
        async with both(tmp_path) as (emr, found):
            stay = found.store.stay_of_visit("demo", "V1")
            assert stay is not None
            assert (stay.bay, stay.fhir_id, stay.patient.mrn) == ("bay-12", "e1", "4711")
            assert (stay.patient.id, stay.patient.family) == ("p1", "Doe")
            assert (await found.event("cc.chest_pain")).kind == "cc"
            moved = {
                **ENCOUNTER,
                "location": [
                    {"location": {"reference": "Location/12"}},
                    {
                        "location": {"reference": "Location/14"},
                        "period": {"start": "2026-11-23T12:10:00Z"},
                    },
                ],
            }
            await found.post(bundle("event-notification", 2, (2, emr.put(moved))))
            await found.until(lambda: [s.bay for s in found.store.stays()] == ["bay-14"])
            over = {
                **moved,
                "status": "finished",
                "period": {"start": "2026-11-23T11:50:00Z", "end": "2026-11-23T15:00:00Z"},
            }
            await found.post(bundle("event-notification", 3, (3, emr.put(over))))
            await found.until(lambda: [s.state for s in found.store.stays()] == ["closed"])
            assert (await found.event("adt.departed")).status == "final"

    asyncio.run(story())


def test_every_payload_content_brings_the_same_event(tmp_path: Path) -> None:
    async def story() -> None:
        async with both(tmp_path) as (emr, found):
            rate = emr.put(observation("o1", "8867-4", 112, "/min"))
            await found.post(bundle("event-notification", 2, (2, rate)))
            assert (await found.event("vital.hr")).value == 112
            heat = emr.put(observation("o2", "8310-5", 101.1, "[degF]"))
            await found.post(bundle("event-notification", 3, (3, heat), content="id-only"))
            assert (await found.event("vital.temp_c")).unit == "[degF]"
            breath = emr.put(observation("o3", "9279-1", 24, "/min"))
            await found.post(bundle("event-notification", 4, (4, breath), content="empty"))
            await found.post(b"")
            assert (await found.event("vital.rr")).value == 24
            oxygen = emr.put(observation("o4", "59408-5", 91, "%"))
            body = json.dumps(oxygen).encode()
            assert await found.post(body, path="/Observation/o4") == 200
            assert (await found.event("vital.spo2")).clinical_ns == 1_795_435_500 * 10**9

    asyncio.run(story())


def test_a_gap_in_the_event_numbers_is_caught_up_by_reading(tmp_path: Path) -> None:
    async def story() -> None:
        async with both(tmp_path) as (emr, found):
            emr.put(observation("lost", "8867-4", 140, "/min"))
            rate = emr.put(observation("o9", "9279-1", 30, "/min"))
            await found.post(bundle("event-notification", 3, (3, rate)))
            assert (await found.event("vital.hr")).value == 140
            emr.put(observation("lost2", "59408-5", 88, "%"))
            await found.post(bundle("heartbeat", 4))
            assert (await found.event("vital.spo2")).value == 88
            assert found.feed.fetcher is not None
            assert found.feed.fetcher.counters["gaps"] == 2

    asyncio.run(story())


def test_a_server_that_fails_delays_its_events_and_loses_none(tmp_path: Path) -> None:
    async def story() -> None:
        async with both(tmp_path) as (emr, found):
            rate = emr.put(observation("o1", "8867-4", 112, "/min"))
            emr.failing = 3
            await found.post(bundle("event-notification", 2, (2, rate), content="id-only"))
            assert (await found.event("vital.hr")).value == 112
            assert found.feed.health()["fhir_put_off"] > 0
            assert found.feed.health()["messages_done"] >= 3

    asyncio.run(story())


def test_a_correction_replaces_and_an_error_takes_away(tmp_path: Path) -> None:
    async def story() -> None:
        async with both(tmp_path) as (emr, found):
            for number, (status, value, at) in enumerate(
                (
                    ("final", 4.0, "12:00"),
                    ("corrected", 4.2, "12:10"),
                    ("preliminary", 3.9, "11:59"),
                ),
                start=2,
            ):
                meta = {"versionId": str(number), "lastUpdated": f"2026-11-23T{at}:00Z"}
                one = observation("l1", "2524-7", value, "mmol/L", status=status, meta=meta)
                await found.post(bundle("event-notification", number, (number, emr.put(one))))
            assert (await found.event("lab.lactate", 3)).value == 4.2
            wrong = observation(
                "l1",
                "2524-7",
                4.2,
                "mmol/L",
                status="entered-in-error",
                meta={"versionId": "9", "lastUpdated": "2026-11-23T12:30:00Z"},
            )
            await found.post(bundle("event-notification", 5, (5, wrong)))
            last = await found.event("lab.lactate", 4)
            assert (last.status, last.value) == ("entered-in-error", None)

    asyncio.run(story())


def test_orders_drugs_reports_and_problems_are_the_events_that_hl7_brings(tmp_path: Path) -> None:
    rxnorm = "http://www.nlm.nih.gov/research/umls/rxnorm"
    resources = [
        of_visit(
            "ServiceRequest",
            "s1",
            status="active",
            intent="order",
            code=coded("http://loinc.org", "600-7"),
            authoredOn="2026-11-23T12:15:00Z",
        ),
        of_visit(
            "MedicationRequest",
            "m1",
            status="active",
            intent="order",
            medicationCodeableConcept=coded(rxnorm, "2193", "ceftriaxone"),
            authoredOn="2026-11-23T12:20:00Z",
            dosageInstruction=[{"route": coded("http://snomed.info/sct", "47625008")}],
        ),
        of_visit(
            "MedicationAdministration",
            "a1",
            status="completed",
            medicationCodeableConcept={"text": "Sodium Chloride 0.9% bolus"},
            effectivePeriod={"start": "2026-11-23T12:28:00Z", "end": "2026-11-23T13:58:00Z"},
            dosage={"dose": {"value": 2, "unit": "L"}, "route": {"text": "intravenous"}},
        ),
        of_visit(
            "DiagnosticReport",
            "d1",
            status="final",
            code=coded("http://www.ama-assn.org/go/cpt", "70450"),
            effectiveDateTime="2026-11-23T12:10:00Z",
            issued="2026-11-23T12:35:00Z",
            conclusion="No hemorrhage",
            conclusionCode=[coded("http://hl7.org/fhir/sid/icd-10-cm", "I62.9")],
        ),
        of_visit(
            "Condition",
            "c1",
            code=coded("http://hl7.org/fhir/sid/icd-10-cm", "N18.6"),
            recordedDate="2026-11-23T12:00:00Z",
        ),
        of_visit(
            "Observation",
            "bp",
            status="final",
            code=coded("http://loinc.org", "85354-9"),
            effectiveDateTime="2026-11-23T12:05:00Z",
            component=[
                {"code": coded("http://loinc.org", "8480-6"), "valueQuantity": {"value": 88}},
                {"code": coded("http://loinc.org", "8462-4"), "valueQuantity": {"value": 50}},
            ],
        ),
    ]
    wanted = {
        "order.blood_culture": "order",
        "med.iv_antibiotic": "med_order",
        "med.crystalloid_bolus": "med_given",
        "proc.ct_head_done": "proc",
        "doc.ct_head_report": "doc",
        "img.ich": "obs",
        "hx.esrd": "hx",
        "vital.sbp": "obs",
        "vital.dbp": "obs",
    }

    async def story() -> None:
        async with both(tmp_path) as (_, found):
            numbered = list(enumerate(resources, start=2))
            await found.post(bundle("event-notification", 7, *numbered))
            seen = {concept: await found.event(concept) for concept in wanted}
            assert {concept: event.kind for concept, event in seen.items()} == wanted
            assert seen["med.crystalloid_bolus"].volume_ml == 2000
            assert seen["med.crystalloid_bolus"].end_ns is not None
            assert seen["vital.sbp"].unit == "mm[Hg]"
            assert seen["order.blood_culture"].source == "fhir"

    asyncio.run(story())


def test_a_resource_of_one_patient_in_anothers_encounter_reaches_nobody(tmp_path: Path) -> None:
    async def story() -> None:
        async with both(tmp_path) as (emr, found):
            stranger: dict[str, Any] = {**PATIENT, "id": "p2"}
            emr.put({**stranger, "identifier": [{"value": "5000"}]})
            wrong = observation("o1", "8867-4", 200, "/min", subject={"reference": "Patient/p2"})
            await found.post(bundle("event-notification", 2, (2, wrong)))
            await found.until(lambda: found.feed.health().get("messages_parked") == 1)
            assert found.feed.inbox.parked()[0].reason.startswith("patient-mismatch")
            right = observation("o2", "8867-4", 90, "/min")
            await found.post(bundle("event-notification", 3, (3, right)))
            assert (await found.event("vital.hr")).value == 90

    asyncio.run(story())


def test_only_who_knows_the_token_may_notify_and_only_with_notifications(tmp_path: Path) -> None:
    async def story() -> None:
        async with Emr().running() as emr, relay(tmp_path, emr.base) as found:
            good = bundle("handshake", 0)
            assert await found.post(good, token="") == 401
            assert await found.post(good, token="guess") == 401
            for body in (b"{", b"[]", b'"x"', b'{"resourceType": 7}', b"[" * 100_000):
                assert await found.post(body) == 400
            assert await found.post({"resourceType": "Bundle", "type": "searchset"}) == 400
            assert await found.post(good) == 200
            assert found.feed.health()["fhir_unauthorised"] == 2

    asyncio.run(story())


def test_an_endpoint_open_to_anybody_is_refused_at_the_start(tmp_path: Path) -> None:
    open_one = FeedConfig(site="demo", fhir=FhirConfig(base="http://emr.example/fhir"))
    with pytest.raises(ConfigError, match="anybody"):
        open_one.beside(tmp_path)


def test_both_forms_of_a_notification_are_read() -> None:
    rate = observation("o1", "8867-4", 1, "/min")
    newer = {
        "resourceType": "Bundle",
        "type": "subscription-notification",
        "entry": [
            {
                "resource": {
                    "resourceType": "SubscriptionStatus",
                    "type": "event-notification",
                    "eventsSinceSubscriptionStart": "8",
                    "subscription": {"reference": "https://emr.example/fhir/Subscription/s1"},
                    "notificationEvent": [
                        {"eventNumber": "8", "focus": {"reference": "Observation/o1"}}
                    ],
                }
            },
            {"fullUrl": "https://emr.example/fhir/Observation/o1", "resource": rate},
        ],
    }
    for told in (notice(json.dumps(newer).encode()), notice(json.dumps(older(rate)).encode())):
        assert (told.type, told.since_start, told.numbers) == ("event-notification", 8, [8])
        assert told.focus == ["Observation/o1"]
        assert told.resources == {"Observation/o1": rate}
    with pytest.raises(BadNotice):
        notice(
            json.dumps({**newer, "entry": [{"resource": {"resourceType": "Parameters"}}]}).encode()
        )


def older(rate: Resource) -> Resource:
    return bundle("event-notification", 8, (8, rate))


def test_hl7_and_fhir_of_one_visit_meet_in_one_stay(tmp_path: Path) -> None:
    hospital = Hospital(tmp_path)
    hospital.admit()
    hospital.close()

    async def story() -> None:
        async with Emr().running() as emr, relay(tmp_path, emr.base) as found:
            await found.post(bundle("handshake", 0))
            rate = observation("o1", "8867-4", 112, "/min")
            await found.post(bundle("event-notification", 1, (1, rate)))
            assert (await found.event("vital.hr")).value == 112
            assert len(found.store.stays()) == 1

    asyncio.run(story())


def test_a_nul_in_json_is_no_part_of_a_value() -> None:
    body = rb'{"resourceType": "Patient", "id": "p\u0000\u0000\u00001", "x": "a\\u0000"}'
    found = notice(body).resources["Patient/p1"]
    assert found["x"] == "a\\u0000"

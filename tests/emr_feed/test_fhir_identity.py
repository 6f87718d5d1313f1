"""A stay that came by HL7 v2 finds its chart in the FHIR server, or none at all."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from msgspec.structs import replace

from bayscribe.errors import BadUse, ConfigError
from bayscribe_relay.clinical.audit import entries
from bayscribe_relay.clinical.stays import Patient, Stay
from bayscribe_relay.clinical.store import ClinicalStore
from bayscribe_relay.emr_feed.config import FeedConfig, FhirConfig, PatientConfig
from bayscribe_relay.emr_feed.feed import Feed
from bayscribe_relay.emr_feed.fhir_client import FhirReader
from bayscribe_relay.emr_feed.fhir_identity import FhirIdentity
from bayscribe_relay.encounters.desk import Desk
from emr_feed.fhir_emr import ENCOUNTER, PATIENT, Emr, Resource
from emr_feed.hospital import ED, Hospital

MRN, VISIT = "urn:oid:1.2.3.4", "urn:oid:1.2.3.5"
SYSTEMS = PatientConfig(mrn_system=MRN, visit_system=VISIT)


class Searched(Emr):
    """Finds by identifier, as FHIR has it; ``answer`` puts a fault in its place."""

    def __init__(self) -> None:
        super().__init__()
        self.put({**PATIENT, "identifier": [{"system": MRN, "value": "4711"}]})
        self.put({**ENCOUNTER, "identifier": [{"system": VISIT, "value": "V1"}]})
        self.answer: Callable[[str], web.Response | None] = lambda _: None

    async def _search(self, request: web.Request) -> web.Response:
        kind = request.match_info["kind"]
        faulty = self.answer(kind)
        if faulty is not None:
            return faulty
        system, _, value = request.query["identifier"].partition("|")
        wanted = {"system": system, "value": value.replace("\\", "")}
        found = [
            r
            for r in self.chart.values()
            if r["resourceType"] == kind and wanted in r.get("identifier", [])
        ]
        return listing(*found)

    def change(self, reference: str, **members: Any) -> None:  # noqa: ANN401 - JSON
        self.chart[reference] = {**self.chart[reference], **members}


def listing(*found: Resource, **members: Any) -> web.Response:  # noqa: ANN401 - JSON
    entry = [{"resource": r, "search": {"mode": "match"}} for r in found]
    return web.json_response({"resourceType": "Bundle", "entry": entry, **members})


def settle(
    folder: Path,
    prepare: Callable[[Searched], None] = lambda _: None,
    config: PatientConfig = SYSTEMS,
    visit: str = "V1",
) -> tuple[str, str, list[str]]:
    """Ids of a stay that came by ADT, and its audit trail, once its chart was looked for."""
    hospital = Hospital(folder)
    hospital.admit(visit=visit)
    stay = hospital.stay(visit)
    assert (stay.patient.id, stay.fhir_id) == ("", "")

    async def story() -> None:
        emr = Searched()
        prepare(emr)
        async with emr.running():
            reader = FhirReader(FhirConfig(base=emr.base))
            try:
                identity = FhirIdentity(Desk(hospital.store, "demo"), reader, config)
                await identity.settle(stay.id)
                asked = len(emr.reads)
                await identity.settle(stay.id)
                assert len(emr.reads) == asked
            finally:
                await reader.close()

    try:
        asyncio.run(story())
    finally:
        found = hospital.stay(visit)
        trail = [entry.action for entry in entries(hospital.store, stay.id)]
        hospital.close()
        kept.append((found.patient.id, found.fhir_id))
    return found.patient.id, found.fhir_id, trail


kept: list[tuple[str, str]] = []


def test_the_one_patient_and_encounter_with_these_numbers_are_taken(tmp_path: Path) -> None:
    patient, encounter, trail = settle(tmp_path)
    assert (patient, encounter) == ("p1", "e1")
    assert trail[-1] == "chart-found"


def test_names_are_compared_by_their_letters(tmp_path: Path) -> None:
    names = [{"use": "maiden", "family": "Zöe-Smith"}, {"family": "DÓE"}]
    settle(tmp_path, lambda emr: emr.change("Patient/p1", name=names, birthDate="1956"))
    assert kept[-1] == ("p1", "e1")


def test_a_number_with_the_searchs_own_signs_is_searched_as_it_is(tmp_path: Path) -> None:
    visit = "V,1$x"
    settle(
        tmp_path,
        lambda emr: emr.change("Encounter/e1", identifier=[{"system": VISIT, "value": visit}]),
        visit=visit,
    )
    assert kept[-1] == ("p1", "e1")


def twin(emr: Searched, kind: str) -> None:
    first = next(r for r in emr.chart.values() if r["resourceType"] == kind)
    emr.put({**first, "id": "twin"})


def answering(kind: str, response: Callable[[], web.Response]) -> Callable[[Searched], None]:
    def prepare(emr: Searched) -> None:
        emr.answer = lambda asked: response() if asked == kind else None

    return prepare


OTHER = {**PATIENT, "id": "p9", "identifier": [{"system": MRN, "value": "9999"}]}
MATCH = {**PATIENT, "identifier": [{"system": MRN, "value": "4711"}]}
REFUSALS: dict[str, tuple[Callable[[Searched], None], str]] = {
    "no patient": (lambda e: e.change("Patient/p1", identifier=[]), "no Patient"),
    "two patients": (lambda e: twin(e, "Patient"), "more than one Patient"),
    "no encounter": (lambda e: e.change("Encounter/e1", identifier=[]), "no Encounter"),
    "two encounters": (lambda e: twin(e, "Encounter"), "more than one Encounter"),
    "a number of another kind": (
        lambda e: e.change("Patient/p1", identifier=[{"system": "urn:x", "value": "4711"}]),
        "no Patient",
    ),
    "another patient's encounter": (
        lambda e: e.change("Encounter/e1", subject={"reference": "Patient/p2"}),
        "not this Patient's",
    ),
    "an encounter of nobody": (lambda e: e.change("Encounter/e1", subject={}), "not this Patient"),
    "a cancelled encounter": (lambda e: e.change("Encounter/e1", status="cancelled"), "cancelled"),
    "another birth date": (
        lambda e: e.change("Patient/p1", birthDate="1956-04-02"), "birth date"),
    "another birth year": (lambda e: e.change("Patient/p1", birthDate="1965"), "birth date"),
    "another family": (lambda e: e.change("Patient/p1", name=[{"family": "Roe"}]), "family name"),
    "an inactive patient": (lambda e: e.change("Patient/p1", active=False), "no longer in use"),
    "a merged patient": (
        lambda e: e.change("Patient/p1", link=[{"type": "replaced-by"}]), "no longer in use"),
    "a search that ignores its question": (
        answering("Patient", lambda: listing(OTHER)), "does not carry"),
    "everything": (answering("Patient", lambda: listing(OTHER, MATCH)), "more than one"),
    "a list that goes on elsewhere": (
        answering("Patient", lambda: listing(
            MATCH, link=[{"relation": "next", "url": "https://elsewhere.example/fhir?p=2"}])),
        "does not allow",
    ),
    "no bundle": (answering("Patient", lambda: web.json_response(MATCH)), "does not allow"),
    "no such search": (answering("Encounter", lambda: web.Response(status=400)), "does not allow"),
    "an id that is none": (
        answering("Patient", lambda: listing({**MATCH, "id": "../p1"})), "does not carry"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSALS)
def test_what_is_not_exactly_one_agreeing_chart_is_refused(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    prepare, why = REFUSALS[name]
    with pytest.raises(BadUse, match=why) as refused:
        settle(tmp_path, prepare)
    assert refused.value.code == "identity"
    assert kept[-1] == ("", "")
    assert why in caplog.text
    for secret in ("4711", "Doe", "Roe", "1956", "V1"):
        assert secret not in refused.value.line() + caplog.text


@pytest.mark.parametrize("status", [401, 429, 503])
def test_an_emr_that_cannot_answer_now_is_asked_again_later(
    status: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    with pytest.raises(BadUse, match="cannot be asked") as refused:
        settle(tmp_path, answering("Encounter", lambda: web.Response(status=status)))
    assert (refused.value.code, kept[-1]) == ("identity-later", ("", ""))
    assert f"HTTP {status}" in caplog.text


def test_without_identifier_systems_nothing_is_guessed(tmp_path: Path) -> None:
    with pytest.raises(BadUse, match="identifier systems"):
        settle(tmp_path, config=PatientConfig())
    reads = FhirConfig(base="https://emr.example/fhir", notifications=False)
    with pytest.raises(ConfigError, match="mrn_system"):
        FeedConfig(site="demo", fhir=reads).beside(tmp_path)
    fine = FeedConfig(site="demo", fhir=reads, patient=SYSTEMS).beside(tmp_path)
    assert fine.fhir is not None
    assert fine.fhir.bearer_file is None


def test_a_merged_record_number_has_no_chart_until_it_is_found_again(tmp_path: Path) -> None:
    hospital = Hospital(tmp_path)
    hospital.admit()
    stay = hospital.stay()
    charted = replace(stay, patient=replace(stay.patient, id="p1"), fhir_id="e1")
    hospital.store.put_stay(charted)
    hospital.send("ADT^A40", "EVN||20261123121000", "MRG|4711^^^GH^MR", mrn="5000")
    merged = hospital.stay()
    hospital.close()
    assert (merged.patient.mrn, merged.patient.id) == ("5000", "")


def test_a_feed_without_notifications_reads_alone(tmp_path: Path) -> None:
    async def story() -> None:
        emr = Searched()
        async with emr.running():
            reads = FhirConfig(base=emr.base, notifications=False)
            config = FeedConfig(site="demo", fhir=reads, patient=SYSTEMS)
            store = ClinicalStore(f"sqlite:///{tmp_path}/relay.db")
            try:
                async with Feed.running(config, store, ED) as feed:
                    assert feed.fhir is None
                    assert feed.identity is not None
                    stay = Stay(
                        id="7" * 32, site="demo", patient=Patient(mrn="4711"), visit_number="V1",
                        arrived_ns=1,
                    )  # fmt: skip
                    store.put_stay(stay)
                    await feed.identity.settle(stay.id)
                    found = store.stay(stay.id)
                    assert found is not None
                    assert (found.patient.id, found.fhir_id) == ("p1", "e1")
                    assert feed.health()["inbox_waiting"] == 0
            finally:
                store.close()

    asyncio.run(story())

"""A stay that came by HL7 v2, its chart looked for in independent FHIR servers."""

import asyncio
from pathlib import Path

import pytest

from bayscribe.errors import BadUse
from bayscribe_relay.clinical.stays import Patient, Stay
from bayscribe_relay.clinical.store import ClinicalStore
from bayscribe_relay.emr_feed.config import FhirConfig, PatientConfig
from bayscribe_relay.emr_feed.fhir_client import FhirReader
from bayscribe_relay.emr_feed.fhir_identity import FhirIdentity
from bayscribe_relay.encounters.desk import Desk
from peers.independent import FhirPeer

SYSTEMS = PatientConfig(mrn_system="urn:oid:2.9.1", visit_system="urn:oid:2.9.2")


def chart(peer: FhirPeer, name: str, mrn: str, visit: str) -> tuple[str, str]:
    """A patient and his encounter, under the ids that the server gives them."""
    patient = peer.post(
        "Patient",
        {
            "resourceType": "Patient",
            "identifier": [
                {"system": "urn:oid:2.9.9", "value": "4711"},
                {"system": SYSTEMS.mrn_system, "value": mrn},
            ],
            "name": [{"family": name}],
            "birthDate": "1956-04-01",
        },
    )
    encounter = peer.post(
        "Encounter",
        {
            "resourceType": "Encounter",
            "status": "in-progress",
            "class": {"code": "EMER"},
            "identifier": [{"system": SYSTEMS.visit_system, "value": visit}],
            "subject": {"reference": f"Patient/{patient['id']}"},
        },
    )
    return patient["id"], encounter["id"]


def settled(peer: FhirPeer, folder: Path, mrn: str, visit: str) -> tuple[str, str]:
    store = ClinicalStore(f"sqlite:///{folder}/relay.db")
    who = Patient(mrn=mrn, family="DOE", given="JANE", birth_date="1956-04-01", sex="female")
    stay = Stay(id="7" * 32, site="demo", patient=who, visit_number=visit, arrived_ns=1)
    store.put_stay(stay)

    async def story() -> None:
        reader = FhirReader(FhirConfig(base=peer.base, notifications=False))
        try:
            await FhirIdentity(Desk(store, "demo"), reader, SYSTEMS).settle(stay.id)
        finally:
            await reader.close()

    try:
        asyncio.run(story())
        found = store.stay(stay.id)
        assert found is not None
        return found.patient.id, found.fhir_id
    finally:
        store.close()


def test_the_server_is_asked_for_exactly_this_chart(fhir_peer: FhirPeer, tmp_path: Path) -> None:
    mine = chart(fhir_peer, "Doe", "MR-1", "VN-1")
    chart(fhir_peer, "Doe", "4711", "VN-2")
    assert settled(fhir_peer, tmp_path, "MR-1", "VN-1") == mine


def test_the_servers_other_answers_are_refused(fhir_peer: FhirPeer, tmp_path: Path) -> None:
    chart(fhir_peer, "Doe", "MR-3", "VN-3")
    chart(fhir_peer, "Roe", "MR-4", "VN-4")
    for twice in range(2):
        chart(fhir_peer, "Doe", "MR-5", f"VN-5{twice}")
    asked = {
        ("MR-3", "VN-4"): "not this Patient's",
        ("MR-4", "VN-4"): "family name",
        ("MR-5", "VN-50"): "more than one Patient",
        ("MR-6", "VN-3"): "no Patient",
        ("MR-3", "VN-6"): "no Encounter",
    }
    for place, ((mrn, visit), why) in enumerate(asked.items()):
        folder = tmp_path / str(place)
        folder.mkdir()
        with pytest.raises(BadUse, match=why):
            settled(fhir_peer, folder, mrn, visit)

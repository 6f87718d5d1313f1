"""Reads from an EMR that asks for SMART Backend Services."""

import asyncio
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec

from bayscribe.errors import ConfigError
from bayscribe_relay.clinical.stays import Patient, Stay
from bayscribe_relay.clinical.store import ClinicalStore
from bayscribe_relay.emr_feed.config import FeedConfig, FhirConfig, PatientConfig
from bayscribe_relay.emr_feed.feed import Feed
from bayscribe_relay.emr_feed.fhir_client import FhirReader, NotNow
from bayscribe_relay.smart.backend import BackendClient
from emr.census import requests
from emr.process import EmrProcess
from emr.smart_key import write_key
from emr_feed.fhir_emr import ENCOUNTER, PATIENT, Emr
from emr_feed.hospital import ED

MRN, VISIT = "urn:oid:1.2.3.4", "urn:oid:1.2.3.5"
CLIENT = BackendClient(client_id="bayscribe", private_key="smart.key", key_id="k1")


@pytest.fixture
def emr(tmp_path: Path) -> Iterator[EmrProcess]:
    with EmrProcess(tmp_path / "emr") as running:
        running.seed(
            {**PATIENT, "identifier": [{"system": MRN, "value": "4711"}]},
            {**ENCOUNTER, "identifier": [{"system": VISIT, "value": "V1"}]},
            {**ENCOUNTER, "id": "e2", "identifier": [{"system": VISIT, "value": "V2"}]},
        )
        jwk = write_key(tmp_path / "smart.key", ec.generate_private_key(ec.SECP384R1()))
        running.set(auth="smart", smart_jwks=[jwk], scopes="system/*.read")
        yield running


def reads(emr: EmrProcess, folder: Path) -> FhirConfig:
    """As a site's file says it."""
    return FhirConfig(base=emr.fhir, notifications=False, smart=CLIENT).beside(folder)


def test_a_stay_of_hl7_finds_its_chart(
    emr: EmrProcess, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    async def story() -> tuple[str, str]:
        config = FeedConfig(
            site="demo",
            fhir=reads(emr, tmp_path),
            patient=PatientConfig(mrn_system=MRN, visit_system=VISIT),
        )
        store = ClinicalStore(f"sqlite:///{tmp_path}/relay.db")
        try:
            async with Feed.running(config, store, ED) as feed:
                assert feed.identity is not None
                for number in ("1", "2"):
                    stay = Stay(
                        id=number * 32,
                        site="demo",
                        patient=Patient(mrn="4711"),
                        visit_number=f"V{number}",
                        arrived_ns=1,
                    )
                    store.put_stay(stay)
                    await feed.identity.settle(stay.id)
                    emr.revoke_tokens()
                found = store.stay("2" * 32)
                assert found is not None
                return found.patient.id, found.fhir_id
        finally:
            store.close()

    assert asyncio.run(story()) == ("p1", "e2")
    asked = requests(emr.store)
    assert len([row for row in asked if row[0] == "token"]) == 2  # another once it was revoked
    secret = (tmp_path / "smart.key").read_text().splitlines()[1]
    assert secret not in caplog.text
    assert "Bearer" not in caplog.text


def test_who_is_given_no_token_may_be_later(emr: EmrProcess, tmp_path: Path) -> None:
    emr.set(smart_jwks=[])

    async def story() -> None:
        reader = FhirReader(reads(emr, tmp_path))
        try:
            with pytest.raises(NotNow, match="gives no access token"):
                await reader.read("Patient/p1")
        finally:
            await reader.close()

    asyncio.run(story())


def test_a_site_says_once_who_reads(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="both read_bearer_file and smart"):
        FhirConfig(
            base="https://emr.example/fhir",
            notifications=False,
            read_bearer_file="token",
            smart=CLIENT,
        ).beside(tmp_path)
    (tmp_path / "smart.key").write_text("no key")

    async def story() -> None:
        config = FhirConfig(base="https://emr.example/fhir", notifications=False, smart=CLIENT)
        with pytest.raises(ConfigError, match="not a readable PEM"):
            FhirReader(config.beside(tmp_path))

    asyncio.run(story())


def test_an_answer_that_comes_in_pieces_is_read_to_its_end() -> None:
    class Slow(Emr):
        async def _search(self, request: web.Request) -> web.Response:
            text = {"status": "generated", "div": "x" * 300_000}
            entry = [{"resource": {**PATIENT, "text": text}, "search": {"mode": "match"}}]
            answer = web.StreamResponse(headers={"Content-Type": "application/fhir+json"})
            await answer.prepare(request)
            body = json.dumps({"resourceType": "Bundle", "entry": entry}).encode()
            for at in range(0, len(body), 50_000):
                await answer.write(body[at : at + 50_000])
                await asyncio.sleep(0.01)
            return answer  # type: ignore[return-value]  # sent in pieces

    async def story() -> None:
        emr = Slow()
        async with emr.running():
            reader = FhirReader(FhirConfig(base=emr.base))
            try:
                (found,) = await reader.search("Patient", "identifier=4711")
                assert len(found["text"]["div"]) == 300_000
            finally:
                await reader.close()

    asyncio.run(story())

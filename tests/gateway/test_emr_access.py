"""Sites of every kind: SMART Backend Services, bearer, mutual TLS, ids of the EMR's own."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from bayscribe.errors import ConfigError
from bayscribe_relay.gateway import config as gateway_config
from bayscribe_relay.writeback.service import answer
from bayscribe_relay.writeback.states import State
from emr.census import requests
from emr.process import EmrProcess
from emr.smart_key import write_key
from writeback.rig import gateway_file, hospital, make_pki, seeds, sign


@pytest.fixture
def emr(tmp_path: Path) -> Iterator[EmrProcess]:
    with EmrProcess(tmp_path / "emr") as running:
        running.seed(*seeds(2))
        yield running


def verified(folder: Path, site: str, emr: EmrProcess, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - members of a note
    async def run() -> dict[str, Any]:
        async with hospital(folder, site) as writeback:
            letter = await sign(writeback, **changes)
            assert letter.state is State.VERIFIED, letter.reason
            assert emr.census().of(letter.key).exactly_once(letter.note_sha256)
            return answer(letter)

    return asyncio.run(run())


@pytest.mark.parametrize("kind", ["ES384", "RS384"])
def test_smart_backend_services(tmp_path: Path, emr: EmrProcess, kind: str) -> None:
    made = (
        ec.generate_private_key(ec.SECP384R1())
        if kind == "ES384"
        else rsa.generate_private_key(65537, 2048)
    )
    jwk = write_key(tmp_path / "smart.key", made)
    scopes = "system/*.rs system/Binary.cu system/DocumentReference.cu system/Provenance.cu"
    emr.set(auth="smart", smart_jwks=[jwk], scopes=scopes + " system/List.cu")
    site = (
        f'fhir_base = "{emr.fhir}"\nauth = "smart-backend"\nclient_id = "bayscribe"\n'
        'private_key = "smart.key"\nkey_id = "k1"'
    )

    async def run() -> None:
        async with hospital(tmp_path, site) as writeback:
            assert (await sign(writeback)).state is State.VERIFIED
            emr.revoke_tokens()
            assert (await sign(writeback)).state is State.VERIFIED

    asyncio.run(run())
    tokens = [row for row in requests(emr.store) if row[0] == "token"]
    assert len(tokens) == 2  # one for all requests, and another once it was revoked


def test_without_write_scopes_the_document_interface_is_taken(
    tmp_path: Path, emr: EmrProcess
) -> None:
    jwk = write_key(tmp_path / "smart.key", ec.generate_private_key(ec.SECP384R1()))
    emr.set(auth="smart", smart_jwks=[jwk], scopes="system/*.read")
    site = (
        f'fhir_base = "{emr.fhir}"\nauth = "smart-backend"\nclient_id = "bayscribe"\n'
        'private_key = "smart.key"\nkey_id = "k1"\n'
        f'mdm_host = "127.0.0.1"\nmdm_port = {emr.mllp_port}\nmdm_query = "qbp"'
    )
    assert verified(tmp_path, site, emr)["path"] == "mdm"


def test_a_bearer_token(tmp_path: Path, emr: EmrProcess) -> None:
    emr.set(auth="bearer", bearer_token="correct-horse")
    (tmp_path / "token").write_text("correct-horse\n")
    site = f'fhir_base = "{emr.fhir}"\nauth = "bearer"\nbearer_token_file = "token"'
    assert verified(tmp_path, site, emr)["path"] == "fhir"


def test_mutual_tls_on_both_ways(tmp_path: Path) -> None:
    make_pki(tmp_path)
    tls = ("--tls-cert", str(tmp_path / "gateway.pem"), "--tls-key", str(tmp_path / "gateway.key"),
           "--client-ca", str(tmp_path / "ca.pem"))  # fmt: skip
    client = 'client_certificate = "relay.pem"\nclient_key = "relay.key"\nca = "ca.pem"'
    mdm = 'mdm_certificate = "relay.pem"\nmdm_key = "relay.key"\nmdm_ca = "ca.pem"'
    with EmrProcess(tmp_path / "emr", arguments=tls) as emr:
        # The administration of the test EMR is behind the same TLS: no seeding through it.
        site = (
            f'fhir_base = "{emr.fhir}"\nauth = "mutual-tls"\n{client}\n'
            f'mdm_host = "localhost"\nmdm_port = {emr.mllp_port}\nmdm_tls = true\n{mdm}\n'
            'mdm_query = "qry"\nprefer = "mdm"'
        )

        assert _mutual(tmp_path, site).state is State.VERIFIED
        fhir = site.replace('prefer = "mdm"', 'prefer = "fhir"')
        letter = _mutual(tmp_path, fhir)
        assert letter.state is State.REJECTED
        assert "encounter is not known" in letter.reason


def _mutual(folder: Path, site: str) -> Any:  # noqa: ANN401 - a letter
    from bayscribe_relay.gateway.server import Gateway
    from bayscribe_relay.writeback.service import Writeback
    from writeback.rig import outgoing

    async def run() -> Any:  # noqa: ANN401 - a letter
        config = gateway_config.load(gateway_file(folder, site))
        async with (
            Gateway(config).running() as gateway,
            Writeback.running(outgoing(folder, gateway.port)) as writeback,
        ):
            return await sign(writeback)

    return asyncio.run(run())


def test_an_emr_that_chooses_ids_itself(tmp_path: Path, emr: EmrProcess) -> None:
    emr.set(update_create=False)
    emr.script({"fault": "error-after-commit", "operation": "transaction"})
    said = verified(tmp_path, f'fhir_base = "{emr.fhir}"', emr)
    assert said["path"] == "fhir"


def test_other_authors_stay_in_the_list(tmp_path: Path, emr: EmrProcess) -> None:
    from bayscribe_relay.gateway.fhir.documents import list_id

    ident = list_id("Encounter/e1")
    theirs = {
        "resourceType": "List", "id": ident, "status": "current", "mode": "working",
        "title": "Theirs", "subject": {"reference": "Patient/p1"},
        "entry": [{"item": {"display": "a paper chart"}}],
    }  # fmt: skip
    emr.put(f"List/{ident}", theirs)
    verified(tmp_path, f'fhir_base = "{emr.fhir}"', emr)
    stored = emr.get(f"List/{ident}")
    assert stored["title"] == "Theirs"
    assert stored["entry"][0] == theirs["entry"][0]  # type: ignore[index]  # a list, as made above
    assert len(stored["entry"]) == 2


def test_ten_notes_of_one_encounter_are_all_listed(tmp_path: Path, emr: EmrProcess) -> None:
    emr.set(honours_if_match=False)

    async def run() -> None:
        async with hospital(tmp_path, f'fhir_base = "{emr.fhir}"') as writeback:
            letters = await asyncio.gather(*(sign(writeback) for _ in range(10)))
            assert {letter.state for letter in letters} == {State.VERIFIED}
            census = emr.census()
            assert all(census.of(letter.key).in_lists == 1 for letter in letters)

    asyncio.run(run())


def test_the_rate_limit_of_a_site_is_kept(tmp_path: Path, emr: EmrProcess) -> None:
    async def run() -> float:
        site = f'fhir_base = "{emr.fhir}"\nmax_requests_per_second = 20'
        async with hospital(tmp_path, site) as writeback:
            began = time.monotonic()
            await asyncio.gather(*(sign(writeback) for _ in range(8)))
            return time.monotonic() - began

    seconds = asyncio.run(run())
    asked = len([row for row in requests(emr.store) if row[0] != "metadata"])
    assert asked / max(seconds, 0.001) <= 20 + 21 / seconds  # the rate, and one burst


@pytest.mark.parametrize(
    ("site", "said"),
    [
        ('auth = "none"', "names no EMR"),
        ('fhir_base = "https://emr"\nauth = "bearer"', "bearer_token_file: is missing"),
        ('fhir_base = "https://emr"\nauth = "smart-backend"', "client_id: is missing"),
        ('fhir_base = "https://emr"\nprefer = "mdm"', "mdm_host: is missing"),
        ('fhir_base = "https://emr"\nspeed = 3', "speed: is not a known key"),
        ('fhir_base = "https://emr"\nack_timeout_s = -1', "ack_timeout_s: found -1"),
    ],
)
def test_a_wrong_profile_is_refused_with_its_key(tmp_path: Path, site: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        gateway_config.load(gateway_file(tmp_path, site))

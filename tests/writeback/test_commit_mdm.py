"""Where FHIR may not be written, the note goes as MDM^T02, once, and is read back if it can be."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bayscribe.errors import BadUse
from bayscribe_relay.gateway.config import Interface
from bayscribe_relay.gateway.document import read_document
from bayscribe_relay.gateway.mdm.message import make_mdm
from bayscribe_relay.writeback.bundle import make_bundle
from bayscribe_relay.writeback.note import read_note
from bayscribe_relay.writeback.service import answer
from bayscribe_relay.writeback.states import State
from bayscribe_relay.writeback.validation import check_bundle
from emr.process import EmrProcess
from writeback.rig import a_note, encoded, hospital, seeds, sign

FIRST = "0190a3c2-7b1e-7c3d-8e4f-5a6b7c8d9e0f"
SETTINGS = {"fhir_write": False, "late_s": 3.0}


@pytest.fixture(scope="module")
def hospital_emr(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmrProcess]:
    with EmrProcess(tmp_path_factory.mktemp("emr"), SETTINGS) as running:
        running.seed(*seeds(40))
        yield running


@pytest.fixture
def emr(hospital_emr: EmrProcess) -> EmrProcess:
    """As it is at the beginning, but for what is in the chart."""
    hospital_emr.clear_script()
    hospital_emr.set(**SETTINGS, mdm_dedupe="document")
    return hospital_emr


def site(emr: EmrProcess, query: str = "qbp", **more: object) -> str:
    lines = {
        "fhir_base": f'"{emr.fhir}"', "mdm_host": '"127.0.0.1"', "mdm_port": emr.mllp_port,
        "mdm_query": f'"{query}"', "ack_timeout_s": 1.0, **more,
    }  # fmt: skip
    return "\n".join(f"{name} = {value}" for name, value in lines.items())


@pytest.mark.parametrize(
    ("query", "proof"), [("qbp", "read-back"), ("qry", "read-back"), ("none", "ack AA")]
)
def test_the_proof_is_named_as_what_it_is(
    tmp_path: Path, emr: EmrProcess, query: str, proof: str
) -> None:
    async def run() -> None:
        async with hospital(tmp_path, site(emr, query)) as writeback:
            letter = await sign(writeback)
            said = answer(letter)
            assert (said["state"], said["path"]) == ("verified", "mdm"), letter.reason
            assert said["verification"] == proof
            assert emr.census().of(letter.key).exactly_once(letter.note_sha256)

    asyncio.run(run())


@pytest.mark.parametrize(
    "fault",
    [
        "ae", "ar", "no-ack", "late-ack", "wrong-control-id", "two-frames", "fragmented",
        "reset-after-commit", "answer-lost", "stored-but-lost", "malformed",
    ],
)  # fmt: skip
def test_one_fault_and_still_exactly_once(tmp_path: Path, emr: EmrProcess, fault: str) -> None:
    async def run() -> None:
        emr.set(mdm_dedupe="none")
        before = emr.faults().get(fault, 0)
        emr.script({"fault": fault, "operation": "mdm"})
        async with hospital(tmp_path, site(emr)) as writeback:
            letter = await sign(writeback)
            assert letter.state is State.VERIFIED, letter.reason
            assert emr.census().of(letter.key).exactly_once(letter.note_sha256)
            assert emr.faults()[fault] == before + 1

    asyncio.run(run())


@pytest.mark.parametrize("media_type", ["application/xhtml+xml", "application/cda+xml"])
@pytest.mark.parametrize("fhir", [True, False])
def test_markup_arrives_byte_for_byte(
    tmp_path: Path, emr: EmrProcess, media_type: str, fhir: bool
) -> None:
    async def run() -> None:
        emr.set(fhir_write=fhir)
        content = '<?xml version="1.0"?>\n<a b="|^~\\&amp;">Zoë</a>'
        note = {"type_loinc": "34878-9", "title": "Note", "media_type": media_type}
        async with hospital(tmp_path, site(emr)) as writeback:
            letter = await sign(writeback, content=content, note={**note, "content": content})
            assert letter.state is State.VERIFIED, letter.reason
            assert answer(letter)["path"] == ("fhir" if fhir else "mdm")
            assert emr.census().of(letter.key).exactly_once(letter.note_sha256)

    asyncio.run(run())


def test_a_poisoned_letter_does_not_hold_up_the_others(tmp_path: Path, emr: EmrProcess) -> None:
    async def run() -> None:
        extra = '[sites.demo.interface]\ncontrol_id = "key"'
        async with hospital(
            tmp_path, site(emr, mdm_connections=1, ack_timeout_s=10.0, retries=1) + "\n" + extra
        ) as writeback:
            poisoned = "01890000-0000-7000-8000-00000000dead"
            emr.script({"fault": "ae", "operation": "mdm", "key": poisoned, "times": 9})
            bad = asyncio.create_task(sign(writeback, idempotency_key=poisoned))
            good = await asyncio.gather(*(sign(writeback) for _ in range(5)))
            assert {letter.state for letter in good} == {State.VERIFIED}
            given_up = await bad
            assert given_up.state is State.DEAD
            assert "Database locked" in given_up.reason

    asyncio.run(run())


def test_the_way_changes_when_the_emr_does(tmp_path: Path, emr: EmrProcess) -> None:
    async def run() -> None:
        async with hospital(tmp_path, site(emr, provision_every_s=0.001)) as writeback:
            assert answer(await sign(writeback))["path"] == "mdm"
            emr.set(fhir_write=True)
            assert answer(await sign(writeback))["path"] == "fhir"
            emr.set(fhir_write=False)
            assert answer(await sign(writeback))["path"] == "mdm"

    asyncio.run(run())


def nobodys_ids() -> dict[str, Any]:
    """A note of a stay that HL7 v2 alone has named."""
    note = a_note()
    return {
        "patient": note["patient"] | {"id": None},
        "encounter": note["encounter"] | {"id": None},
    }


def test_record_and_visit_number_suffice_where_mdm_alone_is_written(
    tmp_path: Path, emr: EmrProcess
) -> None:
    mdm = f'mdm_host = "127.0.0.1"\nmdm_port = {emr.mllp_port}\nmdm_query = "qbp"'

    async def run() -> None:
        async with hospital(tmp_path, mdm) as writeback:
            letter = await sign(writeback, **nobodys_ids())
            said = answer(letter)
            assert (said["state"], said["path"]) == ("verified", "mdm"), letter.reason
            assert emr.census().of(letter.key).exactly_once(letter.note_sha256)

    asyncio.run(run())


def test_a_fhir_server_is_not_written_to_without_its_ids(tmp_path: Path, emr: EmrProcess) -> None:
    emr.set(fhir_write=True)

    async def run() -> None:
        async with hospital(tmp_path, f'fhir_base = "{emr.fhir}"') as writeback:
            letter = await sign(writeback, **nobodys_ids())
            assert letter.state is State.REJECTED
            assert "names no Patient and Encounter" in letter.reason

    asyncio.run(run())


def test_an_addendum_names_the_note_that_it_appends_to(tmp_path: Path, emr: EmrProcess) -> None:
    async def run() -> None:
        async with hospital(tmp_path, site(emr)) as writeback:
            first = await sign(writeback)
            letter = await sign(writeback, content="The cough began Monday.", relates_to=first.key)
            assert answer(letter)["state"] == "verified", letter.reason
            assert emr.census().of(letter.key).exactly_once(letter.note_sha256)
            assert emr.census().of(first.key).exactly_once(first.note_sha256)

    asyncio.run(run())
    read = read_note(encoded(a_note(relates_to=FIRST)))
    bundle = make_bundle(read)
    check_bundle(bundle)
    document = read_document(str(read.idempotency_key), bundle, read.sent_sha256)
    lines = make_mdm(document, Interface()).decode().split("\r")
    assert "|MDM^T06^MDM_T02|" in lines[0]
    assert next(x for x in lines if x.startswith("TXA")).split("|")[13] == f"{FIRST}^BAYSCRIBE"
    (relation,) = document.resources["DocumentReference"]["relatesTo"]
    assert relation["code"] == "appends"
    assert relation["target"]["identifier"]["value"] == f"urn:uuid:{FIRST}"


@pytest.mark.parametrize("wrong", ["", "first", FIRST.replace("-7c", "-4c")])
def test_an_addendum_to_nothing_that_is_a_key_is_refused(wrong: str) -> None:
    with pytest.raises(BadUse, match="relates_to: is not a UUID"):
        read_note(encoded(a_note(relates_to=wrong)))
    with pytest.raises(BadUse, match="to itself"):
        read_note(encoded(a_note(relates_to=FIRST, idempotency_key=FIRST)))

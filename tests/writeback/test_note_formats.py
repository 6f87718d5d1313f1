"""What a site is sent: the note as it is, narrative alone, or a C-CDA made of it."""

import asyncio
import base64
import hashlib
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayscribe.errors import BadUse
from bayscribe_relay.gateway import config as gateway_config
from bayscribe_relay.gateway.server import Gateway
from bayscribe_relay.writeback import config as relay_config
from bayscribe_relay.writeback.bundle import make_bundle
from bayscribe_relay.writeback.cda import make_cda
from bayscribe_relay.writeback.formats import as_sent
from bayscribe_relay.writeback.note import Note, read_note
from bayscribe_relay.writeback.service import Writeback
from bayscribe_relay.writeback.states import State
from bayscribe_relay.writeback.validation import check_bundle
from emr.process import EmrProcess
from writeback.rig import NPI, a_note, encoded, gateway_file, make_pki, relay_file, seeds, sign

V3 = "{urn:hl7-org:v3}"
KEY = "01890000-0000-7000-8000-000000000001"
NARRATIVE = """Seen at 02:10 with <her> husband & "son".
Chief Complaint: chest pressure
HPI
Eased by rest.

# Plan
Observation; cardiology in the morning."""


def taken(content: str = NARRATIVE, **changes: Any) -> Note:  # noqa: ANN401 - members of a note
    return read_note(encoded(a_note(content=content, idempotency_key=KEY, **changes)))


def lines(document: str) -> list[str]:
    return [p.text or "" for p in ET.fromstring(document).iter(f"{V3}paragraph")]


def test_the_header_names_patient_author_and_encounter() -> None:
    root = ET.fromstring(make_cda(taken()))
    assert root.tag == f"{V3}ClinicalDocument"
    for path, attribute, value in (
        ("templateId", "root", "2.16.840.1.113883.10.20.22.1.1"),
        ("recordTarget/patientRole/id", "extension", "M1"),
        ("recordTarget/patientRole/patient/administrativeGenderCode", "code", "F"),
        ("recordTarget/patientRole/patient/birthTime", "value", "19800203"),
        ("author/assignedAuthor/id", "extension", NPI),
        ("legalAuthenticator/assignedEntity/id", "extension", NPI),
        ("componentOf/encompassingEncounter/id", "extension", "V1"),
        ("effectiveTime", "value", "20260102030405+0000"),
    ):
        found = root.find("/".join(V3 + step for step in path.split("/")))
        assert found is not None, path
        assert found.get(attribute) == value


def test_each_known_heading_is_a_section_with_its_loinc_code() -> None:
    root = ET.fromstring(make_cda(taken()))
    found = []
    for section in root.iter(f"{V3}section"):
        code, title = section.find(f"{V3}code"), section.find(f"{V3}title")
        assert code is not None
        assert title is not None
        found.append((code.get("code"), title.text))
    assert found == [
        ("34878-9", "Emergency medicine Note"),
        ("10154-3", "Chief Complaint"),
        ("10164-2", "HPI"),
        ("18776-5", "Plan"),
    ]
    assert [line for line in lines(make_cda(taken())) if line] == [
        line for line in NARRATIVE.split("\n") if line
    ]


XML_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1)


@given(XML_TEXT, XML_TEXT)
def test_any_text_makes_a_well_formed_document_the_same_each_time(text: str, name: str) -> None:
    patient = {**a_note()["patient"], "family": name[:200]}
    note = taken(text, patient=patient)
    document = make_cda(note)
    assert document == make_cda(note)
    ET.fromstring(document)
    sent = as_sent(note, "cda")
    check_bundle(make_bundle(sent))


@given(st.text("ab <>&\"'é\n", min_size=1).filter(str.strip))
def test_no_line_of_the_narrative_is_left_out(text: str) -> None:
    found = [line for line in lines(make_cda(taken(text))) if line.strip()]
    assert found == [line for line in text.split("\n") if line.strip()]


def test_the_bundle_carries_both_hashes() -> None:
    note = taken()
    sent = as_sent(note, "cda")
    entries = [entry["resource"] for entry in json.loads(make_bundle(sent))["entry"]]
    binary, document, provenance = entries
    content = base64.b64decode(binary["data"])
    assert content == make_cda(note).encode()
    attachment = document["content"][0]["attachment"]
    assert attachment["contentType"] == binary["contentType"] == "application/cda+xml"
    assert attachment["extension"][0]["valueString"] == hashlib.sha256(content).hexdigest()
    assert note.attestation.note_sha256 != hashlib.sha256(content).hexdigest()
    assert note.attestation.note_sha256 in json.dumps(provenance)


def test_a_form_that_cannot_be_given_is_refused() -> None:
    markup = msgspec.structs.replace(taken().note, media_type="application/xhtml+xml")
    note = msgspec.structs.replace(taken(), note=markup)
    for form in ("narrative", "cda"):
        with pytest.raises(BadUse, match=r"note\.media_type"):
            as_sent(note, form)
    assert as_sent(note, "as-is") is note
    assert as_sent(taken(), "narrative") == taken()


@pytest.mark.parametrize("fhir", [True, False])
def test_the_document_is_in_the_chart_of_a_site_that_asks_for_it(
    tmp_path: Path, fhir: bool
) -> None:
    make_pki(tmp_path)

    async def run(emr: EmrProcess) -> None:
        site = (
            f'fhir_base = "{emr.fhir}"\nmdm_host = "127.0.0.1"\nmdm_port = {emr.mllp_port}\n'
            f'mdm_query = "qbp"\nprefer = "{"fhir" if fhir else "mdm"}"'
        )
        async with Gateway(gateway_config.load(gateway_file(tmp_path, site))).running() as gateway:
            table = '[writeback.sites.demo]\nnote_format = "cda"'
            loaded = relay_config.load(relay_file(tmp_path, gateway.port, table))
            async with Writeback.running(loaded) as writeback:
                letter = await sign(writeback, content=NARRATIVE, idempotency_key=KEY)
                assert letter.state is State.VERIFIED, letter.reason
                sha256 = hashlib.sha256(make_cda(taken()).encode()).hexdigest()
                assert letter.note_sha256 == sha256
                assert emr.census().of(KEY).exactly_once(sha256)

    with EmrProcess(tmp_path / "emr") as emr:
        emr.seed(*seeds())
        asyncio.run(run(emr))

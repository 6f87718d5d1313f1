"""The fault-injecting EMR does what a test asks of it, and its census tells the truth."""

import base64
import hashlib
import json
import socket
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest

from emr.census import Count
from emr.process import EmrProcess

NOTE = b"Chest pain, resolved."
DIGEST = hashlib.sha256(NOTE).hexdigest()


@pytest.fixture
def emr(tmp_path: Path) -> Iterator[EmrProcess]:
    with EmrProcess(tmp_path) as running:
        running.seed(
            {"resourceType": "Patient", "id": "p1"},
            {"resourceType": "Encounter", "id": "e1", "status": "in-progress"},
        )
        yield running


def bundle(key: str, *, put: bool = True) -> dict[str, Any]:
    resources: list[dict[str, Any]] = [
        {
            "resourceType": "Binary",
            "contentType": "text/plain",
            "data": base64.b64encode(NOTE).decode(),
        },
        {
            "resourceType": "DocumentReference",
            "status": "current",
            "identifier": [{"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{key}"}],
            "subject": {"reference": "Patient/p1"},
            "content": [{"attachment": {"url": "urn:uuid:" + str(uuid.UUID(int=1))}}],
        },
        {
            "resourceType": "Provenance",
            "recorded": "2026-01-01T00:00:00Z",
            "target": [{"reference": "urn:uuid:" + str(uuid.UUID(int=2))}],
            "agent": [{"who": {"display": "Somebody"}}],
        },
    ]
    entries = []
    for place, resource in enumerate(resources, start=1):
        kind = resource["resourceType"]
        request = {"method": "POST", "url": kind}
        if put:
            resource["id"] = str(uuid.uuid5(uuid.UUID(key), kind))
            request = {"method": "PUT", "url": f"{kind}/{resource['id']}"}
        full = "urn:uuid:" + str(uuid.UUID(int=place))
        entries.append({"fullUrl": full, "resource": resource, "request": request})
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def post(emr: EmrProcess, body: object, timeout: float = 10) -> tuple[int, dict[str, Any], Any]:
    request = urllib.request.Request(
        emr.fhir, json.dumps(body).encode(), {"Content-Type": "application/fhir+json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return answer.status, json.load(answer), answer.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error), error.headers


@pytest.mark.parametrize("put", [True, False])
def test_a_transaction_is_stored_once_and_counted(emr: EmrProcess, put: bool) -> None:
    key = str(uuid.uuid4())
    status, answer, _ = post(emr, bundle(key, put=put))
    assert status == 200
    assert [e["response"]["status"] for e in answer["entry"]] == ["201 Created"] * 3
    counted = emr.census()
    assert counted.of(key).exactly_once(DIGEST)
    assert (counted.orphan_binaries, counted.dangling_provenances) == (0, 0)


def test_posting_again_doubles_the_note_and_the_census_sees_it(emr: EmrProcess) -> None:
    key = str(uuid.uuid4())
    post(emr, bundle(key, put=False))
    post(emr, bundle(key, put=False))
    assert emr.census().of(key).document_references == 2
    assert not emr.census().of(key).exactly_once(DIGEST)


@pytest.mark.parametrize(
    ("fault", "expected", "stored"),
    [
        ("too-many", 429, False),
        ("unavailable", 503, False),
        ("precondition", 412, False),
        ("conflict", 409, False),
        ("server-error", 500, False),
        ("error-after-commit", 500, True),
        ("entry-429", 200, False),
        ("stored-but-lost", 200, False),
        ("slow-drip", 200, True),
    ],
)
def test_scripted_faults_answer_and_store_as_named(
    emr: EmrProcess, fault: str, expected: int, stored: bool
) -> None:
    emr.set(drip_s=0.0)
    emr.script({"fault": fault, "operation": "transaction"})
    key = str(uuid.uuid4())
    assert post(emr, bundle(key))[0] == expected
    assert emr.census().of(key).exactly_once(DIGEST) is stored
    assert emr.faults() == {fault: 1}
    assert post(emr, bundle(key))[0] == 200
    assert emr.census().of(key).exactly_once(DIGEST)


@pytest.mark.parametrize(
    ("fault", "stored"),
    [("hang", False), ("reset", False), ("answer-lost", True), ("reset-after-commit", True)],
)
def test_a_request_without_an_answer(emr: EmrProcess, fault: str, stored: bool) -> None:
    emr.script({"fault": fault, "operation": "transaction"})
    key = str(uuid.uuid4())
    with pytest.raises((urllib.error.URLError, ConnectionError, TimeoutError)):
        post(emr, bundle(key), timeout=2)
    until(lambda: emr.faults() == {fault: 1})
    if stored:
        until(lambda: emr.census().of(key).exactly_once(DIGEST))
    else:
        assert emr.census().of(key) == Count()


def test_half_an_answer_and_altered_content(emr: EmrProcess) -> None:
    emr.script({"fault": "malformed", "operation": "transaction"})
    first, second, third = (str(uuid.uuid4()) for _ in range(3))
    with pytest.raises(json.JSONDecodeError):
        post(emr, bundle(first))
    assert emr.census().of(first).exactly_once(DIGEST)
    emr.script({"fault": "altered", "operation": "transaction"})
    post(emr, bundle(second))
    assert emr.census().of(second).content_sha256 == {hashlib.sha256(b"altered").hexdigest()}
    emr.script({"fault": "partial", "operation": "transaction"})
    status, answer, _ = post(emr, bundle(third))
    assert (status, answer["entry"][-1]["response"]["status"][:3]) == (200, "429")
    assert emr.census().of(third).provenances == 0


def test_retry_after_as_a_date_follows_the_wrong_clock(emr: EmrProcess) -> None:
    emr.set(clock_skew_s=3600, retry_after_s=7)
    emr.script({"fault": "too-many-date"})
    status, _, headers = post(emr, bundle(str(uuid.uuid4())))
    assert status == 429
    told = parsedate_to_datetime(headers["Retry-After"]) - parsedate_to_datetime(headers["Date"])
    assert 6 <= told.total_seconds() <= 8


def test_a_failed_entry_leaves_nothing_behind(emr: EmrProcess) -> None:
    key = str(uuid.uuid4())
    wrong = bundle(key)
    wrong["entry"][2]["resource"]["agent"] = []
    status, outcome, _ = post(emr, wrong)
    assert (status, outcome["issue"][0]["diagnostics"]) == (422, "Provenance.agent.who is missing")
    assert emr.census().orphan_binaries == 0
    unknown = bundle(key)
    unknown["entry"][1]["resource"]["subject"] = {"reference": "Patient/nobody"}
    assert post(emr, unknown)[0] == 422


def test_a_stale_if_match_is_refused_unless_the_server_ignores_it(emr: EmrProcess) -> None:
    patient = {"resourceType": "Patient", "id": "p1", "active": True}
    emr.put("Patient/p1", patient, if_match='W/"1"')
    with pytest.raises(urllib.error.HTTPError, match="412") as refused:
        emr.put("Patient/p1", patient, if_match='W/"1"')
    refused.value.close()
    emr.set(honours_if_match=False)
    emr.put("Patient/p1", patient, if_match='W/"1"')
    assert emr.get("Patient/p1")["meta"]["versionId"] == "3"


def until(condition: Callable[[], bool]) -> None:
    """Wait for something that the EMR does after the client has gone."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def mdm(key: str) -> bytes:
    lines = [
        f"MSH|^~\\&|BAYSCRIBE|ED|EMR|H|20260101000000||MDM^T02^MDM_T02|{key}|P|2.5.1",
        "EVN|T02|20260101000000",
        "PID|1||M1^^^H^MR||Doe^Jane",
        "PV1|1|E|||||||||||||||||V1",
        f"TXA|1|EN|TX|||||||||{key}|||||AU",
        f"OBX|1|TX|11488-4^Note^LN||{NOTE.decode()}||||||F",
    ]
    return b"\x0b" + "\r".join(lines).encode() + b"\r\x1c\r"


def exchange(emr: EmrProcess, *frames: bytes) -> list[str]:
    """What the EMR says to frames, up to its answer to one more message that it does take.

    Frames of a connection are answered in their order, so an answer that has not come
    before the last one never comes.
    """
    last = str(uuid.uuid4())
    with socket.create_connection(("127.0.0.1", emr.mllp_port), timeout=60) as link:
        link.sendall(b"".join(frames) + mdm(last))
        received = b""
        while f"|{last}".encode() not in received or not received.endswith(b"\x1c\r"):
            part = link.recv(65536)
            assert part, "the EMR closed the connection"
            received += part
    *acks, _ = [frame.strip(b"\x0b").decode() for frame in received.split(b"\x1c\r") if frame]
    return acks


def test_mdm_is_acknowledged_counted_and_found_by_query(emr: EmrProcess) -> None:
    key = str(uuid.uuid4())
    acks = exchange(emr, mdm(key), mdm(key))
    assert [f"MSA|AA|{key}" in ack for ack in acks] == [True, True]
    assert emr.census().of(key).exactly_once(DIGEST)
    header = "MSH|^~\\&|BAYSCRIBE|ED|EMR|H|20260101000000||QBP^Q11^QBP_Q11|Q1|P|2.5.1"
    query = f"\x0b{header}\rQPD|Q11^Find document|T1|{key}\rRCP|I\r\x1c\r".encode()
    (answer,) = exchange(emr, query)
    assert "QAK|T1|OK" in answer
    assert NOTE.decode() in answer


@pytest.mark.parametrize(
    ("fault", "said", "stored"),
    [
        ("ae", "MSA|AE|", False),
        ("ar", "MSA|AR|", False),
        ("no-ack", None, False),
        ("answer-lost", None, True),
        ("wrong-control-id", "MSA|AA|OTHER-0001", True),
        ("two-frames", "MSA|AA|OTHER-0001", True),
        ("fragmented", "MSA|AA|", True),
        ("stored-but-lost", "MSA|AA|", False),
    ],
)
def test_mdm_faults(emr: EmrProcess, fault: str, said: str | None, stored: bool) -> None:
    emr.script({"fault": fault, "operation": "mdm"})
    key = str(uuid.uuid4())
    acks = exchange(emr, mdm(key))
    assert (said in acks[0]) if said else (acks == [])
    assert emr.census().of(key).exactly_once(DIGEST) is stored


def test_what_is_no_hl7_is_rejected_without_ending_the_connection(emr: EmrProcess) -> None:
    key = str(uuid.uuid4())
    first, second = exchange(emr, b"\x0bnonsense\x1c\r", mdm(key))
    assert "MSA|AR|" in first
    assert f"MSA|AA|{key}" in second


def test_settings_of_unknown_name_are_refused(emr: EmrProcess) -> None:
    with pytest.raises(urllib.error.HTTPError, match="400") as refused:
        emr.set(no_such_setting=1)
    refused.value.close()

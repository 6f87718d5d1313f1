"""What the independent servers do, so that a change of theirs is noticed here first."""

import base64
import socket
import uuid
from typing import Any

from peers.independent import FhirPeer, Listener


def test_a_transaction_with_client_ids_is_stored_and_repeatable(fhir_peer: FhirPeer) -> None:
    patient = {"resourceType": "Patient", "id": str(uuid.uuid4()), "name": [{"family": "Doe"}]}
    fhir_peer.put(patient)
    ident = str(uuid.uuid4())
    binary = {
        "resourceType": "Binary",
        "id": ident,
        "contentType": "text/plain",
        "data": base64.b64encode(b"note").decode(),
    }
    entry: dict[str, Any] = {
        "fullUrl": f"urn:uuid:{ident}",
        "resource": binary,
        "request": {"method": "PUT", "url": f"Binary/{ident}"},
    }
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}
    statuses = []
    for _ in range(2):
        answer = fhir_peer.post("", bundle)
        statuses.append(answer["entry"][0]["response"]["status"][:3])
    assert statuses[0] in ("200", "201")  # Medplum's router says 200 of a creating PUT
    assert statuses[1] == "200"
    assert base64.b64decode(fhir_peer.get(f"Binary/{ident}")["data"]) == b"note"


def test_each_message_is_acknowledged_with_its_own_control_id(
    hl7_peer: tuple[str, Listener],
) -> None:
    name, listener = hl7_peer
    before = listener.seen(name)
    with socket.create_connection(("127.0.0.1", listener.ports[name]), timeout=60) as link:
        for control in ("C1", "C2"):
            header = f"MSH|^~\\&|A|B|C|D|20260101000000||MDM^T02^MDM_T02|{control}|P|2.5.1"
            link.sendall(b"\x0b" + header.encode() + b"\rEVN|T02|20260101000000\r\x1c\r")
            received = b""
            while not received.endswith(b"\x1c\r"):
                part = link.recv(65536)
                assert part, "the listener closed the connection"
                received += part
            assert f"|{control}".encode() in received.split(b"MSA")[1]
    first, second = listener.wait_for(name, lambda messages: len(messages) == 2, before)
    assert "|C1|" in first
    assert "|C2|" in second

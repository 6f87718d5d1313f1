"""The transaction made of a note, as two independent FHIR servers take and keep it."""

import base64
import hashlib
import json
import random

from benchmarks.writeback import notes

from bayscribe_relay.writeback.bundle import make_bundle, resource_id
from bayscribe_relay.writeback.note import read_note
from peers.independent import FhirPeer


def test_the_bundle_is_stored_whole_and_again_without_a_second_copy(fhir_peer: FhirPeer) -> None:
    for resource in notes.hospital(1):
        fhir_peer.put(resource)
    signed = notes.make(0, 1, draw=random.Random())
    bundle = json.loads(make_bundle(read_note(signed.body)))
    for _ in range(2):
        answer = fhir_peer.post("", bundle)
        statuses = [entry["response"]["status"][:3] for entry in answer["entry"]]
        assert all(status in ("200", "201") for status in statuses)
    document = fhir_peer.get(f"DocumentReference/{resource_id(signed.key, 'DocumentReference')}")
    assert document["status"] == "current"
    binary = fhir_peer.get(document["content"][0]["attachment"]["url"])
    assert hashlib.sha256(base64.b64decode(binary["data"])).hexdigest() == signed.sha256
    target = f"DocumentReference/{document['id']}"
    assert fhir_peer.total(f"Provenance?target={target}") == 1
    identifier = f"urn:ietf:rfc:3986|urn:uuid:{signed.key}"
    assert fhir_peer.total(f"DocumentReference?identifier={identifier}") == 1

"""The write-back, relay to chart, against servers that other people have written."""

import asyncio
import base64
import hashlib
from pathlib import Path
from typing import Any

from bayscribe_relay.gateway.fhir.documents import list_id
from bayscribe_relay.writeback.bundle import resource_id
from bayscribe_relay.writeback.outbox import Letter
from bayscribe_relay.writeback.service import answer
from bayscribe_relay.writeback.states import State
from peers.independent import FhirPeer
from writeback import rig


def carried(folder: Path, site: str, *notes: dict[str, Any]) -> list[Letter]:
    """Sign notes, side by side, through a relay's write-back and a gateway."""

    async def run() -> list[Letter]:
        async with rig.hospital(folder, site) as writeback:
            return await asyncio.gather(*(rig.sign(writeback, **note) for note in notes))

    return asyncio.run(run())


def one_of_each(peer: FhirPeer, letter: Letter) -> None:
    """The chart of a peer holds the note exactly once, whole and current."""
    document = peer.get(f"DocumentReference/{resource_id(letter.key, 'DocumentReference')}")
    assert document["status"] == "current"
    binary = peer.get(document["content"][0]["attachment"]["url"])
    content = base64.b64decode(binary["data"])
    assert hashlib.sha256(content).hexdigest() == letter.note_sha256
    token = f"urn:ietf:rfc:3986|urn:uuid:{letter.key}"
    assert peer.total(f"DocumentReference?identifier={token}") == 1
    assert peer.total(f"Provenance?target=DocumentReference/{document['id']}") == 1


def keeps_lists(peer: FhirPeer) -> bool:
    """Whether a peer says that clients may make Lists under ids of their own."""
    resources = peer.get("metadata")["rest"][0]["resource"]
    return any(item["type"] == "List" and item.get("updateCreate") for item in resources)


def listed(peer: FhirPeer, encounter: str) -> list[str]:
    entries = peer.get(f"List/{list_id(encounter)}")["entry"]
    return [entry["item"]["reference"] for entry in entries]


def test_notes_of_one_encounter_arrive_once_each_and_stand_in_its_list(
    fhir_peer: FhirPeer, tmp_path: Path
) -> None:
    for resource in rig.seeds(2):
        fhir_peer.put(resource)
    site = f'fhir_base = "{fhir_peer.base}"\nprefer = "fhir"'
    texts = [f"Note {number} of {tmp_path}" for number in range(4)]
    letters = carried(tmp_path, site, *({"content": text} for text in texts))
    for letter in letters:
        shown = answer(letter)
        assert (shown["state"], shown["path"]) == ("verified", "fhir"), shown["reason"]
        one_of_each(fhir_peer, letter)
    references = listed(fhir_peer, "Encounter/e1") if keeps_lists(fhir_peer) else []
    for letter in letters if references else ():
        name = f"DocumentReference/{resource_id(letter.key, 'DocumentReference')}"
        assert references.count(name) == 1


def test_a_key_signed_again_changes_nothing_in_the_chart(
    fhir_peer: FhirPeer, tmp_path: Path
) -> None:
    for resource in rig.seeds(2):
        fhir_peer.put(resource)
    site = f'fhir_base = "{fhir_peer.base}"\nprefer = "fhir"'
    encounter = {"id": "e2", "visit_number": "V2", "bay": "bay-1"}
    first_folder, second_folder = tmp_path / "first", tmp_path / "second"
    first_folder.mkdir()
    second_folder.mkdir()
    (first,) = carried(first_folder, site, {"encounter": encounter})
    # Another relay and another gateway, that know nothing of the first ones.
    again = {"encounter": encounter, "idempotency_key": first.key}
    (second,) = carried(second_folder, site, again)
    assert (first.state, second.state) == (State.VERIFIED, State.VERIFIED)
    one_of_each(fhir_peer, first)


def test_a_note_for_an_unknown_encounter_never_reaches_the_chart(
    fhir_peer: FhirPeer, tmp_path: Path
) -> None:
    for resource in rig.seeds(1):
        fhir_peer.put(resource)
    site = f'fhir_base = "{fhir_peer.base}"\nprefer = "fhir"'
    encounter = {"id": "nowhere", "visit_number": "V9", "bay": "bay-1"}
    (letter,) = carried(tmp_path, site, {"encounter": encounter})
    assert letter.state is State.REJECTED
    token = f"urn:ietf:rfc:3986|urn:uuid:{letter.key}"
    assert fhir_peer.total(f"DocumentReference?identifier={token}") == 0


def test_an_addendum_stands_beside_its_note_and_names_it(
    fhir_peer: FhirPeer, tmp_path: Path
) -> None:
    for resource in rig.seeds(1):
        fhir_peer.put(resource)
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    site = f'fhir_base = "{fhir_peer.base}"\nprefer = "fhir"'
    (first,) = carried(tmp_path / "first", site, {"content": f"Note of {tmp_path}"})
    more = {"content": f"Addendum of {tmp_path}", "relates_to": first.key}
    (letter,) = carried(tmp_path / "second", site, more)
    shown = answer(letter)
    assert (shown["state"], shown["path"]) == ("verified", "fhir"), shown["reason"]
    for each in (first, letter):
        one_of_each(fhir_peer, each)
    ident = resource_id(letter.key, "DocumentReference")
    (relation,) = fhir_peer.get(f"DocumentReference/{ident}")["relatesTo"]
    assert relation["code"] == "appends"
    assert relation["target"]["identifier"]["value"] == f"urn:uuid:{first.key}"

"""The gateway on servers and listeners that others wrote: once, whole, and read back."""

import asyncio
import base64
import hashlib
from pathlib import Path

from bayscribe_relay.gateway.mdm.er7 import Message
from bayscribe_relay.gateway.mdm.message import stored_content
from bayscribe_relay.writeback.outbox import Letter
from bayscribe_relay.writeback.service import answer
from bayscribe_relay.writeback.states import State
from peers.independent import FhirPeer, Listener
from writeback.rig import TEXT, hospital, seeds, sign


def test_notes_are_verified_on_an_independent_fhir_server(
    tmp_path: Path, fhir_peer: FhirPeer
) -> None:
    for resource in seeds(1):
        fhir_peer.put(resource)

    async def run() -> list[Letter]:
        async with hospital(tmp_path, f'fhir_base = "{fhir_peer.base}"') as writeback:
            return list(await asyncio.gather(*(sign(writeback) for _ in range(5))))

    for letter in asyncio.run(run()):
        assert letter.state is State.VERIFIED, letter.reason
        resources = answer(letter)["resources"]
        stored = fhir_peer.get(resources["DocumentReference"])
        assert stored["status"] == "current"
        data = base64.b64decode(fhir_peer.get(stored["content"][0]["attachment"]["url"])["data"])
        assert hashlib.sha256(data).hexdigest() == letter.note_sha256
        assert fhir_peer.total(f"Provenance?target={resources['DocumentReference']}") == 1
        identifier = f"urn:ietf:rfc:3986|urn:uuid:{letter.key}"
        assert fhir_peer.total(f"DocumentReference?identifier={identifier}") == 1


def test_notes_are_acknowledged_by_an_independent_listener(
    tmp_path: Path, hl7_peer: tuple[str, Listener]
) -> None:
    name, listener = hl7_peer
    before = listener.seen(name)
    # One connection a message at a time, and never two frames in one write: what these
    # listeners disagree about is not asked of them.
    site = f'mdm_host = "127.0.0.1"\nmdm_port = {listener.ports[name]}\nack_timeout_s = 5.0'

    async def run() -> list[Letter]:
        async with hospital(tmp_path, site) as writeback:
            return list(await asyncio.gather(*(sign(writeback) for _ in range(5))))

    letters = asyncio.run(run())
    messages = listener.wait_for(name, lambda seen: len(seen) >= 5, before)
    parsed = [Message.parse(text.encode()) for text in messages]
    for letter in letters:
        assert letter.state is State.VERIFIED, letter.reason
        assert answer(letter)["verification"] == "ack AA"
        contents = [stored_content(message, letter.key) for message in parsed if message]
        assert [c for c in contents if c is not None] == [TEXT.encode()]

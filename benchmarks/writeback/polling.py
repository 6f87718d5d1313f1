"""The contrast: an integration engine that asks every bay for signed notes every 2 to 5 s.

Nothing of the product runs here. One loop a bay asks a commit service over HTTP whether
a note is ready and, when there is one, writes it to the same EMR as the product does:
one transaction, one read-back. What it shows is what polling alone costs, in waiting and
in requests.
"""

import asyncio
import base64
import json
import random
import time
import uuid
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
from aiohttp import web

from benchmarks.writeback.notes import SignedNote

POLL_S: Final = (2.0, 5.0)


@dataclass
class PollingResult:
    """What the polled run took.

    Attributes:
        total_ms: sign to verified, one a note.
        polls: requests that asked for notes.
        emr_requests: requests to the EMR.
    """

    total_ms: list[float] = field(default_factory=list)
    polls: int = 0
    emr_requests: int = 0
    _verified: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))

    async def until(self, count: int) -> None:
        """Wait for this many verified notes."""
        for _ in range(count):
            await self._verified.acquire()

    def verified(self, took_ms: float) -> None:
        """Take one verified note."""
        self.total_ms.append(took_ms)
        self._verified.release()


@dataclass
class _Ready:
    note: SignedNote
    signed: float


async def measure(notes: list[SignedNote], bays: int, gap_s: float, fhir: str) -> PollingResult:
    """Sign notes at random gaps of ``gap_s`` on average; poll until all are verified."""
    result, waiting = PollingResult(), [deque[_Ready]() for _ in range(bays)]

    async def pending(request: web.Request) -> web.Response:
        queue = waiting[int(request.match_info["bay"])]
        if not queue:
            return web.Response(status=204)
        ready = queue.popleft()
        text = {"signed": ready.signed, "key": ready.note.key, "note": ready.note.body.decode()}
        return web.json_response(text)

    app = web.Application()
    app.router.add_get("/pending/{bay}", pending)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    origin = f"http://127.0.0.1:{runner.addresses[0][1]}"
    async with aiohttp.ClientSession() as session:
        loops = [
            asyncio.create_task(_poll(session, f"{origin}/pending/{bay}", fhir, result))
            for bay in range(bays)
        ]
        for note in notes:
            waiting[note.encounter % bays].append(_Ready(note, time.monotonic()))
            await asyncio.sleep(random.expovariate(1.0 / gap_s) if gap_s else 0.0)
        await result.until(len(notes))
        for loop in loops:
            loop.cancel()
        await asyncio.gather(*loops, return_exceptions=True)
    await runner.cleanup()
    return result


async def _poll(
    session: aiohttp.ClientSession, address: str, fhir: str, result: PollingResult
) -> None:
    await asyncio.sleep(random.uniform(0, POLL_S[1]))
    while True:
        result.polls += 1
        async with session.get(address) as answer:
            found = await answer.json() if answer.status == 200 else None
        if found is None:
            await asyncio.sleep(random.uniform(*POLL_S))
            continue
        await _write(session, fhir, found, result)


async def _write(
    session: aiohttp.ClientSession, fhir: str, found: dict[str, Any], result: PollingResult
) -> None:
    bundle = _bundle(found["key"], json.loads(found["note"]))
    async with session.post(fhir, json=bundle) as answer:
        answer.raise_for_status()
    document = bundle["entry"][1]["resource"]["id"]
    async with session.get(f"{fhir}/DocumentReference/{document}") as answer:
        answer.raise_for_status()
    result.emr_requests += 2
    result.verified((time.monotonic() - found["signed"]) * 1000)


def _bundle(key: str, note: dict[str, Any]) -> dict[str, Any]:
    binary, document = (str(uuid.uuid5(uuid.UUID(key), kind)) for kind in ("b", "d"))
    provenance = str(uuid.uuid5(uuid.UUID(key), "p"))
    data = base64.b64encode(note["note"]["content"].encode()).decode()
    resources: list[dict[str, Any]] = [
        {"resourceType": "Binary", "id": binary, "contentType": "text/plain", "data": data},
        {
            "resourceType": "DocumentReference",
            "id": document,
            "status": "current",
            "identifier": [{"value": key}],
            "subject": {"reference": f"Patient/{note['patient']['id']}"},
            "content": [{"attachment": {"url": f"Binary/{binary}"}}],
        },
        {
            "resourceType": "Provenance",
            "id": provenance,
            "recorded": note["attestation"]["signed_at"],
            "target": [{"reference": f"DocumentReference/{document}"}],
            "agent": [{"who": {"display": "polled"}}],
        },
    ]
    entries = [
        {
            "resource": resource,
            "request": {"method": "PUT", "url": f"{resource['resourceType']}/{resource['id']}"},
        }
        for resource in resources
    ]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}

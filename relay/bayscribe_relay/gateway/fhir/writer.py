"""One attempt to put a note into the chart by FHIR, and to prove that it is there.

Order: look first if an earlier write may have arrived; check the encounter; write note
and list in one transaction; inspect every entry's status; read back. Whatever the EMR
answers to a write, what counts is what can be read.
"""

import asyncio
import random
from collections import OrderedDict
from typing import Any, Final

from bayscribe_relay.gateway.document import Document, read_document
from bayscribe_relay.gateway.fhir.capability import Capability
from bayscribe_relay.gateway.fhir.chosen_ids import as_posts, created
from bayscribe_relay.gateway.fhir.client import Answer, FhirClient, Stopwatch, settle
from bayscribe_relay.gateway.fhir.documents import DocumentLists, Listed
from bayscribe_relay.gateway.fhir.readback import ABSENT, Found, ReadBack
from bayscribe_relay.gateway.outcome import Job, Refused, TryAgain, Verified

CONFLICTS_MAX: Final = 6
"""Times that a list is re-read and merged within one attempt (412, 409)."""
_CONFLICT: Final = (409, 412)
_KNOWN_MAX: Final = 10_000
_REFUSALS: Final = (400, 404, 405, 406, 413, 415, 422)
_NO_GRANT: Final = (401, 403)


class FhirWriter:
    """Writes notes to one EMR."""

    def __init__(self, client: FhirClient) -> None:
        self._client = client
        self._lists = DocumentLists(client)
        self._read_back = ReadBack(client)
        self._encounters: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._left: OrderedDict[str, dict[str, str]] = OrderedDict()

    async def attempt(self, job: Job, capability: Capability) -> Verified:
        """Try once.

        Raises:
            Refused: the EMR says no, or the note does not fit the encounter.
            TryAgain: it is not (known to be) in the chart.
        """
        document = read_document(job.key, job.bundle, job.note_sha256)
        if not document.patient:
            raise Refused("the note names no Patient and Encounter of the FHIR server")
        found = Found({})
        if job.maybe_stored:
            found = await self._look(job, document, capability)
            if found.whole:
                return await self._verified(job, document, found, capability)
        if not capability.own_ids:
            await self._check_encounter(document, capability)
            return await self._write_under_their_ids(job, document, capability, found)
        async with self._lists.lock(document.encounter):
            for _ in range(CONFLICTS_MAX):
                listed = await self._before(document, capability)
                body = document.raw
                if listed is not None:
                    body = document.with_entry(self._lists.entry(document, listed))
                try:
                    return await self._write(job, document, capability, body)
                except _Conflict:
                    await asyncio.sleep(random.uniform(0, 0.2))
        raise TryAgain("the encounter's document list was changed by others each time")

    async def _write_under_their_ids(
        self, job: Job, document: Document, capability: Capability, found: Found
    ) -> Verified:
        """Write to an EMR that chooses ids; what an earlier try left there is written over."""
        said = self._left.get(job.key, {}).items() - found.references.items()
        left = await self._read_back.present(dict(said), job.key) | found.references
        try:
            verified = await self._write(
                job, document, capability, as_posts(document, left, found.etag)
            )
        except _Conflict:
            raise TryAgain("the EMR says that the document has changed since") from None
        self._left.pop(job.key, None)
        return verified

    async def _before(self, document: Document, capability: Capability) -> Listed | None:
        """Check the encounter and read its list, side by side."""
        if not capability.lists:
            await self._check_encounter(document, capability)
            return None
        _, listed = await settle(
            self._check_encounter(document, capability), self._lists.read(document)
        )
        return listed if isinstance(listed, Listed) else None

    async def _check_encounter(self, document: Document, capability: Capability) -> None:
        """The encounter exists and is this patient's."""
        pair = (document.encounter, document.patient)
        if not capability.encounters or pair in self._encounters:
            return
        answer = await self._client.request("GET", document.encounter, key=document.key)
        if answer.status in ABSENT:
            raise Refused("the encounter is not known to the EMR", answer.words())
        if answer.status in _NO_GRANT:
            return
        if not answer.ok or answer.body is None:
            raise TryAgain(f"reading the encounter failed ({answer.status}) {answer.words()}")
        subject = answer.body.get("subject")
        named = str(subject.get("reference", "")) if isinstance(subject, dict) else ""
        if named and "/".join(named.split("/")[-2:]) != document.patient:
            raise Refused("the encounter in the EMR is another patient's")
        self._encounters[pair] = None
        if len(self._encounters) > _KNOWN_MAX:
            self._encounters.popitem(last=False)

    async def _look(self, job: Job, document: Document, capability: Capability) -> Found:
        """Whether an earlier write has arrived, by identifier and by our own ids."""
        with Stopwatch() as watch:
            try:
                if not capability.own_ids:
                    return await self._read_back.by_identifier(document)
                found = await self._read_back.by_id(document)
                if not found.references:
                    other = await self._read_back.by_identifier(document)
                    return other if other.references else found
                return found
            finally:
                job.clock.read_back += watch.elapsed

    async def _write(
        self, job: Job, document: Document, capability: Capability, body: bytes
    ) -> Verified:
        job.maybe_stored = True
        job.clock.attempts += 1
        with Stopwatch() as watch:
            try:
                answer = await self._client.request("POST", "", key=job.key, body=body)
            except TryAgain as failure:
                if failure.throttled or failure.silent:
                    raise
                # The connection broke: perhaps after it was stored. Reading tells.
                answer = Answer(0, None, "")
            finally:
                job.clock.emr += watch.elapsed
        if not capability.own_ids:
            self._remember(job.key, answer)
        self._judge(answer)
        found = await self._look(job, document, capability)
        if not found.whole:
            said = f"the EMR answered {answer.status or 'nothing'} {answer.words()}".strip()
            raise TryAgain(f"{said}, and {found.fault}")
        return await self._verified(job, document, found, capability)

    def _remember(self, key: str, answer: Answer) -> None:
        """Keep where the EMR says that it has put what; a Binary cannot be searched for."""
        if left := created(answer):
            self._left[key] = self._left.get(key, {}) | left
            self._left.move_to_end(key)
        if len(self._left) > _KNOWN_MAX:
            self._left.popitem(last=False)

    def _judge(self, answer: Answer) -> None:
        """Raise what a definite answer means; return where only reading can tell."""
        status, words = answer.status, answer.words()
        if status in _CONFLICT:
            raise _Conflict
        if status in _NO_GRANT:
            raise TryAgain(f"the EMR does not let us write ({status}) {words}".strip())
        if status in _REFUSALS:
            raise Refused(f"the EMR refused the note ({status})", words)
        for entry_status, entry_words in _entry_statuses(answer):
            if entry_status in _CONFLICT:
                raise _Conflict
            if entry_status == 429:
                self._client.turned_away()
                raise TryAgain("the EMR is overloaded (429 in an entry)", throttled=True)
            if entry_status in _REFUSALS:
                raise Refused(f"the EMR refused an entry ({entry_status})", entry_words)

    async def _verified(
        self, job: Job, document: Document, found: Found, capability: Capability
    ) -> Verified:
        """The last proof: the document is in its encounter's list."""
        ours = found.references["DocumentReference"] == document.reference("DocumentReference")
        if capability.lists and ours:
            with Stopwatch() as watch:
                try:
                    await self._lists.mend(document)
                finally:
                    job.clock.read_back += watch.elapsed
        return Verified("fhir", found.references, found.etag)


class _Conflict(Exception):  # noqa: N818 - a turn within one attempt
    """412 or 409: something that we read has changed since."""


def _entry_statuses(answer: Answer) -> list[tuple[int, str]]:
    """Status and words of every entry of a transaction's answer."""
    from bayscribe_relay.gateway.fhir.client import outcome_words

    entries: Any = (answer.body or {}).get("entry", [])
    found = []
    for entry in entries if isinstance(entries, list) else []:
        response = entry.get("response") if isinstance(entry, dict) else None
        if isinstance(response, dict):
            text = str(response.get("status", ""))[:3]
            status = int(text) if text.isascii() and text.isdigit() else 0
            found.append((status, outcome_words(response.get("outcome"))))
    return found

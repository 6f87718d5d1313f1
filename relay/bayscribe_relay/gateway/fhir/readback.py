"""Reads a note back from the chart and judges it: there, current, whole, the same bytes.

Follows ``attachment.url`` as the EMR stored it: an EMR that leaves it dangling has not
stored a readable note, whatever it answered.
"""

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from bayscribe_relay.gateway.document import Document
from bayscribe_relay.gateway.fhir.client import Answer, FhirClient, Json, settle
from bayscribe_relay.gateway.outcome import Refused, TryAgain
from bayscribe_relay.writeback.bundle import KEY_SYSTEM

ABSENT: Final = (404, 410)


@dataclass(frozen=True)
class Found:
    """What of a note the chart holds.

    Attributes:
        references: type to ``Type/id``; only what is there.
        etag: of the DocumentReference.
        fault: why it is not as it should be, or empty.
    """

    references: dict[str, str]
    etag: str = ""
    fault: str = ""

    @property
    def whole(self) -> bool:
        """Everything is there and equal."""
        return not self.fault


class ReadBack:
    """Reads notes from one EMR."""

    def __init__(self, client: FhirClient) -> None:
        self._client = client

    async def by_id(self, document: Document) -> Found:
        """Look under the ids that follow from the key.

        Raises:
            TryAgain: the EMR does not answer, or not as FHIR has it.
            Refused: somebody has changed the document since; it is not ours to change.
        """
        key, kinds = document.key, ("DocumentReference", "Binary", "Provenance")
        answers = await settle(*(self._get(document.reference(kind), key) for kind in kinds))
        reference, binary, provenance = answers
        if reference is None:
            return Found({}, fault="the DocumentReference is not in the chart")
        return await self._judge(document, reference, binary, provenance)

    async def by_identifier(self, document: Document) -> Found:
        """Look for the business identifier, for an EMR that chooses ids of its own."""
        token = quote(f"{KEY_SYSTEM}|urn:uuid:{document.key}", safe="")
        answer = await self._client.request(
            "GET", f"DocumentReference?identifier={token}", key=document.key
        )
        found = _matches(answer, document.key)
        if not found:
            return Found({}, fault="the DocumentReference is not in the chart")
        return await self._judge(document, found[0], None, None)

    async def present(self, references: dict[str, str], key: str) -> dict[str, str]:
        """Those of some resources (type to ``Type/id``) that the chart holds.

        Raises:
            TryAgain: the EMR does not say.
        """
        return {
            kind: reference
            for kind, reference in references.items()
            if await self._get(reference, key) is not None
        }

    async def _judge(
        self, document: Document, stored: Json, binary: Json | None, provenance: Json | None
    ) -> Found:
        etag = f'W/"{stored.get("meta", {}).get("versionId", "")}"'
        references = {"DocumentReference": f"DocumentReference/{stored.get('id')}"}
        if stored.get("status") != "current":
            raise Refused(
                f"the document in the chart is {str(stored.get('status'))[:40]}: somebody has "
                "changed it since, and it is left as it is"
            )
        url = self._relative(stored)
        if url is None:
            return Found(references, etag, "the document leads to no content")
        if binary is None or url != f"Binary/{binary.get('id')}":
            binary = await self._get(url, document.key)
        if binary is None:
            return Found(references, etag, "the document's content is not in the chart")
        references["Binary"] = url
        if _digest(binary) != hashlib.sha256(document.content).hexdigest():
            return Found(references, etag, "the content in the chart is not what was attested")
        if provenance is None:
            provenance = await self._provenance(document, references["DocumentReference"])
        if provenance is None or not _targets(provenance, references["DocumentReference"]):
            return Found(references, etag, "the Provenance is not in the chart")
        references["Provenance"] = f"Provenance/{provenance.get('id')}"
        return Found(references, etag)

    def _relative(self, stored: Json) -> str | None:
        """Where the content is, as ``Binary/id`` under this EMR's base."""
        try:
            url = str(stored["content"][0]["attachment"]["url"])
        except (KeyError, IndexError, TypeError):
            return None
        url = url.removeprefix(self._client.base + "/").split("/_history/")[0]
        kind, _, ident = url.partition("/")
        return url if kind == "Binary" and ident and "/" not in ident else None

    async def _provenance(self, document: Document, target: str) -> Json | None:
        answer = await self._client.request(
            "GET", f"Provenance?target={quote(target, safe='')}", key=document.key
        )
        for resource in _entries(answer):
            if _targets(resource, target):
                return resource
        return None

    async def _get(self, path: str, key: str) -> Json | None:
        answer = await self._client.request("GET", path, key=key)
        if answer.status in ABSENT:
            return None
        if not answer.ok or answer.body is None:
            raise TryAgain(f"reading back failed ({answer.status}) {answer.words()}".strip())
        return answer.body


def _entries(answer: Answer) -> list[Json]:
    if not answer.ok or answer.body is None:
        raise TryAgain(f"searching failed ({answer.status}) {answer.words()}".strip())
    entries: Any = answer.body.get("entry", [])
    if not isinstance(entries, list):
        return []
    resources = [entry.get("resource") for entry in entries if isinstance(entry, dict)]
    return [resource for resource in resources if isinstance(resource, dict)]


def _matches(answer: Answer, key: str) -> list[Json]:
    value = f"urn:uuid:{key}"
    found = []
    for resource in _entries(answer):
        identifiers = resource.get("identifier")
        for identifier in identifiers if isinstance(identifiers, list) else []:
            if isinstance(identifier, dict) and identifier.get("value") == value:
                found.append(resource)
                break
    return found


def _digest(binary: Json) -> str:
    try:
        return hashlib.sha256(base64.b64decode(str(binary.get("data", "")))).hexdigest()
    except (binascii.Error, ValueError):
        return ""


def _targets(provenance: Json, reference: str) -> bool:
    targets = provenance.get("target")
    if not isinstance(targets, list):
        return False
    named = [str(t.get("reference", "")) for t in targets if isinstance(t, dict)]
    return any(name.split("/_history/")[0].endswith(reference) for name in named)

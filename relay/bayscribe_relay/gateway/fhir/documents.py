"""The encounter's document list: one List resource, shared with other authors.

Read, merged, and written with ``If-Match`` in the same transaction as the note; entries of
others are kept as they stand. Where an EMR ignores ``If-Match`` the list is read again
afterwards and mended.
"""

import asyncio
import uuid
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from bayscribe_relay.gateway.document import Document
from bayscribe_relay.gateway.fhir.client import FhirClient, Json
from bayscribe_relay.gateway.outcome import TryAgain

_SPACE: Final = uuid.UUID("6f1f0f4a-2f0e-5f0b-9d55-1d3c8a5b7e10")
"""Name space of the lists' ids: any constant would do, and it may never change."""
_MEND_TRIES: Final = 4
_LOCKS_MAX: Final = 4_096


def list_id(encounter: str) -> str:
    """The id of an encounter's list; ``encounter`` is ``Encounter/id``."""
    return str(uuid.uuid5(_SPACE, encounter))


@dataclass(frozen=True)
class Listed:
    """An encounter's list as read: the resource, or None where there is none yet."""

    resource: Json | None
    etag: str = ""

    def holds(self, reference: str) -> bool:
        """Whether a document is in it."""
        return any(_names(entry) == reference for entry in _entries(self.resource))


class DocumentLists:
    """The lists of one EMR. Two notes of one encounter are written one after the other."""

    def __init__(self, client: FhirClient) -> None:
        self._client = client
        self._locks: OrderedDict[str, asyncio.Lock] = OrderedDict()

    def lock(self, encounter: str) -> asyncio.Lock:
        """Held while an encounter's list is read, merged and written."""
        lock = self._locks.setdefault(encounter, asyncio.Lock())
        self._locks.move_to_end(encounter)
        while len(self._locks) > _LOCKS_MAX and not next(iter(self._locks.values())).locked():
            self._locks.popitem(last=False)
        return lock

    async def read(self, document: Document) -> Listed:
        """The encounter's list.

        Raises:
            TryAgain: the EMR does not say.
        """
        path = f"List/{list_id(document.encounter)}"
        answer = await self._client.request("GET", path, key=document.key)
        if answer.status in (404, 410):
            return Listed(None)
        if not answer.ok or answer.body is None:
            raise TryAgain(f"reading the document list failed ({answer.status}) {answer.words()}")
        version = answer.body.get("meta", {}).get("versionId", "")
        return Listed(answer.body, answer.etag or (f'W/"{version}"' if version else ""))

    def entry(self, document: Document, listed: Listed) -> Json:
        """The transaction entry that adds a document to its encounter's list."""
        ident = list_id(document.encounter)
        request: Json = {"method": "PUT", "url": f"List/{ident}"}
        if listed.resource is None:
            request["ifNoneMatch"] = "*"
        elif listed.etag:
            request["ifMatch"] = listed.etag
        return {
            "fullUrl": f"urn:uuid:{ident}",
            "resource": merged(document, listed),
            "request": request,
        }

    async def mend(self, document: Document) -> None:
        """See to it that the document is in the list, written again if another lost it.

        Raises:
            TryAgain: it could not be brought about.
        """
        reference = document.reference("DocumentReference")
        for _ in range(_MEND_TRIES):
            listed = await self.read(document)
            if listed.holds(reference):
                return
            condition = {"If-Match": listed.etag} if listed.etag else {"If-None-Match": "*"}
            answer = await self._client.request(
                "PUT",
                f"List/{list_id(document.encounter)}",
                key=document.key,
                body=msgspec.json.encode(merged(document, listed)),
                headers=condition,
            )
            if answer.status not in (200, 201, 409, 412):
                raise TryAgain(f"the document list was not taken ({answer.status})")
        raise TryAgain("the document list is written by others all the time")


def merged(document: Document, listed: Listed) -> Json:
    """The list with the document in it; what others wrote stays as it stands."""
    reference = document.reference("DocumentReference")
    item = {
        "item": {"reference": reference},
        "date": document.resources["DocumentReference"]["date"],
    }
    if listed.resource is None:
        return {
            "resourceType": "List",
            "id": list_id(document.encounter),
            "status": "current",
            "mode": "working",
            "title": "Documents of the encounter",
            "subject": {"reference": document.patient},
            "encounter": {"reference": document.encounter},
            "entry": [item],
        }
    kept = _entries(listed.resource)
    if not listed.holds(reference):
        kept = [*kept, item]
    resource = {name: value for name, value in listed.resource.items() if name != "meta"}
    return {**resource, "entry": kept}


def _entries(resource: Json | None) -> list[Any]:
    entries = (resource or {}).get("entry", [])
    return entries if isinstance(entries, list) else []


def _names(entry: object) -> str:
    item = entry.get("item") if isinstance(entry, dict) else None
    reference = str(item.get("reference", "")) if isinstance(item, dict) else ""
    return "/".join(reference.split("/_history/")[0].split("/")[-2:])

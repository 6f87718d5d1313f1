"""A note's transaction for an EMR that chooses ids itself (no ``updateCreate``).

References between the three go by ``urn:uuid``; the document is created only if its
identifier is not there yet. What an earlier try is known to have left is written over in
its place: such an EMR knows no two Binaries as one.
"""

import re
from typing import Any, Final

import msgspec

from bayscribe_relay.gateway.document import Document
from bayscribe_relay.gateway.fhir.client import Answer
from bayscribe_relay.writeback.bundle import KEY_SYSTEM

# FHIR R4, 3.1.0.8 (create): a location is the base, type, id and version; an id is 2.24.0.1's.
_LOCATION: Final = re.compile(
    r"(?:^|/)(Binary|DocumentReference|Provenance)/([A-Za-z0-9\-.]{1,64})(?:/_history/[^/]*)?$"
)


def as_posts(document: Document, left: dict[str, str], etag: str = "") -> bytes:
    """The transaction.

    Args:
        document: the note.
        left: resource type to ``Type/id`` of what is there already.
        etag: of the DocumentReference in ``left``; nobody else's change is written over.
    """
    names = {
        document.reference(kind): left.get(kind, f"urn:uuid:{resource['id']}")
        for kind, resource in document.resources.items()
    }
    entries = []
    for kind, resource in document.resources.items():
        body = {name: value for name, value in resource.items() if name != "id"}
        if kind in left:
            body["id"] = left[kind].partition("/")[2]
            request = {"method": "PUT", "url": left[kind]}
            if kind == "DocumentReference" and etag:
                request["ifMatch"] = etag
        else:
            request = {"method": "POST", "url": kind}
            if kind == "DocumentReference":
                request["ifNoneExist"] = f"identifier={KEY_SYSTEM}|urn:uuid:{document.key}"
        entries.append(
            {
                "fullUrl": f"urn:uuid:{resource['id']}",
                "resource": _renamed(body, names),
                "request": request,
            }
        )
    return msgspec.json.encode({"resourceType": "Bundle", "type": "transaction", "entry": entries})


def created(answer: Answer) -> dict[str, str]:
    """Type to ``Type/id`` of what an answer's entries say was created or updated."""
    entries: Any = (answer.body or {}).get("entry", [])
    found = {}
    for entry in entries if isinstance(entries, list) else []:
        response = entry.get("response") if isinstance(entry, dict) else None
        if not isinstance(response, dict) or not str(response.get("status", "")).startswith("2"):
            continue
        if match := _LOCATION.search(str(response.get("location", ""))):
            found[match[1]] = f"{match[1]}/{match[2]}"
    return found


def _renamed(node: Any, names: dict[str, str]) -> Any:  # noqa: ANN401 - JSON
    if isinstance(node, dict):
        return {
            name: names.get(value, value)
            if name in ("reference", "url") and isinstance(value, str)
            else _renamed(value, names)
            for name, value in node.items()
        }
    if isinstance(node, list):
        return [_renamed(item, names) for item in node]
    return node

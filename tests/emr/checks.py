"""What the EMR demands of a resource before it stores it: the required elements of R4."""

import base64
import binascii
import re
from typing import Final

from emr.refusal import Refusal
from emr.store import Resource, Store

_ID: Final = re.compile(r"^[A-Za-z0-9\-.]{1,64}$")
_INSTANT: Final = re.compile(r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})$")
_STATUS: Final = {
    "DocumentReference": {"current", "superseded", "entered-in-error"},
    "List": {"current", "retired", "entered-in-error"},
    "Encounter": {
        "planned", "arrived", "triaged", "in-progress", "onleave", "finished", "cancelled",
        "entered-in-error", "unknown",
    },
}  # fmt: skip
_LIST_MODES: Final = {"working", "snapshot", "changes"}
_EXISTING: Final = ("Patient", "Encounter")


def check_resource(body: Resource, store: Store, *, strict_references: bool) -> None:
    """Refuse a resource that this EMR would not take.

    Raises:
        Refusal: 422 with the element that is wrong.
    """
    kind = body["resourceType"]
    if "id" in body and not _ID.match(str(body["id"])):
        _refuse(f"{kind}.id is not a FHIR id")
    if kind in _STATUS and body.get("status") not in _STATUS[kind]:
        _refuse(f"{kind}.status is missing or not of its value set")
    if check := _BY_TYPE.get(kind):
        check(body)
    if strict_references:
        for reference in _references(body):
            target, _, ident = reference.partition("/")
            if target in _EXISTING and store.get(target, ident) is None:
                _refuse(f"{reference} is not known to this system")


def _refuse(text: str) -> None:
    raise Refusal(422, "invariant", text)


def _document_reference(body: Resource) -> None:
    content = body.get("content")
    if not isinstance(content, list) or not content:
        _refuse("DocumentReference.content is missing")
        return
    for item in content:
        attachment = item.get("attachment") if isinstance(item, dict) else None
        if not attachment or not (attachment.get("url") or attachment.get("data")):
            _refuse("DocumentReference.content.attachment holds neither url nor data")


def _binary(body: Resource) -> None:
    if not body.get("contentType"):
        _refuse("Binary.contentType is missing")
    try:
        base64.b64decode(body.get("data", ""), validate=True)
    except (binascii.Error, TypeError):
        _refuse("Binary.data is not base64")


def _provenance(body: Resource) -> None:
    if not body.get("target"):
        _refuse("Provenance.target is missing")
    if not _INSTANT.match(str(body.get("recorded", ""))):
        _refuse("Provenance.recorded is not an instant")
    agents = body.get("agent")
    if not isinstance(agents, list) or not agents or not all("who" in a for a in agents):
        _refuse("Provenance.agent.who is missing")


def _list(body: Resource) -> None:
    if body.get("mode") not in _LIST_MODES:
        _refuse("List.mode is missing or not of its value set")
    if not all("item" in entry for entry in body.get("entry", [])):
        _refuse("List.entry.item is missing")


_BY_TYPE: Final = {
    "DocumentReference": _document_reference,
    "Binary": _binary,
    "Provenance": _provenance,
    "List": _list,
}


def _references(node: object) -> list[str]:
    if isinstance(node, dict):
        found = [r for value in node.values() for r in _references(value)]
        reference = node.get("reference")
        return [*found, reference] if isinstance(reference, str) else found
    if isinstance(node, list):
        return [r for item in node for r in _references(item)]
    return []

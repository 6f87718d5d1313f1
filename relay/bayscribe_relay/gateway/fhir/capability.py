"""What an EMR lets us do: its CapabilityStatement and the scopes granted.

Scopes in both syntaxes: SMART v1 ``system/DocumentReference.write``, v2
``system/DocumentReference.cu``, ``*`` for any type.
"""

import re
from dataclasses import dataclass
from typing import Any, Final

from bayscribe_relay.writeback.bundle import TYPES

_SCOPE: Final = re.compile(
    r"^(?:system|user|patient)/(?P<type>\*|[A-Za-z]+)\.(?P<may>\*|read|write|c?r?u?d?s?)(?:\?.*)?$"
)


@dataclass(frozen=True)
class Capability:
    """What may be done by FHIR.

    Attributes:
        write: the note's transaction may be written.
        own_ids: under ids that we choose (PUT creates).
        lists: the encounter's list of documents may be read and written.
        encounters: Encounter may be read.
        why: where ``write`` is False, what is missing.
    """

    write: bool
    own_ids: bool = False
    lists: bool = False
    encounters: bool = False
    why: str = ""


def scope_allows(scopes: str | None, kind: str, action: str) -> bool:
    """Whether scopes grant an action on a type.

    Args:
        scopes: as granted, space separated; None where access is not governed by scopes.
        kind: resource type.
        action: ``c`` create, ``u`` update, ``r`` read.
    """
    if scopes is None:
        return True
    v1 = "read" if action in "rs" else "write"
    for scope in scopes.split():
        match = _SCOPE.match(scope)
        if match is None or match["type"] not in ("*", kind):
            continue
        may = match["may"]
        if may in ("*", v1) or (may not in ("read", "write") and action in may):
            return True
    return False


def read_capability(statement: object, scopes: str | None) -> Capability:
    """Judge a CapabilityStatement; one that is malformed grants nothing."""
    rest = _server(statement)
    if rest is None:
        return Capability(False, why="the EMR's CapabilityStatement names no server")
    system = _codes(rest)
    if not system & {"transaction"}:
        return Capability(False, why="the EMR takes no transactions")
    types = {
        str(item.get("type")): item for item in rest.get("resource", []) if isinstance(item, dict)
    }
    own_ids = True
    for kind in TYPES:
        item = types.get(kind)
        if kind == "Binary" and item is None and scope_allows(scopes, kind, "u"):
            # Servers that take Binary often do not list it (sekmet-fhir is one). The
            # transaction is all or nothing and is read back, so nothing is risked.
            continue
        codes = _codes(item) if item is not None else set()
        puts = "update" in codes and bool(item and item.get("updateCreate"))
        puts = puts and scope_allows(scopes, kind, "u")
        posts = "create" in codes and scope_allows(scopes, kind, "c")
        if not (puts or posts):
            missing = "offered" if not codes & {"create", "update"} else "granted"
            return Capability(False, why=f"writing {kind} is not {missing}")
        own_ids = own_ids and puts
    return Capability(
        write=True,
        own_ids=own_ids,
        lists=own_ids and _lists(types, scopes),
        encounters=_reads(types, scopes, "Encounter"),
    )


def _lists(types: dict[str, Any], scopes: str | None) -> bool:
    item = types.get("List")
    return (
        item is not None
        and "update" in _codes(item)
        and bool(item.get("updateCreate"))
        and scope_allows(scopes, "List", "u")
        and _reads(types, scopes, "List")
    )


def _reads(types: dict[str, Any], scopes: str | None, kind: str) -> bool:
    item = types.get(kind)
    return item is not None and "read" in _codes(item) and scope_allows(scopes, kind, "r")


def _server(statement: object) -> dict[str, Any] | None:
    if not isinstance(statement, dict) or not isinstance(statement.get("rest"), list):
        return None
    for rest in statement["rest"]:
        if isinstance(rest, dict) and rest.get("mode") == "server":
            return rest if isinstance(rest.get("resource", []), list) else None
    return None


def _codes(item: dict[str, Any]) -> set[str]:
    interactions = item.get("interaction")
    if not isinstance(interactions, list):
        return set()
    return {str(entry.get("code")) for entry in interactions if isinstance(entry, dict)}

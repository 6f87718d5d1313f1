"""Counts, from the EMR's own store, what every signed note has become in the chart."""

import base64
import hashlib
import json
import re
import sqlite3
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

_UUID: Final = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE
)


@dataclass
class Count:
    """What the chart holds for one idempotency key."""

    document_references: int = 0
    current: int = 0
    binaries: int = 0
    provenances: int = 0
    in_lists: int = 0
    mdm_documents: int = 0
    content_sha256: set[str] = field(default_factory=set)

    def exactly_once(self, note_sha256: str) -> bool:
        """One document with equal content: whole by FHIR or by MDM, not both, not twice."""
        if self.content_sha256 != {note_sha256}:
            return False
        by_fhir = (
            self.document_references == self.current == self.binaries == self.provenances == 1
            and self.in_lists <= 1
            and self.mdm_documents == 0
        )
        by_mdm = self.mdm_documents == 1 and self.document_references == 0
        return by_fhir or by_mdm


@dataclass
class Census:
    """The whole chart."""

    by_key: dict[str, Count]
    orphan_binaries: int
    dangling_provenances: int
    foreign_entries: int

    def of(self, key: str) -> Count:
        """What the chart holds for a key; all zero when nothing."""
        return self.by_key.get(key, Count())


def census(path: Path) -> Census:
    """Count the chart in a store's file, which may be in use."""
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        db.execute("BEGIN")
        return _count(db)
    finally:
        db.close()


def requests(path: Path) -> list[tuple[str, str, str, float, float | None]]:
    """Every request: operation, key, status, arrived, answered (Unix seconds)."""
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        rows = db.execute(
            "SELECT operation, coalesce(key, ''), coalesce(status, ''), arrived, answered"
            " FROM request ORDER BY place"
        )
        return [(row[0], row[1], row[2], row[3], row[4]) for row in rows]
    finally:
        db.close()


def _resources(db: sqlite3.Connection, kind: str) -> list[tuple[str, dict[str, Any]]]:
    rows = db.execute("SELECT id, body FROM resource WHERE type=?", (kind,))
    return [(row[0], json.loads(row[1])) for row in rows]


def _count(db: sqlite3.Connection) -> Census:
    by_key: dict[str, Count] = {}
    binaries = {f"Binary/{i}": body for i, body in _resources(db, "Binary")}
    owner: dict[str, str] = {}
    referenced: set[str] = set()
    for ident, body in _resources(db, "DocumentReference"):
        key = document_key(body) or ident
        owner[f"DocumentReference/{ident}"] = key
        count = by_key.setdefault(key, Count())
        count.document_references += 1
        count.current += body.get("status") == "current"
        for item in body.get("content", []):
            url = _relative(item["attachment"].get("url", ""))
            if url in binaries and url not in referenced:
                referenced.add(url)
                count.binaries += 1
                data = base64.b64decode(binaries[url].get("data", ""))
                count.content_sha256.add(hashlib.sha256(data).hexdigest())
    dangling = _count_provenances(db, by_key, owner)
    foreign = _count_lists(db, by_key, owner)
    for document, message in db.execute("SELECT document, message FROM mdm"):
        count = by_key.setdefault(_key_of(document), Count())
        count.mdm_documents += 1
        count.content_sha256.add(hashlib.sha256(mdm_content(message)).hexdigest())
    return Census(by_key, len(binaries) - len(referenced), dangling, foreign)


def _count_provenances(
    db: sqlite3.Connection, by_key: dict[str, Count], owner: dict[str, str]
) -> int:
    dangling = 0
    for _, body in _resources(db, "Provenance"):
        targets = [_relative(t.get("reference", "")) for t in body.get("target", [])]
        owners = {owner[t] for t in targets if t in owner}
        for key in owners:
            by_key[key].provenances += 1
        dangling += not owners
    return dangling


def _count_lists(db: sqlite3.Connection, by_key: dict[str, Count], owner: dict[str, str]) -> int:
    """Count list entries a key; gives how many entries are other authors' documents."""
    foreign = 0
    for _, body in _resources(db, "List"):
        entries = Counter(
            _relative(entry["item"].get("reference", "")) for entry in body.get("entry", [])
        )
        for reference, times in entries.items():
            if reference in owner:
                by_key[owner[reference]].in_lists += times
            else:
                foreign += times
    return foreign


def document_key(body: dict[str, Any]) -> str | None:
    """The idempotency key that stands in a DocumentReference's identifiers."""
    identifiers = [*body.get("identifier", []), body.get("masterIdentifier") or {}]
    for identifier in identifiers:
        if match := _UUID.search(identifier.get("value", "")):
            return match[0].lower()
    return None


def _key_of(text: str) -> str:
    match = _UUID.search(text)
    return match[0].lower() if match else text


def _relative(reference: str) -> str:
    return "/".join(reference.split("/_history", maxsplit=1)[0].split("/")[-2:])


def mdm_content(message: str) -> bytes:
    """The note in an MDM message: the first OBX, text unescaped or ED decoded."""
    for line in message.replace("\n", "\r").split("\r"):
        fields = line.split("|")
        if fields[0] == "OBX" and len(fields) > 5:
            if fields[2] == "ED":
                return base64.b64decode(fields[5].split("^")[4])
            return _unescape(fields[5]).encode()
    return b""


def _unescape(text: str) -> str:
    pairs = {"F": "|", "S": "^", "T": "&", "R": "~", "E": "\\", ".br": "\n"}

    def replaced(match: re.Match[str]) -> str:
        code = match[1]
        if code in pairs:
            return pairs[code]
        if code.startswith("X"):
            return bytes.fromhex(code[1:]).decode("utf-8", "replace")
        return match[0]

    return re.sub(r"\\([^\\]*)\\", replaced, text)

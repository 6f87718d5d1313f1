"""The EMR's own record of what it holds and what it was asked, in one SQLite file.

The census counts from here, so nothing else may write to it. Write-ahead logging without
a flush at each commit: what is committed survives the death of the program, and the
EMR's disk adds no time to what is measured of the product.
"""

import hashlib
import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

Resource = dict[str, Any]

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS resource (
    type TEXT, id TEXT, version INTEGER, updated REAL, body TEXT, PRIMARY KEY (type, id));
CREATE TABLE IF NOT EXISTS version (
    type TEXT, id TEXT, version INTEGER, updated REAL, sha256 TEXT,
    PRIMARY KEY (type, id, version));
CREATE TABLE IF NOT EXISTS token (type TEXT, id TEXT, param TEXT, value TEXT);
CREATE INDEX IF NOT EXISTS token_value ON token (type, param, value);
CREATE INDEX IF NOT EXISTS token_owner ON token (type, id);
CREATE TABLE IF NOT EXISTS replay (key TEXT PRIMARY KEY, status INTEGER, body TEXT);
CREATE TABLE IF NOT EXISTS mdm (
    place INTEGER PRIMARY KEY, document TEXT, control_id TEXT, patient TEXT, visit TEXT,
    status TEXT, message TEXT, received REAL);
CREATE INDEX IF NOT EXISTS mdm_document ON mdm (document);
CREATE INDEX IF NOT EXISTS mdm_control ON mdm (control_id);
CREATE TABLE IF NOT EXISTS request (
    place INTEGER PRIMARY KEY, arrived REAL, answered REAL, operation TEXT, method TEXT,
    path TEXT, key TEXT, fault TEXT, status TEXT);
"""

_REFERENCE_PARAMS: Final = ("subject", "patient", "encounter", "target", "source", "author")


@dataclass(frozen=True)
class Stored:
    """A resource as the EMR holds it now."""

    type: str
    id: str
    version: int
    updated: float
    body: Resource


class Change:
    """The changes of one atomic block."""

    discarded = False

    def discard(self) -> None:
        """Let nothing of the block stay."""
        self.discarded = True


class Store:
    """The durable record.

    Args:
        path: the SQLite file; made when absent.
    """

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @contextmanager
    def atomic(self) -> Iterator["Change"]:
        """All changes inside take effect together; none does after an error or ``discard``."""
        self._db.execute("BEGIN IMMEDIATE")
        change = Change()
        try:
            yield change
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("ROLLBACK" if change.discarded else "COMMIT")

    def get(self, kind: str, ident: str) -> Stored | None:
        """The current version of a resource."""
        row = self._db.execute(
            "SELECT version, updated, body FROM resource WHERE type=? AND id=?", (kind, ident)
        ).fetchone()
        return Stored(kind, ident, row[0], row[1], json.loads(row[2])) if row else None

    def put(self, kind: str, ident: str, body: Resource, updated: float) -> Stored:
        """Store a new version of a resource; the first one is version 1."""
        row = self._db.execute(
            "SELECT version FROM resource WHERE type=? AND id=?", (kind, ident)
        ).fetchone()
        version = row[0] + 1 if row else 1
        text = json.dumps(body)
        self._db.execute(
            "INSERT OR REPLACE INTO resource VALUES (?,?,?,?,?)",
            (kind, ident, version, updated, text),
        )
        digest = hashlib.sha256(text.encode()).hexdigest()
        self._db.execute(
            "INSERT INTO version VALUES (?,?,?,?,?)", (kind, ident, version, updated, digest)
        )
        self._db.execute("DELETE FROM token WHERE type=? AND id=?", (kind, ident))
        self._db.executemany(
            "INSERT INTO token VALUES (?,?,?,?)",
            [(kind, ident, param, value) for param, value in search_tokens(body)],
        )
        return Stored(kind, ident, version, updated, body)

    def search(self, kind: str, wanted: dict[str, list[str]]) -> list[Stored]:
        """Resources of a type for which every parameter has one of its values."""
        ids: set[str] | None = None
        for param, values in wanted.items():
            marks = ",".join("?" * len(values))
            if param == "_id":
                query = f"SELECT id FROM resource WHERE type=? AND id IN ({marks})"
                found = self._db.execute(query, (kind, *values))
            else:
                query = f"SELECT id FROM token WHERE type=? AND param=? AND value IN ({marks})"
                found = self._db.execute(query, (kind, param, *values))
            matching = {row[0] for row in found}
            ids = matching if ids is None else ids & matching
        if ids is None:
            rows = self._db.execute("SELECT id FROM resource WHERE type=?", (kind,))
            ids = {row[0] for row in rows}
        return [stored for ident in sorted(ids) if (stored := self.get(kind, ident))]

    def replayed(self, key: str) -> tuple[int, str] | None:
        """Status and body that were given to this idempotency key before."""
        row = self._db.execute("SELECT status, body FROM replay WHERE key=?", (key,)).fetchone()
        return (row[0], row[1]) if row else None

    def remember(self, key: str, status: int, body: str) -> None:
        """Keep an answer for this idempotency key."""
        self._db.execute("INSERT OR REPLACE INTO replay VALUES (?,?,?)", (key, status, body))

    def add_document(self, fields: tuple[str, str, str, str, str, str]) -> None:
        """Store one MDM document: number, control id, patient, visit, status, message."""
        self._db.execute(
            "INSERT INTO mdm (document, control_id, patient, visit, status, message, received)"
            " VALUES (?,?,?,?,?,?,?)",
            (*fields, time.time()),
        )

    def documents(self, column: str, value: str) -> list[str]:
        """Messages of the documents whose ``document`` or ``control_id`` is this value."""
        if column not in ("document", "control_id"):
            raise ValueError(column)
        query = f"SELECT message FROM mdm WHERE {column}=? ORDER BY place"
        return [row[0] for row in self._db.execute(query, (value,))]

    def arrived(self, operation: str, method: str, path: str, key: str | None) -> int:
        """Record a request that has come in; gives its place."""
        cursor = self._db.execute(
            "INSERT INTO request (arrived, operation, method, path, key) VALUES (?,?,?,?,?)",
            (time.time(), operation, method, path, key),
        )
        return int(cursor.lastrowid or 0)

    def answered(self, place: int, status: str, fault: str | None) -> None:
        """Record how a request ended."""
        self._db.execute(
            "UPDATE request SET answered=?, status=?, fault=? WHERE place=?",
            (time.time(), status, fault, place),
        )


def search_tokens(body: Resource) -> Iterator[tuple[str, str]]:
    """The search parameters of a resource as (parameter, value) pairs."""
    identifiers = body.get("identifier", [])
    if isinstance(identifiers, dict):
        identifiers = [identifiers]
    for identifier in [*identifiers, *filter(None, [body.get("masterIdentifier")])]:
        value = identifier.get("value", "")
        yield "identifier", value
        yield "identifier", f"{identifier.get('system', '')}|{value}"
    for name in _REFERENCE_PARAMS:
        yield from _reference_tokens(name, body.get(name))
    yield from _reference_tokens("encounter", body.get("context", {}).get("encounter"))
    yield from _reference_tokens("patient", body.get("subject"))
    if isinstance(status := body.get("status"), str):
        yield "status", status
    for name in ("type", "code", "class"):
        concept = body.get(name)
        for coding in concept.get("coding", []) if isinstance(concept, dict) else []:
            yield name, coding.get("code", "")
            yield name, f"{coding.get('system', '')}|{coding.get('code', '')}"


def _reference_tokens(name: str, value: object) -> Iterator[tuple[str, str]]:
    for item in value if isinstance(value, list) else [value]:
        reference = item.get("reference") if isinstance(item, dict) else None
        if isinstance(reference, str):
            relative = "/".join(reference.split("/_history")[0].split("/")[-2:])
            yield name, relative
            yield name, relative.rpartition("/")[2]

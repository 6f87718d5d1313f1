"""The append-only audit log: who did what, each row chained to the one before it."""

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from bayscribe.errors import IntegrityError
from bayscribe_relay.clinical.store import ClinicalStore, insert_new
from bayscribe_relay.clinical.tables import audit

GENESIS: Final = hashlib.sha256(b"bayscribe audit 1").digest()
_ATTEMPTS: Final = 100


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One act. ``detail`` names ids and counts, never what a patient or clinician said."""

    n: int
    at_ns: int
    actor: str
    action: str
    stay: str
    detail: str
    previous: bytes
    digest: bytes


def record(
    store: ClinicalStore,
    actor: str,
    action: str,
    stay: str = "",
    detail: str = "",
    connection: sa.Connection | None = None,
) -> None:
    """Append an act; in the caller's transaction if one is given.

    Two that append at once would have the same predecessor: the slower one tries again.

    Raises:
        StorageError: the database failed.
    """
    detail = detail[:400]
    for _ in range(_ATTEMPTS):
        if connection is not None:
            if _append(connection, actor, action, stay, detail):
                return
            continue
        with store.transaction() as own:
            if _append(own, actor, action, stay, detail):
                return
    raise IntegrityError("the audit log could not be continued", code="audit")


def entries(store: ClinicalStore, stay: str | None = None) -> Iterator[AuditEntry]:
    """The log in order, or one stay's part of it.

    Raises:
        IntegrityError: ``audit``: a row was altered, removed or inserted (whole log only).
    """
    query = sa.select(audit).order_by(audit.c.n)
    if stay is not None:
        query = query.where(audit.c.stay == stay)
    previous = GENESIS
    with store.engine.connect() as connection:
        for row in connection.execute(query):
            entry = AuditEntry(*(getattr(row, name) for name in AuditEntry.__slots__))
            expected = _digest(
                entry.previous, entry.at_ns, entry.actor, entry.action, entry.stay, entry.detail
            )
            broken = stay is None and entry.previous != previous
            if entry.digest != expected or broken:
                raise IntegrityError(f"audit entry {entry.n} does not verify", code="audit")
            previous = entry.digest
            yield entry


def _append(link: sa.Connection, actor: str, action: str, stay: str, detail: str) -> bool:
    last = link.execute(sa.select(audit.c.digest).order_by(audit.c.n.desc()).limit(1)).scalar()
    previous, now = last or GENESIS, time.time_ns()
    row = {
        "at_ns": now,
        "actor": actor,
        "action": action,
        "stay": stay,
        "detail": detail,
        "previous": previous,
        "digest": _digest(previous, now, actor, action, stay, detail),
    }
    return insert_new(link, audit, row)


def _digest(previous: bytes, at_ns: int, actor: str, action: str, stay: str, detail: str) -> bytes:
    parts = [str(at_ns), actor, action, stay, detail]
    body = b"".join(len(p.encode()).to_bytes(4, "big") + p.encode() for p in parts)
    return hashlib.sha256(previous + body).digest()

"""Statements on the tables: ingest writes, everything else reads.

Every method may be called from any thread.
"""

import time
from collections.abc import Iterator, Sequence

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError as DuplicateRow
from sqlalchemy.exc import SQLAlchemyError

from bayscribe.wire import chain
from bayscribe_relay.store import schema
from bayscribe_relay.store.database import open_engine, storage_error
from bayscribe_relay.store.records import (
    Batch,
    DeviceMark,
    EncounterState,
    Refusal,
    RefusalCount,
    StoredRecord,
)


class Store:
    """The relay's tables behind plain methods.

    Raises:
        StorageError: from every method, when the database fails.
    """

    def __init__(self, url: str) -> None:
        self._engine = open_engine(url)

    def close(self) -> None:
        """Let go of all connections."""
        self._engine.dispose()

    # -- ingest

    def admit(self, device: str, fingerprint: bytes, der: bytes) -> DeviceMark:
        """Note a device and its certificate at first use; its durable mark."""
        now = time.time_ns()
        self._insert_once(
            schema.devices,
            {"device": device, "seq": 0, "chain": chain.genesis(device), "first_seen_ns": now},
        )
        self._insert_once(
            schema.certificates,
            {"sha256": fingerprint, "device": device, "der": der, "first_used_ns": now},
        )
        return self.mark(device) or DeviceMark(device, 0, chain.genesis(device))

    def commit(self, batches: Sequence[Batch]) -> list[bool]:
        """Store batches in one durable transaction.

        Returns:
            for each batch whether it was taken; False if the device's mark has moved
            since (another connection or relay continued the stream).
        """
        try:
            with self._engine.begin() as connection:
                return [self._commit(connection, batch) for batch in batches]
        except SQLAlchemyError as error:
            raise storage_error(error) from None

    def _commit(self, connection: sa.Connection, batch: Batch) -> bool:
        last = batch.records[-1]
        moved = connection.execute(
            sa.update(schema.devices)
            .where(schema.devices.c.device == batch.device, schema.devices.c.seq == batch.before)
            .values(seq=last.seq, chain=last.chain)
        )
        if moved.rowcount != 1:
            return False
        rows = [_record_row(batch.device, record) for record in batch.records]
        connection.execute(sa.insert(schema.records), rows)
        sealed = [
            {"device": batch.device, "seq": record.seq, "sealed": record.sealed}
            for record in batch.records
            if record.sealed is not None
        ]
        if sealed:
            connection.execute(sa.insert(schema.payloads), sealed)
        for state in batch.encounters:
            _put_encounter(connection, batch, state)
        return True

    def refuse(self, refusal: Refusal) -> int:
        """Note a refusal; how often this very record has now been refused."""
        table = schema.refusals
        now = time.time_ns()
        key = {
            "device": refusal.device,
            "seq": refusal.seq,
            "reason": refusal.reason,
            "header_sha256": refusal.header_sha256,
        }
        row = {"encounter": refusal.encounter, "detail": refusal.detail[:200]}
        self._insert_once(table, key | row | {"times": 0, "first_ns": now, "last_ns": now})
        where = sa.and_(*(table.c[name] == value for name, value in key.items()))
        try:
            with self._engine.begin() as connection:
                connection.execute(
                    sa.update(table).where(where).values(times=table.c.times + 1, last_ns=now)
                )
                times = sa.select(table.c.times).where(where)
                return int(connection.execute(times).scalar_one())
        except SQLAlchemyError as error:
            raise storage_error(error) from None

    def note_outcome(
        self, device: str, prompt: str, outcome: str, reason: str, wall_ns: int
    ) -> None:
        """Store what became of a prompt."""
        row = {
            "device": device,
            "prompt": prompt,
            "outcome": outcome,
            "reason": reason,
            "wall_ns": wall_ns,
        }
        try:
            with self._engine.begin() as connection:
                connection.execute(sa.insert(schema.prompt_outcomes), row)
        except SQLAlchemyError as error:
            raise storage_error(error) from None

    # -- reading

    def mark(self, device: str) -> DeviceMark | None:
        """A device's durable mark, or None if it was never seen."""
        table = schema.devices
        query = sa.select(table.c.seq, table.c.chain).where(table.c.device == device)
        for row in self._rows(query):
            return DeviceMark(device, row.seq, bytes(row.chain))
        return None

    def marks(self) -> list[DeviceMark]:
        """All devices, by name."""
        table = schema.devices
        query = sa.select(table.c.device, table.c.seq, table.c.chain).order_by(table.c.device)
        return [DeviceMark(row.device, row.seq, bytes(row.chain)) for row in self._rows(query)]

    def chain_at(self, device: str, seq: int) -> bytes | None:
        """Chain value after a stored record."""
        table = schema.records
        query = sa.select(table.c.chain).where(table.c.device == device, table.c.seq == seq)
        for row in self._rows(query):
            return bytes(row.chain)
        return None

    def certificates(self, device: str) -> dict[bytes, bytes]:
        """Every certificate (DER) that the device has used, by SHA-256, newest first."""
        table = schema.certificates
        query = (
            sa.select(table.c.sha256, table.c.der)
            .where(table.c.device == device)
            .order_by(table.c.first_used_ns.desc())
        )
        return {bytes(row.sha256): bytes(row.der) for row in self._rows(query)}

    def open_encounters(self, device: str) -> list[EncounterState]:
        """The device's encounters that are not closed."""
        return [state for state in self.encounters(device) if state.closed_seq is None]

    def encounters(self, device: str) -> list[EncounterState]:
        """The device's encounters, in the order in which they were opened."""
        table = schema.encounters
        query = sa.select(table).where(table.c.device == device).order_by(table.c.opened_seq)
        return [
            EncounterState(
                encounter=row.encounter,
                bay=row.bay,
                opened_seq=row.opened_seq,
                opened_reason=row.opened_reason,
                segments=row.segments,
                samples=row.samples,
                gap_samples=row.gap_samples,
                closed_seq=row.closed_seq,
                closed_reason=row.closed_reason,
            )
            for row in self._rows(query)
        ]

    def device_of(self, encounter: str) -> str | None:
        """Which device recorded an encounter."""
        table = schema.encounters
        query = sa.select(table.c.device).where(table.c.encounter == encounter)
        for row in self._rows(query):
            return str(row.device)
        return None

    def encounter_known(self, device: str, encounter: str) -> bool:
        """Whether the device ever opened this encounter."""
        table = schema.encounters
        query = sa.select(table.c.opened_seq).where(
            table.c.device == device, table.c.encounter == encounter
        )
        return any(True for _ in self._rows(query))

    def read_records(self, device: str, page: int = 64, after: int = 0) -> Iterator[StoredRecord]:
        """A device's records behind number ``after`` in order, a page at a time."""
        records, payloads = schema.records, schema.payloads
        while True:
            query = (
                sa.select(records, payloads.c.sealed)
                .select_from(
                    records.outerjoin(
                        payloads,
                        sa.and_(
                            payloads.c.device == records.c.device, payloads.c.seq == records.c.seq
                        ),
                    )
                )
                .where(records.c.device == device, records.c.seq > after)
                .order_by(records.c.seq)
                .limit(page)
            )
            rows = self._rows(query)
            if not rows:
                return
            yield from (_stored(row) for row in rows)
            after = rows[-1].seq

    def refusals(self, device: str | None = None) -> list[RefusalCount]:
        """What was refused, oldest first."""
        table = schema.refusals
        query = sa.select(table).order_by(table.c.first_ns)
        if device is not None:
            query = query.where(table.c.device == device)
        return [
            RefusalCount(
                Refusal(
                    row.device,
                    row.seq,
                    row.reason,
                    row.detail,
                    row.encounter,
                    bytes(row.header_sha256),
                ),
                row.times,
                row.first_ns,
                row.last_ns,
            )
            for row in self._rows(query)
        ]

    # -- inside

    def _rows(self, query: sa.Select[tuple[object, ...]]) -> Sequence[sa.Row[tuple[object, ...]]]:
        try:
            with self._engine.connect() as connection:
                return connection.execute(query).all()
        except SQLAlchemyError as error:
            raise storage_error(error) from None

    def _insert_once(self, table: sa.Table, row: dict[str, object]) -> None:
        """Insert a row unless its key exists; portable, and safe against a race."""
        where = sa.and_(*(column == row[column.name] for column in table.primary_key))
        try:
            with self._engine.begin() as connection:
                if connection.execute(sa.select(sa.literal(1)).where(where)).first() is None:
                    connection.execute(sa.insert(table), row)
        except DuplicateRow:
            return
        except SQLAlchemyError as error:
            raise storage_error(error) from None


def _record_row(device: str, record: StoredRecord) -> dict[str, object]:
    return {
        "device": device,
        "seq": record.seq,
        "chain": record.chain,
        "kind": record.kind,
        "encounter": record.encounter,
        "header": record.header,
        "signature": record.signature,
        "sealed_sha256": record.sealed_sha256,
        "certificate": record.certificate,
        "received_ns": record.received_ns,
    }


def _stored(row: sa.Row[tuple[object, ...]]) -> StoredRecord:
    return StoredRecord(
        seq=row.seq,
        chain=bytes(row.chain),
        kind=row.kind,
        encounter=row.encounter,
        header=bytes(row.header),
        signature=bytes(row.signature),
        sealed_sha256=bytes(row.sealed_sha256),
        certificate=bytes(row.certificate),
        received_ns=row.received_ns,
        sealed=None if row.sealed is None else bytes(row.sealed),
    )


def _put_encounter(connection: sa.Connection, batch: Batch, state: EncounterState) -> None:
    table = schema.encounters
    values = {
        "bay": state.bay,
        "opened_seq": state.opened_seq,
        "opened_reason": state.opened_reason,
        "closed_seq": state.closed_seq,
        "closed_reason": state.closed_reason,
        "segments": state.segments,
        "samples": state.samples,
        "gap_samples": state.gap_samples,
    }
    if state.opened_seq > batch.before:
        row = values | {"device": batch.device, "encounter": state.encounter}
        connection.execute(sa.insert(table), row)
        return
    connection.execute(
        sa.update(table)
        .where(table.c.device == batch.device, table.c.encounter == state.encounter)
        .values(values)
    )

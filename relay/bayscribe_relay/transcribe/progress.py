"""How far each recording is transcribed, who is at it, and the zone at its end.

A relay works on a recording while it holds its lease. Correctness does not hang on clocks:
utterances are written in the transaction that moves ``done_seq`` by compare-and-swap, so of
two relays that believe they hold a lease, one writes.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from bayscribe_relay.clinical.speech import Utterance
from bayscribe_relay.clinical.store import ClinicalStore, insert_new
from bayscribe_relay.store.database import make_tables, storage_error
from bayscribe_relay.transcribe import zone as zones
from bayscribe_relay.transcribe.zone import Zone

metadata: Final = sa.MetaData()

transcripts: Final = sa.Table(
    "transcripts",
    metadata,
    sa.Column("recording", sa.String(32), primary_key=True),
    sa.Column("device", sa.String(64), nullable=False, index=True),
    sa.Column("done_seq", sa.BigInteger, nullable=False),
    sa.Column("zone", sa.LargeBinary, nullable=False),
    sa.Column("model_sha256", sa.String(64), nullable=False),
    sa.Column("lease_owner", sa.String(36), nullable=False),
    sa.Column("lease_until_ns", sa.BigInteger, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Held:
    """A recording that this relay works on."""

    recording: str
    done_seq: int
    zone: bytes


class Progress:
    """Statements on ``transcripts``. Every method may be called from any thread.

    Args:
        store: whose database it is.
        owner: this process, 36 characters at most.
        lease_s: how long a lease lasts.

    Raises:
        StorageError: from every method, when the database fails.
    """

    def __init__(self, store: ClinicalStore, owner: str, lease_s: float) -> None:
        self._store = store
        self._owner = owner
        self._lease_ns = int(lease_s * 1e9)
        try:
            make_tables(store.engine, metadata)
        except SQLAlchemyError as error:
            raise storage_error(error) from None

    def take(self, recording: str, device: str, opened_seq: int) -> Held | None:
        """Take or renew a recording's lease; None while another relay holds it."""
        c, now = transcripts.c, time.time_ns()
        row = {
            "recording": recording,
            "device": device,
            "done_seq": opened_seq - 1,
            "zone": b"",
            "model_sha256": "",
            "lease_owner": "",
            "lease_until_ns": 0,
        }
        with self._store.transaction() as link:
            insert_new(link, transcripts, row)
            free = sa.or_(c.lease_owner == self._owner, c.lease_until_ns < now)
            taken = link.execute(
                sa.update(transcripts)
                .where(c.recording == recording, free)
                .values(lease_owner=self._owner, lease_until_ns=now + self._lease_ns)
            )
            if taken.rowcount != 1:
                return None
            query = sa.select(c.done_seq, c.zone).where(c.recording == recording)
            found = link.execute(query).one()
        return Held(recording, found.done_seq, bytes(found.zone))

    def renew(self, recordings: Sequence[str]) -> None:
        """Keep leases while their recordings are being worked on."""
        c = transcripts.c
        with self._store.transaction() as link:
            link.execute(
                sa.update(transcripts)
                .where(c.recording.in_(recordings), c.lease_owner == self._owner)
                .values(lease_until_ns=time.time_ns() + self._lease_ns)
            )

    def commit(
        self, held: Held, seq: int, zone: Zone, model: str, utterances: Sequence[Utterance]
    ) -> bool:
        """Write what a record gave and that it is done.

        Returns:
            False if another relay has moved on with the recording; then nothing is written.
        """
        c = transcripts.c
        values = {
            "done_seq": seq,
            "zone": zones.encode(zone),
            "model_sha256": model,
            "lease_until_ns": time.time_ns() + self._lease_ns,
        }
        where = (
            c.recording == held.recording,
            c.lease_owner == self._owner,
            c.done_seq == held.done_seq,
        )
        with self._store.transaction() as link:
            if link.execute(sa.update(transcripts).where(*where).values(values)).rowcount != 1:
                return False
            for utterance in utterances:
                self._store.put_utterance(utterance, link)
        return True

    def release(self) -> None:
        """Give all leases back, so that another relay may go on at once."""
        with self._store.transaction() as link:
            link.execute(
                sa.update(transcripts)
                .where(transcripts.c.lease_owner == self._owner)
                .values(lease_owner="", lease_until_ns=0)
            )

    def done(self, device: str) -> dict[str, int]:
        """Last finished record of each of a device's recordings."""
        c = transcripts.c
        query = sa.select(c.recording, c.done_seq).where(c.device == device)
        try:
            with self._store.engine.connect() as link:
                return {row.recording: row.done_seq for row in link.execute(query)}
        except SQLAlchemyError as error:
            raise storage_error(error) from None

    def counts(self, recording: str) -> dict[str, int]:
        """What was dropped of a recording, by reason."""
        query = sa.select(transcripts.c.zone).where(transcripts.c.recording == recording)
        try:
            with self._store.engine.connect() as link:
                found = link.execute(query).scalar()
        except SQLAlchemyError as error:
            raise storage_error(error) from None
        return zones.decode(bytes(found)).counts if found else {}

"""The erasing transactions: what goes and its signed proof become durable together."""

import time
from collections import defaultdict
from dataclasses import dataclass, field

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from bayscribe.errors import BadUse
from bayscribe_relay.attest import tables as attest_tables
from bayscribe_relay.clinical import audit
from bayscribe_relay.clinical.store import ClinicalStore
from bayscribe_relay.custody.config import Signer
from bayscribe_relay.encounters.desk import STAYS_LOCK
from bayscribe_relay.retention import policy, words
from bayscribe_relay.retention import tables as retention_tables
from bayscribe_relay.retention.config import RetentionConfig
from bayscribe_relay.retention.policy import Ground
from bayscribe_relay.store import schema
from bayscribe_relay.store.database import make_tables, storage_error
from bayscribe_relay.writeback import tables as letter_tables
from bayscribe_verify import manifest, rows

ACTOR = "retention"
_JSON = msgspec.json.Encoder()


@dataclass(slots=True)
class Done:
    """What a run deleted, or would delete.

    Attributes:
        recordings: recordings whose audio went.
        segments: sealed segments in them.
        transcripts: stays, or recordings of no stay, whose words went.
        utterances: rows in them.
        kept_in_log: SQLite still held old pages in its log, since somebody was reading.
    """

    recordings: int = 0
    segments: int = 0
    transcripts: int = 0
    utterances: int = 0
    kept_in_log: bool = field(default=False)


@dataclass(frozen=True, slots=True)
class Retention:
    """Deletes by policy, and keeps what is on hold.

    Attributes:
        clinical: a handle on the relay's database.
        signer: signs the proofs.
        config: the policy.
    """

    clinical: ClinicalStore
    signer: Signer
    config: RetentionConfig

    def __post_init__(self) -> None:
        for each in (attest_tables, retention_tables, letter_tables):
            make_tables(self.clinical.engine, each.metadata)

    def run(self, now_ns: int | None = None, *, dry: bool = False) -> Done:
        """Delete what is due now.

        One transaction for each recording and each transcript: after a crash everything is
        either whole, or gone with its proof. Two relays that run at once share the work.

        Raises:
            StorageError: the database failed; what was deleted so far is proven.
        """
        now = time.time_ns() if now_ns is None else now_ns
        done = Done()
        try:
            with self.clinical.engine.connect() as link:
                recordings = policy.recordings_with_audio(link)
                transcripts = policy.transcripts(link)
            for device, recording in recordings:
                self._audio(device, recording, now, done, dry=dry)
            for stay, recording in transcripts:
                self._words(stay, recording, now, done, dry=dry)
            if (done.recordings or done.transcripts) and not dry:
                done.kept_in_log = not self._empty_log()
        except SQLAlchemyError as error:
            raise storage_error(error) from None
        return done

    # -- audio

    def _audio(self, device: str, recording: str, now: int, done: Done, *, dry: bool) -> None:
        r, p = schema.records.c, schema.payloads.c
        mine = sa.select(r.seq).where(r.device == device, r.encounter == recording)
        which = (p.device == device) & p.seq.in_(mine)
        with self.clinical.engine.connect() as link:
            if not policy.audio_grounds(link, device, recording, self.config, now):
                return
            count = sa.select(sa.func.count()).select_from(schema.payloads).where(which)
            gone = link.execute(count).scalar_one()
        if not dry:
            with self.clinical.transaction() as link:
                alone(link)
                # Looked at again: a hold, a note or a binding may have come meanwhile.
                grounds = policy.audio_grounds(link, device, recording, self.config, now)
                gone = self._erase_audio(link, which, grounds, now) if grounds else 0
        if gone:
            done.recordings += 1
            done.segments += gone

    def _erase_audio(
        self,
        link: sa.Connection,
        which: sa.ColumnElement[bool],
        grounds: tuple[Ground, ...],
        now: int,
    ) -> int:
        r, p = schema.records.c, schema.payloads.c
        same = (p.device == r.device) & (p.seq == r.seq)
        query = sa.select(r.device, r.seq, r.sealed_sha256).join(schema.payloads, same)
        payloads = tuple(
            (row.device, row.seq, bytes(row.sealed_sha256).hex())
            for row in link.execute(query.where(which).order_by(r.seq))
        )
        if payloads:
            link.execute(sa.delete(schema.payloads).where(which))
            for one in grounds:
                self._prove(link, one, now, payloads=payloads)
        return len(payloads)

    # -- words

    def _words(self, stay: str, recording: str, now: int, done: Done, *, dry: bool) -> None:
        with self.clinical.engine.connect() as link:
            if policy.words_ground(link, stay, recording, self.config, now) is None:
                return
            left = words.find(link, stay, recording)
        if left and not dry:
            with self.clinical.transaction() as link:
                alone(link)
                ground = policy.words_ground(link, stay, recording, self.config, now)
                left = words.find(link, stay, recording) if ground is not None else words.NONE
                if left and ground is not None:
                    words.erase(link, left)
                    self._prove(link, ground, now, utterances=left.hashes())
        if left:
            done.transcripts += 1
            done.utterances += len(left.spoken)

    # -- proof

    def _prove(
        self,
        link: sa.Connection,
        ground: Ground,
        now: int,
        payloads: tuple[tuple[str, int, str], ...] = (),
        utterances: tuple[tuple[str, str], ...] = (),
    ) -> None:
        body = _JSON.encode(
            rows.Deletion(
                stay=ground.stay,
                at_ns=now,
                policy=ground.policy,
                payloads=payloads,
                utterances=utterances,
                letters=ground.letters,
            )
        )
        link.execute(
            sa.insert(retention_tables.deletions).values(
                stay=ground.stay,
                at_ns=now,
                body=body,
                signature=self.signer.sign(manifest.DELETION, body),
                certificate=self.signer.der,
            )
        )
        detail = f"{len(payloads)} segments, {len(utterances)} utterances: {ground.policy}"
        audit.record(self.clinical, ACTOR, "deleted", ground.stay, detail, link)

    def _empty_log(self) -> bool:
        """Take SQLite's old pages out of its write-ahead log; False if a reader keeps them."""
        if self.clinical.engine.dialect.name != "sqlite":
            return True
        with self.clinical.engine.connect() as link:
            row = link.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()
        return int(row[0]) == 0

    # -- holds

    def hold(self, stay: str, actor: str, reason: str) -> None:
        """Keep everything of a stay until it is released.

        Raises:
            BadUse: there is no such stay, or no reason.
        """
        if not reason.strip():
            raise BadUse("a hold needs a reason", "say why, without anything of the patient")
        h = retention_tables.holds
        with self.clinical.transaction() as link:
            alone(link)
            if self.clinical.stay(stay, link) is None:
                raise BadUse(f"no stay {stay}", "give a stay's id", code="encounter")
            link.execute(sa.delete(h).where(h.c.stay == stay))
            link.execute(
                sa.insert(h).values(
                    stay=stay, since_ns=time.time_ns(), actor=actor, reason=reason[:200]
                )
            )
            audit.record(self.clinical, actor, "held", stay, "", link)

    def release(self, stay: str, actor: str) -> None:
        """Let the policy take a stay again.

        Raises:
            BadUse: it was not on hold.
        """
        h = retention_tables.holds
        with self.clinical.transaction() as link:
            alone(link)
            if link.execute(sa.delete(h).where(h.c.stay == stay)).rowcount == 0:
                raise BadUse(f"{stay} is not on hold", code="hold")
            audit.record(self.clinical, actor, "released", stay, "", link)

    def held(self) -> list[tuple[str, int, str, str]]:
        """Stay, since when (ns), by whom and why, oldest first."""
        h = retention_tables.holds.c
        query = sa.select(h.stay, h.since_ns, h.actor, h.reason).order_by(h.since_ns)
        with self.clinical.engine.connect() as link:
            return [(r.stay, r.since_ns, r.actor, r.reason) for r in link.execute(query)]

    def deletions(self) -> dict[str, int]:
        """How many proofs each stay has; the empty id is of recordings of no stay."""
        d = retention_tables.deletions.c
        found: dict[str, int] = defaultdict(int)
        with self.clinical.engine.connect() as link:
            for stay in link.execute(sa.select(d.stay)).scalars():
                found[stay] += 1
        return dict(found)


def alone(link: sa.Connection) -> None:
    """Let no hold, no change of a stay and no other relay's run come between look and deed."""
    if link.dialect.name == "sqlite":
        link.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        link.execute(sa.select(sa.func.pg_advisory_xact_lock(STAYS_LOCK)))

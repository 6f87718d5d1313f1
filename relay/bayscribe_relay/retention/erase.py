"""The erasing transactions: what goes and its signed proof become durable together."""

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from bayscribe.errors import BadUse
from bayscribe_relay.attest import tables as attest_tables
from bayscribe_relay.clinical import audit, tables
from bayscribe_relay.clinical.drafts import Draft
from bayscribe_relay.clinical.prompts import PromptCard
from bayscribe_relay.clinical.speech import Utterance
from bayscribe_relay.clinical.store import ClinicalStore
from bayscribe_relay.custody.config import Signer
from bayscribe_relay.retention import policy
from bayscribe_relay.retention import tables as retention_tables
from bayscribe_relay.retention.config import RetentionConfig
from bayscribe_relay.retention.policy import Ground, Recording
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
                recordings = list(policy.due_recordings(link, self.config, now))
                transcripts = list(policy.due_transcripts(link, self.config, now))
            for one in recordings:
                self._audio(one, now, done, dry=dry)
            for ground, recording in transcripts:
                self._words(ground, recording, now, done, dry=dry)
            if (done.recordings or done.transcripts) and not dry:
                done.kept_in_log = not self._empty_log()
        except SQLAlchemyError as error:
            raise storage_error(error) from None
        return done

    # -- audio

    def _audio(self, one: Recording, now: int, done: Done, *, dry: bool) -> None:
        r, p = schema.records.c, schema.payloads.c
        mine = sa.select(r.seq).where(r.device == one.device, r.encounter == one.recording)
        which = (p.device == one.device) & p.seq.in_(mine)
        with self.clinical.transaction() as link:
            if dry:
                count = sa.select(sa.func.count()).select_from(schema.payloads).where(which)
                gone = link.execute(count).scalar_one()
            else:
                _overwrite(link)
                if not self._still(link, one.grounds, "audio", now):
                    return
                erased = sa.delete(schema.payloads).where(which).returning(p.seq)
                seqs = set(link.execute(erased).scalars())
                gone = len(seqs)
                if not gone:
                    return
                payloads = self._hashes(link, one, seqs)
                for ground in one.grounds:
                    self._prove(link, ground, now, payloads=payloads)
        done.recordings += 1
        done.segments += gone

    @staticmethod
    def _hashes(
        link: sa.Connection, one: Recording, seqs: set[int]
    ) -> tuple[tuple[str, int, str], ...]:
        r = schema.records.c
        query = sa.select(r.seq, r.sealed_sha256).where(
            r.device == one.device, r.encounter == one.recording
        )
        return tuple(
            (one.device, row.seq, bytes(row.sealed_sha256).hex())
            for row in link.execute(query.order_by(r.seq))
            if row.seq in seqs
        )

    # -- words

    def _words(self, ground: Ground, recording: str, now: int, done: Done, *, dry: bool) -> None:
        u = tables.utterances.c
        query = sa.select(u.id, u.body).where(u.stay == ground.stay)
        if not ground.stay:
            query = query.where(u.recording == recording)
        with self.clinical.transaction() as link:
            _overwrite(link)
            if ground.stay and not self._still(link, (ground,), "transcript", now):
                return
            found = [msgspec.json.decode(r.body, type=Utterance) for r in link.execute(query)]
            spoken = [one for one in found if one.words]
            if not spoken:
                return
            done.transcripts += 1
            done.utterances += len(spoken)
            if dry:
                return
            for one in spoken:
                body = _JSON.encode(msgspec.structs.replace(one, words=()))
                link.execute(sa.update(tables.utterances).where(u.id == one.id).values(body=body))
            if ground.stay:
                _erase_prompts(link, ground.stay)
                _erase_drafts(link, ground.stay)
            hashes = tuple((one.id, rows.text_sha256(one.text)) for one in spoken)
            self._prove(link, ground, now, utterances=hashes)

    # -- proof

    def _still(self, link: sa.Connection, grounds: Sequence[Ground], what: str, now: int) -> bool:
        """Whether no hold and no new note came since it was found due."""
        return all(
            policy.ground(link, one.stay, what, self.config, now) == one
            for one in grounds
            if one.stay
        )

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


def _overwrite(link: sa.Connection) -> None:
    """SQLite: what is freed is overwritten with zeros, not only unlinked."""
    if link.dialect.name == "sqlite":
        link.exec_driver_sql("PRAGMA secure_delete = ON")


def _erase_prompts(link: sa.Connection, stay: str) -> None:
    """The words that led to a prompt, and a clinician's own words in answer to it."""
    p = tables.prompts.c
    for row in link.execute(sa.select(p.id, p.body).where(p.stay == stay)).all():
        card = msgspec.json.decode(row.body, type=PromptCard)
        own = card.answered_by == "click"
        bare = msgspec.structs.replace(card, explanation=(), answer="" if own else card.answer)
        if bare != card:
            link.execute(
                sa.update(tables.prompts).where(p.id == row.id).values(body=_JSON.encode(bare))
            )


def _erase_drafts(link: sa.Connection, stay: str) -> None:
    """Every revision but the signed one: that is the note, which stays for good."""
    d = tables.drafts.c
    query = sa.select(d.revision, d.body).where(d.stay == stay)
    for row in link.execute(query).all():
        draft = msgspec.json.decode(row.body, type=Draft)
        keep = draft.sections if draft.signed_key else ()
        bare = msgspec.structs.replace(draft, sections=keep, dropped=())
        if bare != draft:
            link.execute(
                sa.update(tables.drafts)
                .where(d.stay == stay, d.revision == row.revision)
                .values(body=_JSON.encode(bare))
            )

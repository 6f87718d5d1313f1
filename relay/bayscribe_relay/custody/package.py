"""Writing the package: the same records give the same bytes."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import sqlalchemy as sa

from bayscribe import __version__
from bayscribe.errors import IntegrityError
from bayscribe.wire.seal import OpeningKey
from bayscribe_relay.attest import tables as attest_tables
from bayscribe_relay.clinical import tables
from bayscribe_relay.clinical.speech import Utterance
from bayscribe_relay.clinical.store import ClinicalStore
from bayscribe_relay.custody.config import Signer
from bayscribe_relay.custody.recorded import AudioChoice, Recorded
from bayscribe_relay.custody.subject import Subject, find
from bayscribe_relay.retention import tables as retention_tables
from bayscribe_relay.store import schema
from bayscribe_relay.store.database import make_tables, storage_error
from bayscribe_relay.writeback import tables as letter_tables
from bayscribe_verify import container, manifest, rows
from bayscribe_verify.recordings import model_digests, stated_faults, weight_sets


@dataclass(frozen=True, slots=True, kw_only=True)
class Custody:
    """Makes packages.

    Attributes:
        clinical: any handle on the relay's database.
        signer: the custody key.
        device_ca: PEM of the devices' authorities.
        opening: keys that open sealed audio; needed for PCM alone.
    """

    clinical: ClinicalStore
    signer: Signer
    device_ca: bytes
    opening: Sequence[OpeningKey] = ()

    def package(self, encounter: str, audio: AudioChoice = "none") -> tuple[str, bytes]:
        """The package of one encounter.

        Args:
            encounter: our stay's id, the EMR's visit number, or a recording's id.
            audio: with sealed audio, with PCM (16-bit little-endian mono), or without.

        Returns:
            the stay's id (or what was asked for, without a stay) and the package.

        Raises:
            BadUse: no such encounter.
            IntegrityError: audio does not verify, or the package would pass 4 GiB.
            StorageError: the database failed.
        """
        engine = self.clinical.engine
        try:
            for each in (attest_tables, retention_tables, letter_tables):
                make_tables(engine, each.metadata)
            with engine.connect() as link:
                _freeze(link)
                subject = find(link, encounter)
                files = self._files(link, subject, audio)
        except sa.exc.SQLAlchemyError as error:
            raise storage_error(error) from None
        return subject.name, self._seal(subject.name, files)

    def _files(self, link: sa.Connection, subject: Subject, audio: AudioChoice) -> dict[str, bytes]:
        recorded = Recorded(link, _lines, audio, self.opening)
        recorded.read(subject)
        headers = [h for one in recorded.headers.values() for h in one]
        stay = subject.stay.id if subject.stay is not None else ""
        reader = _Reader(link, stay, subject)
        return {
            **recorded.files,
            **reader.letters(),
            "ca.pem": self.device_ca,
            "faults.jsonl": _lines(stated_faults(headers)),
            "weights.json": msgspec.json.encode({"sets": weight_sets(headers)}),
            "models.json": reader.models(model_digests(headers)),
            "utterances.jsonl": reader.utterances(recorded),
            "stay.json": msgspec.json.encode(subject.stay),
            "events.jsonl": reader.bodies(tables.events, tables.events.c.n),
            "prompts.jsonl": reader.prompts(),
            "drafts.jsonl": reader.drafts(),
            "signatures.jsonl": reader.signatures(),
            "refusals.jsonl": reader.refusals(),
            "audit.jsonl": reader.audit(),
            "deletions.jsonl": reader.deletions(),
        }

    def _seal(self, subject: str, files: dict[str, bytes]) -> bytes:
        files[manifest.SIGNER] = self.signer.der
        made = manifest.make(subject, __version__, files)
        head = {
            manifest.MANIFEST: made,
            manifest.SIGNATURE: self.signer.sign(manifest.PACKAGE, made),
        }
        return container.pack(head | dict(sorted(files.items())))


class _Reader:
    """The clinical side and the way into the chart."""

    def __init__(self, link: sa.Connection, stay: str, subject: Subject) -> None:
        self._link = link
        self._stay = stay
        self._subject = subject
        self._recognisers: set[str] = set()

    def bodies(self, table: sa.Table, order: sa.Column[object]) -> bytes:
        """Rows of a table as they are stored; without a stay none, for none are its own."""
        if not self._stay:
            return b""
        query = sa.select(table.c.body).where(table.c.stay == self._stay).order_by(order)
        return b"".join(bytes(row.body) + b"\n" for row in self._link.execute(query))

    def utterances(self, recorded: Recorded) -> bytes:
        """Utterances with the segments that hold them."""
        u = tables.utterances.c
        query = sa.select(u.body).where(self._spoken()).order_by(u.start_ns, u.id)
        erased = self._erased()
        found = []
        for row in self._link.execute(query):
            one = msgspec.json.decode(row.body, type=Utterance)
            found.append(_utterance(one, recorded, erased.get(one.id)))
        return _lines(found)

    def _spoken(self) -> sa.ColumnElement[bool]:
        """The stay's utterances; without a stay, those of its recordings that no stay has."""
        u = tables.utterances.c
        if self._stay:
            return u.stay == self._stay
        return (u.stay == "") & u.recording.in_(self._recordings())

    def _recordings(self) -> list[str]:
        return [recording for _, recording, _ in self._subject.recordings]

    def _erased(self) -> dict[str, str]:
        return {
            ident: digest
            for proof in self._proofs()
            for ident, digest in msgspec.json.decode(proof.body, type=rows.Deletion).utterances
        }

    def models(self, appliances: list[str]) -> bytes:
        """Digests of everything that listened."""
        u = tables.utterances.c
        query = sa.select(u.body).where(self._spoken())
        used = {
            msgspec.json.decode(row.body, type=Utterance).model_sha256
            for row in self._link.execute(query)
        }
        found = {"appliances": appliances, "recognisers": sorted(used - {""})}
        return msgspec.json.encode(found)

    def prompts(self) -> bytes:
        """Prompts with what the appliances said of them."""
        o = schema.prompt_outcomes.c
        stated = self.bodies(tables.prompts, tables.prompts.c.fired_ns)
        query = sa.select(o.device, o.prompt, o.outcome, o.reason, o.wall_ns).order_by(o.id)
        mine = f"{self._stay}-" if self._stay else "\x00"
        played = [
            dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it
            for row in self._link.execute(query.where(o.prompt.startswith(mine, autoescape=True)))
        ]
        return stated + _lines(played)

    def drafts(self) -> bytes:
        """Every revision of the draft, by its hash."""
        d = tables.drafts.c
        query = sa.select(d.revision, d.body).where(d.stay == self._stay).order_by(d.revision)
        return _lines(
            [
                rows.Draft(
                    revision=row.revision,
                    sha256=hashlib.sha256(bytes(row.body)).hexdigest(),
                    signed_key=msgspec.json.decode(row.body)["signed_key"],
                )
                for row in self._link.execute(query)
            ]
        )

    def signatures(self) -> bytes:
        """The signatures as they were kept."""
        table = attest_tables.signatures
        return self.bodies(table, table.c.n)

    def letters(self) -> dict[str, bytes]:
        """Each note, its Bundle as sent, the gateway's answer, and its way."""
        ltr, n = letter_tables.letters.c, letter_tables.signed_notes.c
        files: dict[str, bytes] = {}
        found = []
        for key in self._subject.letters:
            row = self._link.execute(sa.select(letter_tables.letters).where(ltr.key == key)).one()
            note = self._link.execute(sa.select(n.note).where(n.key == key)).scalar_one()
            files[f"letters/{key}/note.json"] = bytes(note)
            files[f"letters/{key}/bundle.json"] = bytes(row.bundle)
            if row.answer is not None:
                files[f"letters/{key}/answer.json"] = bytes(row.answer)
            found.append(self._letter(row))
        return files | {"letters.jsonl": _lines(found)}

    def _letter(self, row: sa.Row[tuple[object, ...]]) -> rows.Letter:
        e = letter_tables.letter_events.c
        query = sa.select(e.at_ns, e.event, e.state, e.detail).where(e.key == row.key)
        names = set(rows.Letter.__struct_fields__) - {"events"}
        return rows.Letter(
            **{name: getattr(row, name) for name in names},
            events=tuple(
                rows.LetterEvent(at_ns=x.at_ns, event=x.event, state=x.state, detail=x.detail)
                for x in self._link.execute(query.order_by(e.id))
            ),
        )

    def refusals(self) -> bytes:
        """What the relay did not take of these devices' recordings."""
        r = schema.refusals.c
        query = sa.select(schema.refusals).where(r.encounter.in_(self._recordings()))
        found = []
        for row in self._link.execute(query.order_by(r.first_ns, r.device, r.seq)):
            values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it
            found.append(values | {"header_sha256": bytes(row.header_sha256).hex()})
        return _lines(found)

    def audit(self) -> bytes:
        """The encounter's part of the audit log, linked through what lies between."""
        a = tables.audit.c
        ends = sa.select(sa.func.min(a.n), sa.func.max(a.n)).where(a.stay == self._stay)
        first, last = self._link.execute(ends).one()
        if not self._stay or first is None:
            return b""
        query = sa.select(tables.audit).where(a.n.between(first, last)).order_by(a.n)
        found = []
        for row in self._link.execute(query):
            mine = row.stay == self._stay
            names = rows.Audit.__struct_fields__ if mine else ("n", "previous", "digest")
            values = {name: getattr(row, name) for name in names if name != "mine"}
            values |= {name: bytes(values[name]) for name in ("previous", "digest")}
            found.append(rows.Audit(**values, mine=mine))
        return _lines(found)

    def deletions(self) -> bytes:
        """Signed proofs of what was deleted."""
        return _lines(self._proofs())

    def _proofs(self) -> list[rows.Proof]:
        d = retention_tables.deletions.c
        devices = {device for device, _, _ in self._subject.recordings}
        mine = tuple(f"{recording}/" for recording in self._recordings())
        query = sa.select(retention_tables.deletions).order_by(d.n)
        if self._stay:
            query = query.where(d.stay == self._stay)
        found = []
        for row in self._link.execute(query):
            body = msgspec.json.decode(row.body, type=rows.Deletion)
            heard = devices & {device for device, _, _ in body.payloads}
            said = any(ident.startswith(mine) for ident, _ in body.utterances)
            if self._stay or heard or said:
                found.append(
                    rows.Proof(
                        body=bytes(row.body),
                        signature=bytes(row.signature),
                        certificate=bytes(row.certificate),
                    )
                )
        return found


def _freeze(link: sa.Connection) -> None:
    """One state of the database for all that is read: a package is not half of a change."""
    if link.dialect.name == "postgresql":
        link.execution_options(isolation_level="REPEATABLE READ")
    else:
        # Python's sqlite3 begins no transaction for SELECT by itself.
        link.exec_driver_sql("BEGIN")


def _utterance(one: Utterance, recorded: Recorded, erased: str | None) -> rows.Utterance:
    names = set(rows.Utterance.__struct_fields__) - {"text", "text_sha256", "pcm_sha256"}
    if one.last_seq < one.first_seq:
        raise IntegrityError(f"utterance {one.id} leads to no record", code="utterance")
    return rows.Utterance(
        **{name: getattr(one, name) for name in names},
        text=one.text,
        text_sha256=erased if erased and not one.words else rows.text_sha256(one.text),
        pcm_sha256=tuple(
            h.pcm_sha256.hex()
            for h in recorded.segments(one.recording)
            if one.first_seq <= h.seq <= one.last_seq
        ),
    )


def _lines(found: Sequence[object]) -> bytes:
    """JSON Lines."""
    return b"".join(msgspec.json.encode(one) + b"\n" for one in found)

"""Sign & Close: the signature and the letter, in one transaction."""

import asyncio
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
import sqlalchemy as sa
from msgspec.structs import replace
from uuid_utils.compat import uuid7

from bayscribe.errors import BadUse
from bayscribe_relay.attest import addition, evidence, tables
from bayscribe_relay.attest.clock import clock_state
from bayscribe_relay.attest.rendering import MediaType, Rendered, moment, render
from bayscribe_relay.clinical import audit
from bayscribe_relay.clinical.drafts import Draft, Section, Sentence
from bayscribe_relay.clinical.stays import Clinician, Stay
from bayscribe_relay.clinical.store import ClinicalStore, insert_new
from bayscribe_relay.store.database import make_tables
from bayscribe_relay.writeback import note
from bayscribe_relay.writeback import tables as letter_tables
from bayscribe_relay.writeback.bundle import make_bundle
from bayscribe_relay.writeback.letters import Letter, Signed, insert_all
from bayscribe_relay.writeback.validation import check_bundle
from bayscribe_verify.rows import Signature


@dataclass(frozen=True, slots=True)
class Signing:
    """Renders and signs notes.

    Attributes:
        store: the clinical tables, in the database of the outbox.
        media_type: the form that is signed and sent.
        recognisers: name and version of speech models, by digest.
        hl7_only: sites written to by HL7 v2 alone: their notes need no ids of a FHIR server.
    """

    store: ClinicalStore
    media_type: MediaType = "text/plain"
    recognisers: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    hl7_only: Collection[str] = ()

    def __post_init__(self) -> None:
        for each in (tables, letter_tables):
            make_tables(self.store.engine, each.metadata)

    def preview(self, stay: str, clinician: Clinician) -> Rendered:
        """The note as it would be signed now.

        Raises:
            BadUse: ``npi``, ``no-draft``, ``no-audio``, ``evidence``, ``signed``, ``stay``,
                ``identity``.
        """
        _check_npi(clinician)
        found, draft = self._open(stay)
        with self.store.engine.connect() as link:
            evidence.audio(link, self.store, stay)
        return self._render(found, draft, clinician)

    async def sign(self, stay: str, clinician: Clinician, revision: int, sha256: str) -> Letter:
        """Sign exactly what was previewed; the letter is in the outbox when this returns.

        Args:
            stay: whose note.
            clinician: who signs.
            revision: of the draft that was previewed.
            sha256: of the note as previewed.

        Raises:
            BadUse: as :meth:`preview`; ``revision``: the draft, the record, the patient or the
                author is no longer what was previewed; ``undecided``: a suggestion is open.
            StorageError: nothing is signed.
        """
        return await asyncio.to_thread(self.sign_now, stay, clinician, revision, sha256)

    def sign_now(self, stay: str, clinician: Clinician, revision: int, sha256: str) -> Letter:
        """As :meth:`sign`, in this thread."""
        _check_npi(clinician)
        found, draft = self._open(stay)
        if draft.revision != revision:
            raise _changed()
        rendered = self._render(found, draft, clinician)
        if rendered.sha256 != sha256:
            raise _changed()
        decided = _decided(draft)
        key = str(uuid7())
        final = replace(decided, revision=draft.revision + 1, signed_key=key)
        with self.store.transaction() as link:
            self.store.put_draft(final, link)
            return self._enqueue(link, found, clinician, final, rendered, 0, "")

    def addenda(self, stay: str) -> list[Signature]:
        """A stay's signed addenda, the first one first."""
        s = tables.signatures.c
        query = sa.select(s.body).where(s.stay == stay, s.n > 0).order_by(s.n)
        with self.store.engine.connect() as link:
            return [msgspec.json.decode(row.body, type=Signature) for row in link.execute(query)]

    def signed_note(self, stay: str) -> addition.SignedNote:
        """The signed note of a stay, which its addenda belong to.

        Raises:
            BadUse: ``unsigned``, ``stay``.
        """
        _, first = self._signed(stay)
        with self.store.engine.connect() as link:
            return addition.signed_note(link, first.signed_key)

    def preview_addendum(
        self, stay: str, clinician: Clinician, text: str, number: int | None = None
    ) -> Rendered:
        """An addendum as it would be signed now; arguments and errors as :meth:`addendum`."""
        _check_npi(clinician)
        found, first = self._signed(stay)
        _check_words(text)
        with self.store.engine.connect() as link:
            evidence.audio(link, self.store, stay)
            who, charted = found.patient, self._charted(found)
            goes_into = (found.site, charted[0], who.mrn, charted[1], found.visit_number)
            addition.check_same_chart(link, first.signed_key, goes_into)
            n = self._next(link, stay, number)
        return self._render(found, addition.written(first, text.strip(), n), clinician)

    async def addendum(
        self,
        stay: str,
        clinician: Clinician,
        text: str,
        number: int | None = None,
        sha256: str | None = None,
    ) -> Letter:
        """Sign an addendum to a signed note: a letter of its own that names the first.

        Args:
            stay: whose note.
            clinician: who signs.
            text: what is added.
            number: which addendum it is to be, 1 for the first; any if None. What is sent
                twice by mistake is signed once.
            sha256: of the addendum as previewed; any if None.

        Raises:
            BadUse: ``unsigned`` if there is no signed note; ``addendum`` if there are no words;
                ``revision`` if there is an addendum of that number, or none before it, or if
                it is not what was previewed; ``stay`` or ``identity`` if the stay is another
                patient's, visit's or chart's than the note was signed for.
        """
        return await asyncio.to_thread(self.addendum_now, stay, clinician, text, number, sha256)

    def addendum_now(
        self,
        stay: str,
        clinician: Clinician,
        text: str,
        number: int | None = None,
        sha256: str | None = None,
    ) -> Letter:
        """As :meth:`addendum`, in this thread."""
        _check_npi(clinician)
        found, first = self._signed(stay)
        _check_words(text)
        with self.store.transaction() as link:
            n = self._next(link, stay, number)
            written = addition.written(first, text.strip(), n)
            rendered = self._render(found, written, clinician)
            if sha256 is not None and rendered.sha256 != sha256:
                raise _changed("addendum")
            draft = replace(written, signed_key=str(uuid7()))
            return self._enqueue(link, found, clinician, draft, rendered, n, first.signed_key)

    def _signed(self, stay: str) -> tuple[Stay, Draft]:
        """A stay and its signed note."""
        found, first = self.store.stay(stay), self.store.draft(stay)
        if found is None or first is None or not first.signed_key:
            raise BadUse("this note is not signed", "edit the draft", code="unsigned")
        if found.state in ("merged", "cancelled"):
            raise BadUse(
                "this stay was merged or cancelled", "write in the chart by hand", code="stay"
            )
        return found, first

    def _next(self, link: sa.Connection, stay: str, number: int | None) -> int:
        """The number of the next addendum, which must be ``number`` if that is given."""
        s = tables.signatures.c
        n = 1 + int(link.execute(sa.select(sa.func.max(s.n)).where(s.stay == stay)).scalar_one())
        if number is not None and number != n:
            raise BadUse(
                "an addendum was signed meanwhile", "read it, then add yours", code="revision"
            )
        return n

    def _open(self, stay: str) -> tuple[Stay, Draft]:
        found, draft = self.store.stay(stay), self.store.draft(stay)
        if found is None or found.state in ("merged", "cancelled"):
            raise BadUse("there is no such stay to sign for", code="stay")
        if draft is None:
            raise BadUse("there is no draft yet", "wait for it", code="no-draft")
        if draft.signed_key:
            raise BadUse("this note is signed", "write an addendum", code="signed")
        self._charted(found)
        return found, draft

    def _charted(self, stay: Stay) -> tuple[str | None, str | None]:
        """The EMR's ids of patient and encounter; none where the site is written to without.

        Raises:
            BadUse: ``identity``: they are needed and not known.
        """
        if stay.patient.id and stay.fhir_id:
            return stay.patient.id, stay.fhir_id
        if stay.site in self.hl7_only:
            return None, None
        raise BadUse(
            "the EMR's chart of this patient is not known",
            "tell operations: the EMR has to be asked for it by record number",
            code="identity",
        )

    def _render(self, stay: Stay, draft: Draft, clinician: Clinician) -> Rendered:
        sources = evidence.sources_sha256(draft, self.store)
        return render(stay, draft, clinician, sources, self.media_type)

    def _enqueue(
        self,
        link: sa.Connection,
        stay: Stay,
        clinician: Clinician,
        draft: Draft,
        rendered: Rendered,
        n: int,
        relates_to: str,
    ) -> Letter:
        """Signature, letter and audit entry, in the caller's transaction."""
        now, clock = time.time_ns(), clock_state()
        heard = evidence.audio(link, self.store, stay.id)
        made = self._note(stay, clinician, draft, rendered, heard, (now, clock))
        if relates_to:
            made = replace(made, relates_to=relates_to)
            addition.check_same_chart(link, relates_to, addition.chart(made))
        content = msgspec.json.encode(made)
        checked = note.read_note(content)
        bundle = make_bundle(checked)
        check_bundle(bundle)
        kept = Signature(
            key=draft.signed_key,
            stay=stay.id,
            n=n,
            npi=clinician.npi,
            revision=draft.revision,
            note_sha256=rendered.sha256,
            evidence_sha256=rendered.evidence_sha256,
            signed_ns=now,
            clock=clock,
            heard=heard.heard,
            relates_to=relates_to,
        )
        row = {"stay": stay.id, "n": n, "key": kept.key, "body": msgspec.json.encode(kept)}
        if not insert_new(link, tables.signatures, row):
            raise BadUse("this note is signed", "write an addendum", code="signed")
        (letter,) = insert_all(link, [Signed(checked, content, bundle)])
        if isinstance(letter, BadUse):
            raise letter
        action = "signed-addendum" if n else "signed-note"
        audit.record(self.store, f"npi:{clinician.npi}", action, stay.id, kept.key, link)
        return letter

    def _note(
        self,
        stay: Stay,
        clinician: Clinician,
        draft: Draft,
        rendered: Rendered,
        heard: evidence.Audio,
        at: tuple[int, str],
    ) -> note.Note:
        who, charted = stay.patient, self._charted(stay)
        elements = () if draft.title.startswith(addition.TITLE) else _elements(draft)
        return note.Note(
            site=stay.site,
            patient=note.Patient(
                charted[0], who.mrn, who.family, who.given, who.birth_date, who.sex
            ),
            encounter=note.Encounter(charted[1], stay.visit_number, stay.bay or "none"),
            author=note.Author(clinician.npi, clinician.family, clinician.given),
            note=note.Content(draft.type_loinc, draft.title, self.media_type, rendered.content),
            attestation=note.Attestation(
                moment(at[0]), at[1] == "synchronised", rendered.sha256, elements
            ),
            audio=note.Audio(heard.sha256, heard.chain_sha256, heard.devices),
            models=(
                *evidence.models(self.store, stay.id, heard, self.recognisers),
                *evidence.writers(draft),
            ),
            prompts=evidence.prompts(self.store.prompts(stay.id)),
            idempotency_key=draft.signed_key,
        )


def _check_npi(clinician: Clinician) -> None:
    if not note.npi_valid(clinician.npi):
        raise BadUse("the clinician's NPI does not pass its check digit", "correct it", code="npi")


def _check_words(text: str) -> None:
    if not text.strip():
        raise BadUse("the addendum is empty", "write what is to be added", code="addendum")


def _changed(what: str = "note") -> BadUse:
    return BadUse(
        f"the {what} is no longer what was shown", "look at it again, then sign", code="revision"
    )


def _decided(draft: Draft) -> Draft:
    """The draft with what stands in it accepted by the signature.

    Raises:
        BadUse: ``undecided``: a suggestion was neither accepted, modified nor rejected.
    """
    left = [
        s
        for section in draft.sections
        for s in section.sentences
        if s.origin == "suggestion" and s.outcome == "open"
    ]
    if left:
        raise BadUse(
            f"{len(left)} suggestions are not decided",
            "accept, change or reject each of them",
            code="undecided",
        )
    return replace(draft, sections=tuple(map(_accepted, draft.sections)))


def _accepted(section: Section) -> Section:
    sentences: Sequence[Sentence] = [
        replace(s, outcome="accepted") if s.outcome == "open" else s for s in section.sentences
    ]
    return replace(section, sentences=tuple(sentences))


def _elements(draft: Draft) -> tuple[note.Element, ...]:
    """Every element that the software offered, with what the clinician did with it."""
    return tuple(
        note.Element(s.id, s.outcome)
        for section in draft.sections
        for s in section.sentences
        if s.origin != "clinician" and s.outcome != "open"
    )

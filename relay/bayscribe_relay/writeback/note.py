"""The note as it is submitted: one strict JSON object, checked before anything is made of it.

Every refusal is a :class:`~bayscribe.errors.BadUse` of one line that names the path, and
never repeats what stands there: a value may be a patient's.
"""

import hashlib
import re
import uuid
from datetime import UTC, datetime
from typing import Annotated, Final, Literal
from xml.parsers import expat

import msgspec
from msgspec import Meta, Struct
from uuid_utils.compat import uuid7

from bayscribe.errors import BadUse

CONTENT_MAX: Final = 4 * 1024 * 1024
"""Bytes of the rendered note: a long ED note is some 50 kB, a C-CDA with pictures 2 MB."""

FILE_MAX: Final = 3 * CONTENT_MAX
"""Bytes of a whole submission: JSON may escape a byte of the note into several."""

CLOCK_LEAD_S: Final = 300
"""How far ahead of this machine's clock a signature may be dated."""

FhirId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9\-.]{1,64}$")]
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, Meta(min_length=1, max_length=200)]
Text = Annotated[str, Meta(min_length=1, max_length=4_000)]
MediaType = Literal["text/plain", "application/xhtml+xml", "application/cda+xml"]

_NPI_PREFIX: Final = "80840"
"""Issuer prefix under which an NPI is checked (CMS, "Requirements for NPI and NPI check digit")."""


class Patient(Struct, frozen=True, forbid_unknown_fields=True):
    """Who the note is about; ``id`` is the EMR's logical id, null where only HL7 v2 is written."""

    id: FhirId | None
    mrn: Name
    family: Name
    given: Name
    birth_date: Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}$")]
    sex: Literal["male", "female", "other", "unknown"]


class Encounter(Struct, frozen=True, forbid_unknown_fields=True):
    """The stay; ``id`` as the patient's, ``visit_number`` what PV1-19 carries."""

    id: FhirId | None
    visit_number: Name
    bay: Name


class Author(Struct, frozen=True, forbid_unknown_fields=True):
    """The clinician who attested, by National Provider Identifier."""

    npi: Annotated[str, Meta(pattern=r"^[12]\d{9}$")]
    family: Name
    given: Name


class Content(Struct, frozen=True, forbid_unknown_fields=True):
    """The rendered note and what kind of document it is."""

    type_loinc: Annotated[str, Meta(pattern=r"^\d{1,7}-\d$")]
    title: Name
    media_type: MediaType
    content: Annotated[str, Meta(min_length=1)]


class Element(Struct, frozen=True, forbid_unknown_fields=True):
    """One suggested element of the note and what the clinician did with it."""

    id: Name
    outcome: Literal["accepted", "modified", "rejected"]


class Attestation(Struct, frozen=True, forbid_unknown_fields=True):
    """The signature: when, by which clock, over which bytes, with what changes."""

    signed_at: str
    clock_synchronised: bool
    note_sha256: Sha256
    elements: tuple[Element, ...] = ()


class Audio(Struct, frozen=True, forbid_unknown_fields=True):
    """The recording that the note was made from."""

    sha256: Sha256
    chain_sha256: Sha256
    devices: Annotated[tuple[Name, ...], Meta(min_length=1, max_length=64)]


class Model(Struct, frozen=True, forbid_unknown_fields=True):
    """A network that took part."""

    name: Name
    version: Name
    sha256: Sha256


class Prompt(Struct, frozen=True, forbid_unknown_fields=True):
    """A prompt given to the clinician, and what became of it."""

    id: Name
    issued_at: str
    text: Text
    outcome: Literal["answered", "dismissed", "unanswered", "withdrawn"]
    answered_at: str | None = None


class Note(Struct, frozen=True, forbid_unknown_fields=True):
    """One attested note; ``relates_to`` is the key of the note that an addendum appends to."""

    site: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    patient: Patient
    encounter: Encounter
    author: Author
    note: Content
    attestation: Attestation
    audio: Audio
    models: Annotated[tuple[Model, ...], Meta(min_length=1, max_length=64)]
    prompts: Annotated[tuple[Prompt, ...], Meta(max_length=1_000)] = ()
    idempotency_key: str | None = None
    relates_to: str | None = None

    @property
    def sent_sha256(self) -> str:
        """SHA-256 of the content as it is here: what was attested, or was made of it."""
        return hashlib.sha256(self.note.content.encode()).hexdigest()


def read_note(data: bytes) -> Note:
    """Check a submission and give it its idempotency key (UUID v7) if it has none.

    Raises:
        BadUse: ``note-size``, ``note-json``, ``note-field`` (unknown key, missing or
            malformed member), ``npi``, ``attestation``, ``loinc``, ``note-xml``, ``key``.
    """
    if len(data) > FILE_MAX:
        raise BadUse(
            f"the note is {len(data)} bytes, more than {FILE_MAX}",
            "send the note's text or C-CDA alone, without scans or recordings",
            code="note-size",
        )
    try:
        note = msgspec.json.decode(data, type=Note)
    except msgspec.ValidationError as error:
        raise _field_error(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise BadUse("the note is not a JSON object", code="note-json") from None
    _check(note)
    own = str(uuid7())
    if note.idempotency_key is not None:
        own = _key(note.idempotency_key, "idempotency_key")
    first = _key(note.relates_to, "relates_to") if note.relates_to is not None else None
    if own == first:
        raise BadUse("relates_to: a note is no addendum to itself", code="key")
    return msgspec.structs.replace(note, idempotency_key=own, relates_to=first)


def npi_valid(npi: str) -> bool:
    """Whether an NPI's check digit fits: Luhn over ``80840`` and the ten digits."""
    return npi.isascii() and npi.isdigit() and len(npi) == 10 and _luhn(_NPI_PREFIX + npi)


def fhir_id_valid(ident: str) -> bool:
    """Whether a text is a FHIR logical id (R4, 2.24.0.1, ``id``)."""
    return re.fullmatch(r"[A-Za-z0-9\-.]{1,64}", ident) is not None


def loinc_valid(code: str) -> bool:
    """Whether a LOINC code's check digit fits: Luhn over its digits (LOINC Users' Guide)."""
    return _luhn(code.replace("-", ""))


def instant(text: str, path: str) -> datetime:
    """An RFC 3339 time in UTC.

    Raises:
        BadUse: ``attestation`` if it is not one; ``path`` names the member.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.utcoffset() is None or "T" not in text:
        raise BadUse(f"{path}: is not an RFC 3339 time", code="attestation")
    if moment.utcoffset() != UTC.utcoffset(None):
        raise BadUse(f"{path}: is not in UTC", "end it with Z", code="attestation")
    return moment.astimezone(UTC)


def _luhn(digits: str) -> bool:
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def _check(note: Note) -> None:
    if not npi_valid(note.author.npi):
        raise BadUse("author.npi: its check digit does not fit", "check the ten digits", code="npi")
    if (note.patient.id is None) != (note.encounter.id is None):
        raise BadUse("patient.id, encounter.id: one is null, the other not", code="note-field")
    if not loinc_valid(note.note.type_loinc):
        raise BadUse("note.type_loinc: its check digit does not fit", code="loinc")
    content = note.note.content.encode()
    if len(content) > CONTENT_MAX:
        raise BadUse(
            f"note.content: {len(content)} bytes, more than {CONTENT_MAX}", code="note-size"
        )
    if hashlib.sha256(content).hexdigest() != note.attestation.note_sha256:
        raise BadUse(
            "attestation.note_sha256: is not the SHA-256 of note.content",
            "the note was changed after it was signed, or signed in another form: sign it again",
            code="attestation",
        )
    signed = instant(note.attestation.signed_at, "attestation.signed_at")
    if (signed - datetime.now(UTC)).total_seconds() > CLOCK_LEAD_S:
        raise BadUse(
            "attestation.signed_at: is in the future", "check the clocks", code="attestation"
        )
    _check_content(note, content)


def _check_content(note: Note, content: bytes) -> None:
    for place, prompt in enumerate(note.prompts):
        instant(prompt.issued_at, f"prompts[{place}].issued_at")
        if prompt.answered_at is not None:
            instant(prompt.answered_at, f"prompts[{place}].answered_at")
    try:
        datetime.strptime(note.patient.birth_date, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise BadUse("patient.birth_date: is not a date", code="note-field") from None
    if note.note.media_type != "text/plain":
        _check_xml(content)
    elif "\x00" in note.note.content:
        raise BadUse("note.content: holds a NUL character", code="note-field")


def _check_xml(content: bytes) -> None:
    """Well-formed, and without a document type: entities are an attack, never a note."""

    def refuse(*_: object) -> None:
        raise BadUse("note.content: has a document type declaration", code="note-xml")

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(content, True)
    except expat.ExpatError as error:
        raise BadUse(
            f"note.content: is not well-formed XML at line {error.lineno}", code="note-xml"
        ) from None


def _key(text: str, path: str) -> str:
    try:
        key = uuid.UUID(text)
    except ValueError:
        key = None
    if key is None or key.version != 7 or str(key) != text.lower():
        raise BadUse(f"{path}: is not a UUID of version 7", "leave it out, or make one", code="key")
    return str(key)


_AT = re.compile(r"^(?P<what>.*?)(?: - at `(?:key in )?`?\$(?P<path>[^`]*)`)?$", re.DOTALL)
_QUOTED = re.compile(r"""\s['"].*$""", re.DOTALL)
_NAMED = re.compile(r"`(?P<name>[^`]*)`")


def _field_error(text: str) -> BadUse:
    """Msgspec's explanation as ours: the path first, no value of the input.

    msgspec names expected types, patterns and keys; the one value that it may quote is cut off.
    """
    match = _AT.match(text)
    what, path = (match["what"], (match["path"] or "").lstrip(".")) if match else (text, "")
    named = _NAMED.search(what)
    name = named["name"] if named else ""
    full = f"{path}.{name}".lstrip(".")
    if "unknown field" in what:
        return BadUse(f"{ascii(full)[1:-1][:120]}: is not a known key", code="note-field")
    if "missing required field" in what:
        return BadUse(f"{full}: is missing", code="note-field")
    what = _QUOTED.sub("", what)
    return BadUse(f"{path or 'the note'}: {what[0].lower()}{what[1:]}", code="note-field")

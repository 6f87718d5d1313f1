"""One attested note as a FHIR R4 transaction: Binary, DocumentReference, Provenance.

Every id follows from the idempotency key (UUID v5 of key and type), and every entry is a
PUT: the same note sent twice is the same three resources. The bytes made here are the
bytes that reach the EMR; the gateway adds an entry for the encounter's list behind them,
and changes none of them.

Codes: LOINC (document types); HL7 ``provenance-participant-type`` (assembler, attester),
``v3-DocumentCompletion`` LA (legally authenticated); US Core document category
``clinical-note``. NPI system ``http://hl7.org/fhir/sid/us-npi``.
"""

import base64
import hashlib
import uuid
from typing import Any, Final

import msgspec

from bayscribe_relay.writeback.note import Note, Prompt, instant

Json = dict[str, Any]

KEY_SYSTEM: Final = "urn:ietf:rfc:3986"
"""System of the business identifier: its value is ``urn:uuid:`` and the key."""

URI: Final = "urn:bayscribe:fhir:"
"""Prefix of the extensions and identifier systems that are this product's own."""

NPI_SYSTEM: Final = "http://hl7.org/fhir/sid/us-npi"
LOINC: Final = "http://loinc.org"
_PARTICIPANT: Final = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
_COMPLETION: Final = "http://terminology.hl7.org/CodeSystem/v3-DocumentCompletion"
_IDENTIFIER_TYPE: Final = "http://terminology.hl7.org/CodeSystem/v2-0203"
_CATEGORY: Final = "http://hl7.org/fhir/us/core/CodeSystem/us-core-documentreference-category"

TYPES: Final = ("Binary", "DocumentReference", "Provenance")


def resource_id(key: str, kind: str) -> str:
    """The id of a note's resource of one type."""
    return str(uuid.uuid5(uuid.UUID(key), kind))


def make_bundle(note: Note) -> bytes:
    """The transaction of a note that has its key, as the bytes to send."""
    if note.idempotency_key is None:
        raise ValueError("a note gets its key when it is read")
    made = (_binary(note), _document_reference(note), _provenance(note))
    entries = [
        {
            "fullUrl": f"urn:uuid:{resource['id']}",
            "resource": resource,
            "request": {
                "method": "PUT",
                "url": f"{resource['resourceType']}/{resource['id']}",
            },
        }
        for resource in made
    ]
    return msgspec.json.encode({"resourceType": "Bundle", "type": "transaction", "entry": entries})


def _reference(note: Note, kind: str) -> str:
    return f"{kind}/{resource_id(str(note.idempotency_key), kind)}"


def _head(note: Note, kind: str) -> Json:
    return {"resourceType": kind, "id": resource_id(str(note.idempotency_key), kind)}


def _when(text: str) -> str:
    moment = instant(text, "time")
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _practitioner(note: Note) -> Json:
    author = note.author
    return {
        "type": "Practitioner",
        "identifier": {"system": NPI_SYSTEM, "value": author.npi},
        "display": f"{author.given} {author.family}",
    }


def _subject(note: Note) -> Json:
    """The patient: by the EMR's id, or by record number where only HL7 v2 is written."""
    if note.patient.id is not None:
        return {"reference": f"Patient/{note.patient.id}"}
    return {"type": "Patient", "identifier": _record_number(note)}


def _record_number(note: Note) -> Json:
    return {"type": _identifier_type("MR"), "value": note.patient.mrn}


def _encounter(note: Note) -> Json:
    ident = note.encounter.id
    return {
        **({"type": "Encounter"} if ident is None else {"reference": f"Encounter/{ident}"}),
        "identifier": {"type": _identifier_type("VN"), "value": note.encounter.visit_number},
        "display": note.encounter.bay,
    }


def _identifier_type(code: str) -> Json:
    return {"coding": [{"system": _IDENTIFIER_TYPE, "code": code}]}


def _contained_patient(note: Note) -> Json:
    """The demographics at the time of the document (``sourcePatientInfo``)."""
    patient = note.patient
    return {
        "resourceType": "Patient",
        "id": "patient",
        "identifier": [_record_number(note)],
        "name": [{"family": patient.family, "given": [patient.given]}],
        "gender": patient.sex,
        "birthDate": patient.birth_date,
    }


def _contained_author(note: Note) -> Json:
    author = note.author
    return {
        "resourceType": "Practitioner",
        "id": "author",
        "identifier": [{"system": NPI_SYSTEM, "value": author.npi}],
        "name": [{"family": author.family, "given": [author.given]}],
    }


def _binary(note: Note) -> Json:
    data = base64.b64encode(note.note.content.encode()).decode()
    return {**_head(note, "Binary"), "contentType": note.note.media_type, "data": data}


def _document_reference(note: Note) -> Json:
    content = note.note.content.encode()
    key = f"urn:uuid:{note.idempotency_key}"
    attachment = {
        "contentType": note.note.media_type,
        "url": _reference(note, "Binary"),
        "size": len(content),
        # R4 fixes SHA-1 here; what is verified is the SHA-256 beside it.
        "hash": base64.b64encode(hashlib.sha1(content, usedforsecurity=False).digest()).decode(),
        "title": note.note.title,
        "creation": _when(note.attestation.signed_at),
        "extension": [_extension("sha256", "valueString", note.sent_sha256)],
    }
    first = {"system": KEY_SYSTEM, "value": f"urn:uuid:{note.relates_to}"}
    appends = [{"code": "appends", "target": {"type": "DocumentReference", "identifier": first}}]
    return {
        **_head(note, "DocumentReference"),
        "contained": [_contained_patient(note), _contained_author(note)],
        "masterIdentifier": {"system": KEY_SYSTEM, "value": key},
        "identifier": [{"system": KEY_SYSTEM, "value": key}],
        "status": "current",
        "docStatus": "final",
        "type": {
            "coding": [{"system": LOINC, "code": note.note.type_loinc}],
            "text": note.note.title,
        },
        "category": [{"coding": [{"system": _CATEGORY, "code": "clinical-note"}]}],
        "subject": _subject(note),
        "date": _when(note.attestation.signed_at),
        "author": [{"reference": "#author", **_practitioner(note)}],
        "authenticator": {"reference": "#author", **_practitioner(note)},
        **({"relatesTo": appends} if note.relates_to is not None else {}),
        "content": [{"attachment": attachment}],
        "context": {
            "encounter": [_encounter(note)],
            "sourcePatientInfo": {"reference": "#patient"},
        },
    }


def _provenance(note: Note) -> Json:
    signed = _when(note.attestation.signed_at)
    return {
        **_head(note, "Provenance"),
        "extension": [_attestation(note), *map(_prompt, note.prompts)],
        "target": [{"reference": _reference(note, "DocumentReference")}],
        "occurredDateTime": signed,
        "recorded": signed,
        "activity": {"coding": [{"system": _COMPLETION, "code": "LA"}]},
        "agent": [*_devices(note), _agent("attester", _practitioner(note))],
        "entity": [
            _source("audio-sha256", note.audio.sha256, "Audio of the encounter"),
            _source("audio-chain-sha256", note.audio.chain_sha256, "Hash chain of the audio"),
            _source("narrative-sha256", note.attestation.note_sha256, "Narrative as attested"),
        ],
    }


def _devices(note: Note) -> list[Json]:
    """The appliances that recorded, and the models that took part, as Device agents."""
    appliances = [
        {
            "type": "Device",
            "identifier": {"system": KEY_SYSTEM, "value": f"urn:bayscribe:device:{name}"},
            "display": name,
        }
        for name in note.audio.devices
    ]
    models = [
        {
            "type": "Device",
            "identifier": {"system": f"{URI}model-sha256", "value": model.sha256},
            "display": f"{model.name} {model.version}",
        }
        for model in note.models
    ]
    return [_agent("assembler", who) for who in (*appliances, *models)]


def _agent(code: str, who: Json) -> Json:
    return {"type": {"coding": [{"system": _PARTICIPANT, "code": code}]}, "who": who}


def _source(name: str, value: str, display: str) -> Json:
    what = {"identifier": {"system": f"{URI}{name}", "value": value}, "display": display}
    return {"role": "source", "what": what}


def _extension(name: str, kind: str, value: object) -> Json:
    return {"url": f"{URI}{name}", kind: value}


def _part(name: str, kind: str, value: object) -> Json:
    return {"url": name, kind: value}


def _attestation(note: Note) -> Json:
    attestation = note.attestation
    parts = [
        _part("npi", "valueString", note.author.npi),
        _part("signedAt", "valueInstant", _when(attestation.signed_at)),
        _part("clockSynchronised", "valueBoolean", attestation.clock_synchronised),
        _part("noteSha256", "valueString", attestation.note_sha256),
    ]
    for element in attestation.elements:
        inner = [
            _part("id", "valueString", element.id),
            _part("outcome", "valueCode", element.outcome),
        ]
        parts.append({"url": "element", "extension": inner})
    return {"url": f"{URI}attestation", "extension": parts}


def _prompt(prompt: Prompt) -> Json:
    parts = [
        _part("id", "valueString", prompt.id),
        _part("issuedAt", "valueInstant", _when(prompt.issued_at)),
        _part("text", "valueString", prompt.text),
        _part("outcome", "valueCode", prompt.outcome),
    ]
    if prompt.answered_at is not None:
        parts.append(_part("answeredAt", "valueInstant", _when(prompt.answered_at)))
    return {"url": f"{URI}prompt", "extension": parts}

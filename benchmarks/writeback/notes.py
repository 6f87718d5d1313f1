"""Signed notes for the write-back's measurements: whatever the submission format asks for."""

import hashlib
import json
import random
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

SITE: Final = "demo"
_SENTENCES: Final = (
    "Substernal chest pressure since this morning, eased by rest.",
    "No dyspnea, no syncope. Two earlier episodes this week.",
    "Lungs clear; heart regular, no murmur.",
    "Troponin repeated at three hours, unchanged.",
    "Lactate 2.1 mmol/L; 2 L of crystalloid given for 68 kg.",
    "Plan: observation, cardiology in the morning; return precautions given.",
)


@dataclass(frozen=True)
class SignedNote:
    """One note as ``submit`` takes it.

    Attributes:
        key: its idempotency key, UUID v7.
        sha256: of the note's content.
        encounter: which of the encounters it belongs to.
        body: the submission, JSON.
    """

    key: str
    sha256: str
    encounter: int
    body: bytes


def hospital(encounters: int) -> list[dict[str, Any]]:
    """The Patients and Encounters that the EMR holds before anybody writes."""
    resources: list[dict[str, Any]] = []
    for place in range(encounters):
        patient = {"reference": f"Patient/pat-{place}"}
        resources.append({"resourceType": "Patient", "id": f"pat-{place}"})
        resources.append(
            {
                "resourceType": "Encounter",
                "id": f"enc-{place}",
                "status": "in-progress",
                "class": {"code": "EMER"},
                "subject": patient,
                "identifier": [{"system": "urn:hospital:visit", "value": f"V{place:06d}"}],
            }
        )
    return resources


def make(place: int, encounters: int, *, draw: random.Random) -> SignedNote:
    """The ``place``-th note of a run."""
    encounter = place % encounters
    key = _uuid7(draw)
    lines = draw.choices(_SENTENCES, k=draw.randint(5, 40))
    content = f"ED note {place}\n" + "\n".join(lines) + "\n"
    digest = hashlib.sha256(content.encode()).hexdigest()
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    note = {"type_loinc": "34111-5", "title": "ED note", "media_type": "text/plain"}
    body = {
        "site": SITE,
        "patient": {
            "id": f"pat-{encounter}",
            "mrn": f"MRN{encounter:06d}",
            "family": "Example",
            "given": f"Patient{encounter}",
            "birth_date": "1961-04-02",
            "sex": "female",
        },
        "encounter": {
            "id": f"enc-{encounter}",
            "visit_number": f"V{encounter:06d}",
            "bay": f"bay-{encounter % 40:02d}",
        },
        "author": {"npi": "1234567893", "family": "Doctor", "given": "Attending"},
        "note": {**note, "content": content},
        "attestation": {
            "signed_at": now,
            "clock_synchronised": True,
            "note_sha256": digest,
            "elements": [{"id": "sep1-lactate", "outcome": "accepted"}],
        },
        "audio": {
            "sha256": hashlib.sha256(f"audio {place}".encode()).hexdigest(),
            "chain_sha256": hashlib.sha256(f"chain {place}".encode()).hexdigest(),
            "devices": [f"bay-{encounter % 40:02d}"],
        },
        "models": [
            {"name": "transcriber", "version": "1.0", "sha256": hashlib.sha256(b"m").hexdigest()}
        ],
        "prompts": [
            {
                "id": "SEP1-030",
                "issued_at": now,
                "text": "Fluids at 29.4 of 30 mL/kg",
                "outcome": "answered",
                "answered_at": now,
            }
        ],
        "idempotency_key": key,
    }
    return SignedNote(key, digest, encounter, json.dumps(body).encode())


def _uuid7(draw: random.Random) -> str:
    """A UUID v7 (RFC 9562, 5.7) of the present millisecond."""
    milliseconds = int(datetime.now(UTC).timestamp() * 1000)
    value = (milliseconds << 80) | draw.getrandbits(80)
    value = (value & ~(0xF << 76)) | (0x7 << 76)
    value = (value & ~(0x3 << 62)) | (0x2 << 62)
    return str(uuid.UUID(int=value))

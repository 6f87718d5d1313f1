"""MDM^T02 (original document notification and content) out of a note's Bundle, T06 of an addendum.

HL7 v2.5.1: MSH 2.15.9, EVN 3.4.1, PID 3.4.2, PV1 3.4.3, TXA 9.6.1, OBX 7.4.2; queries
QBP^Q11 5.3.1, QRY^T12 9.4.12. The message of a key is always the same bytes: its times
are the signature's.
"""

import base64
import hashlib
import re
import uuid
from typing import Any, Final

from bayscribe_relay.gateway.config import Interface
from bayscribe_relay.gateway.document import Document
from bayscribe_relay.gateway.mdm.er7 import Message, escape, escape_text, segment, unescape
from bayscribe_relay.writeback.bundle import LOINC, NPI_SYSTEM, URI

Json = dict[str, Any]
APPLICATION: Final = "BAYSCRIBE"
_SEX: Final = {"male": "M", "female": "F", "other": "O", "unknown": "U"}
_ED_SUBTYPE: Final = {
    "application/xhtml+xml": ("TEXT", "HTML"),
    "application/cda+xml": ("multipart", "x-hl7-cda-level-one"),
}
_LOCAL: Final = "99BAYSCRIBE"
_BASE32: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def control_id(key: str, interface: Interface) -> str:
    """MSH-10 of a note: 20 characters of base 32 hashed from the key, or the key."""
    if interface.control_id == "key":
        return key
    number = int.from_bytes(hashlib.sha256(uuid.UUID(key).bytes).digest()[:13], "big")
    return "".join(_BASE32[(number >> 5 * place) & 31] for place in range(20))


def make_mdm(document: Document, interface: Interface) -> bytes:
    """The MDM^T02 of a note, or the T06 of an addendum (9.6.1, 9.6.6: of the same structure)."""
    when = _hl7_time(document.resources["DocumentReference"]["date"])
    control = control_id(document.key, interface)
    event = "T06" if _parent(document) else "T02"
    segments = [
        _msh(interface, when, f"MDM^{event}^MDM_T02", control),
        segment("EVN", event, when),
        _pid(document, interface),
        _pv1(document, interface),
        _txa(document, interface, when),
        *_observations(document, interface),
    ]
    return ("\r".join(segments) + "\r").encode()


def make_query(document: Document, interface: Interface, kind: str) -> tuple[bytes, str]:
    """A query for the stored document, and its control id."""
    when = _hl7_time(document.resources["DocumentReference"]["date"])
    control = control_id(str(uuid.uuid4()), interface)
    if kind == "qbp":
        segments = [
            _msh(interface, when, "QBP^Q11^QBP_Q11", control),
            segment("QPD", f"Q11^Find document^{_LOCAL}", control, document.key),
            segment("RCP", "I"),
        ]
    else:
        patient = _patient(document)
        segments = [
            _msh(interface, when, "QRY^T12^QRY_T12", control),
            segment("QRD", when, "R", "I", control, "", "", "1^RD", _mrn(patient, interface),
                    f"DOC^Document^{_LOCAL}", document.key),
            segment("QRF", APPLICATION, "", "", document.key),
        ]  # fmt: skip
    return ("\r".join(segments) + "\r").encode(), control


def stored_content(answer: Message, key: str) -> bytes | None:
    """The note in a query's answer: first OBX of the document whose TXA-12 is the key."""
    inside = False
    for fields in answer.segments:
        if fields[0] == "TXA":
            inside = len(fields) > 12 and fields[12].split("^")[0] == key
        if inside and fields[0] == "OBX" and len(fields) > 5:
            return _observed(fields[2], fields[5])
    return None


def acknowledgement(answer: Message) -> tuple[str, str]:
    """MSA-1, and the reasons given in words (MSA-3, ERR-7, ERR-8)."""
    words = [answer.component("MSA", 3)]
    for error in answer.all("ERR"):
        words += [unescape(error[place]) for place in (7, 8) if place < len(error)]
    said = dict.fromkeys(word for word in words if word)
    return answer.component("MSA", 1).upper(), " ".join("; ".join(said).split())[:1_000]


def _msh(interface: Interface, when: str, kind: str, control: str) -> str:
    parties = (
        interface.sending_application, interface.sending_facility,
        interface.receiving_application, interface.receiving_facility,
    )  # fmt: skip
    fields = ["^~\\&", *map(escape, parties), when, "", kind, control]
    fields += [interface.processing_id, interface.version, "", "", "AL", "NE", "", "UNICODE UTF-8"]
    return segment("MSH", *fields)


def _patient(document: Document) -> Json:
    contained = document.resources["DocumentReference"].get("contained", [])
    return next((r for r in contained if r.get("resourceType") == "Patient"), {})


def _mrn(patient: Json, interface: Interface) -> str:
    mrn = str((patient.get("identifier") or [{}])[0].get("value", ""))
    return f"{escape(mrn)}^^^{escape(interface.assigning_authority)}^MR"


def _name(person: Json) -> str:
    name = (person.get("name") or [{}])[0]
    given = " ".join(name.get("given", []))
    return f"{escape(str(name.get('family', '')))}^{escape(given)}"


def _pid(document: Document, interface: Interface) -> str:
    patient = _patient(document)
    born = str(patient.get("birthDate", "")).replace("-", "")
    sex = _SEX.get(str(patient.get("gender")), "U")
    return segment("PID", "1", "", _mrn(patient, interface), "", _name(patient), "", born, sex)


def _pv1(document: Document, interface: Interface) -> str:
    encounter = document.resources["DocumentReference"]["context"]["encounter"][0]
    visit = escape(str(encounter.get("identifier", {}).get("value", "")))
    bay = escape(str(encounter.get("display", "")))
    fields = ["1", interface.patient_class, bay, *[""] * 15, visit]
    return segment("PV1", *fields)


def _author(document: Document) -> str:
    contained = document.resources["DocumentReference"].get("contained", [])
    person: Json = next((r for r in contained if r.get("resourceType") == "Practitioner"), {})
    npi = str((person.get("identifier") or [{}])[0].get("value", ""))
    return f"{npi}^{_name(person)}^^^^^^{NPI_SYSTEM.rpartition('-')[2].upper()}"


def _txa(document: Document, interface: Interface, when: str) -> str:
    author = _author(document)
    fields = [""] * 22
    placed = {
        1: "1",
        2: interface.document_type,
        3: "TX" if _observation_type(document, interface) != "ED" else "AP",
        4: when,
        5: author,
        6: when,
        9: author,
        12: f"{document.key}^{APPLICATION}",
        13: f"{parent}^{APPLICATION}" if (parent := _parent(document)) else "",
        16: document.key,
        17: interface.completion_status,
        19: "AV",
        22: f"{author}^^^^^^{when}",
    }
    for place, value in placed.items():
        fields[place - 1] = value
    return segment("TXA", *fields)


def _parent(document: Document) -> str:
    """The key of the note that an addendum appends to, or empty."""
    for relation in document.resources["DocumentReference"].get("relatesTo", []):
        if relation.get("code") == "appends":
            value = str(relation.get("target", {}).get("identifier", {}).get("value", ""))
            return escape(value.removeprefix("urn:uuid:"))
    return ""


def _observation_type(document: Document, interface: Interface) -> str:
    plain = document.resources["Binary"]["contentType"] == "text/plain"
    return interface.text_type if plain else "ED"


def _observations(document: Document, interface: Interface) -> list[str]:
    reference = document.resources["DocumentReference"]
    kind = _observation_type(document, interface)
    media = document.resources["Binary"]["contentType"]
    if kind == "ED":
        major, minor = _ED_SUBTYPE.get(media, ("TEXT", "PLAIN"))
        data = base64.b64encode(document.content).decode()
        value = f"{APPLICATION}^{major}^{minor}^Base64^{data}"
    else:
        value = escape_text(document.content.decode())
    code = next(c["code"] for c in reference["type"]["coding"] if c["system"] == LOINC)
    title = escape(str(reference["type"].get("text", "")))
    first = segment("OBX", "1", kind, f"{code}^{title}^LN", "", value, *[""] * 5, "F")
    rest = [
        segment("OBX", str(place), "ST", f"{name}^{title}^{_LOCAL}", str(sub), escape(value),
                *[""] * 5, "F")
        for place, (name, title, sub, value) in enumerate(_provenance(document), start=2)
    ]  # fmt: skip
    return [first, *rest]


def _provenance(document: Document) -> list[tuple[str, str, int, str]]:
    """Code, title, sub-id and value of everything that the Provenance says."""
    provenance = document.resources["Provenance"]
    lines = [("NOTE-KEY", "Idempotency key", 1, document.key)]
    for place, entity in enumerate(provenance["entity"], start=1):
        what = entity["what"]
        name = str(what["identifier"]["system"]).removeprefix(URI).upper()
        lines.append((name, what["display"], place, what["identifier"]["value"]))
    for place, agent in enumerate(provenance["agent"], start=1):
        who = agent["who"]
        value = f"{who['type']} {who['identifier']['value']} {who['display']}"
        lines.append(("AGENT", "Agent of the provenance", place, value))
    for place, extension in enumerate(provenance["extension"], start=1):
        name = str(extension["url"]).removeprefix(URI).upper()
        lines.append((name, name.title(), place, _flat(extension)))
    return lines


def _flat(extension: Json) -> str:
    """An extension's parts as ``name=value; ...``, nested ones in brackets."""
    parts = []
    for part in extension.get("extension", []):
        values = [value for name, value in part.items() if name.startswith("value")]
        shown = f"[{_flat(part)}]" if "extension" in part else str(*values)
        parts.append(f"{part['url']}={shown}")
    return "; ".join(parts)


def _observed(kind: str, value: str) -> bytes:
    if kind == "ED":
        parts = value.split("^")
        try:
            return base64.b64decode(parts[4] if len(parts) > 4 else "")
        except ValueError:
            return b""
    return unescape(value).encode()


def _hl7_time(instant: str) -> str:
    """A FHIR instant in UTC as an HL7 TS (2.A.75)."""
    digits = re.sub(r"[^0-9.]", "", instant)
    return f"{digits}+0000"

"""A C-CDA document made of an attested narrative, for sites whose EMR asks for one.

HL7 CDA R2 with the US Realm Header of C-CDA R2.1: patient, author by NPI, legal
authenticator, custodian, encompassing encounter, and one section for each heading of the
narrative, with its LOINC code; what stands under no known heading is a section of the
document's own type. Every line of the narrative is in it, in order. The header is
what C-CDA demands; where a submission does not say (address, race, times of the stay) the
null flavour says so. The same note gives the same bytes.

Object identifiers and codes: C-CDA R2.1 companion tables (HL7); section codes: LOINC.
"""

import re
import uuid
from dataclasses import dataclass, field
from typing import Final
from xml.etree import ElementTree as ET

from bayscribe_relay.writeback.note import Note, instant

MEDIA_TYPE: Final = "application/cda+xml"
_NPI: Final = "2.16.840.1.113883.4.6"
_LOINC: Final = "2.16.840.1.113883.6.1"
_SEX: Final = {"male": "M", "female": "F", "other": "UN", "unknown": None}

SECTIONS: Final = {
    "chief complaint": "10154-3",
    "history of present illness": "10164-2",
    "hpi": "10164-2",
    "past medical history": "11348-0",
    "medications": "10160-0",
    "allergies": "48765-2",
    "social history": "29762-2",
    "family history": "10157-6",
    "review of systems": "10187-3",
    "vital signs": "8716-3",
    "physical exam": "29545-1",
    "physical examination": "29545-1",
    "results": "30954-2",
    "procedures": "47519-4",
    "ed course": "8648-8",
    "hospital course": "8648-8",
    "assessment and plan": "51847-2",
    "medical decision making": "51847-2",
    "assessment": "51848-0",
    "impression": "51848-0",
    "diagnosis": "29548-5",
    "plan": "18776-5",
}
"""Headings that are known, in lower case, and their section codes."""

_HEADING: Final = re.compile(r"^#*\s*([A-Za-z][A-Za-z ]{1,40}?)\s*(?::\s*(.*))?$")
# What XML 1.0 cannot hold (production 2, Char).
_NOT_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass
class Section:
    """A heading of the narrative and the lines under it; ``code`` is LOINC."""

    code: str
    title: str
    lines: list[str] = field(default_factory=list)


def sections(note: Note) -> list[Section]:
    """The narrative cut at its known headings; a heading's own line is kept in its section."""
    found = [Section(note.note.type_loinc, note.note.title)]
    for line in re.split(r"\r\n|\r|\n", note.note.content):
        match = _HEADING.match(line.strip())
        code = SECTIONS.get(match[1].lower()) if match else None
        if match is not None and code is not None:
            found.append(Section(code, match[1]))
        found[-1].lines.append(line)
    return [section for section in found if any(line.strip() for line in section.lines)] or found


def make_cda(note: Note) -> str:
    """The document of a note of text that has its key."""
    signed = instant(note.attestation.signed_at, "attestation.signed_at")
    when = signed.strftime("%Y%m%d%H%M%S+0000")
    root = ET.Element(
        "ClinicalDocument",
        {"xmlns": "urn:hl7-org:v3", "xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance"},
    )
    _add(root, "realmCode", code="US")
    _add(root, "typeId", root="2.16.840.1.113883.1.3", extension="POCD_HD000040")
    _add(root, "templateId", root="2.16.840.1.113883.10.20.22.1.1", extension="2015-08-01")
    _add(root, "id", root=str(uuid.uuid5(uuid.UUID(str(note.idempotency_key)), MEDIA_TYPE)))
    _add(root, "code", code=note.note.type_loinc, codeSystem=_LOINC, codeSystemName="LOINC")
    _text(root, "title", note.note.title)
    _add(root, "effectiveTime", value=when)
    _add(root, "confidentialityCode", code="N", codeSystem="2.16.840.1.113883.5.25")
    _add(root, "languageCode", code="en-US")
    _patient(root, note)
    author = _add(root, "author")
    _add(author, "time", value=when)
    _clinician(_add(author, "assignedAuthor"), note)
    _custodian(root, note)
    authenticator = _add(root, "legalAuthenticator")
    _add(authenticator, "time", value=when)
    _add(authenticator, "signatureCode", code="S")
    _clinician(_add(authenticator, "assignedEntity"), note)
    stay = _add(_add(root, "componentOf"), "encompassingEncounter")
    _add(stay, "id", root=_own("visit", note.site), extension=note.encounter.visit_number)
    _add(_add(stay, "effectiveTime"), "low", nullFlavor="UNK")
    body = _add(_add(root, "component"), "structuredBody")
    for section in sections(note):
        _section(_add(_add(body, "component"), "section"), section)
    text = ET.tostring(root, encoding="unicode", short_empty_elements=True)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _section(element: ET.Element, section: Section) -> None:
    _add(element, "code", code=section.code, codeSystem=_LOINC, codeSystemName="LOINC")
    _text(element, "title", section.title)
    narrative = _add(element, "text")
    for line in section.lines:
        _text(narrative, "paragraph", line)


def _patient(root: ET.Element, note: Note) -> None:
    patient = note.patient
    role = _add(_add(root, "recordTarget"), "patientRole")
    _add(role, "id", root=_own("mrn", note.site), extension=patient.mrn)
    _add(role, "addr", nullFlavor="NI")
    _add(role, "telecom", nullFlavor="NI")
    person = _add(role, "patient")
    _name(person, patient.given, patient.family)
    sex = _SEX[patient.sex]
    if sex is None:
        _add(person, "administrativeGenderCode", nullFlavor="UNK")
    else:
        _add(person, "administrativeGenderCode", code=sex, codeSystem="2.16.840.1.113883.5.1")
    _add(person, "birthTime", value=patient.birth_date.replace("-", ""))
    _add(person, "raceCode", nullFlavor="NI")
    _add(person, "ethnicGroupCode", nullFlavor="NI")


def _clinician(assigned: ET.Element, note: Note) -> None:
    _add(assigned, "id", root=_NPI, extension=note.author.npi)
    _add(assigned, "addr", nullFlavor="NI")
    _add(assigned, "telecom", nullFlavor="NI")
    _name(_add(assigned, "assignedPerson"), note.author.given, note.author.family)


def _custodian(root: ET.Element, note: Note) -> None:
    assigned = _add(_add(root, "custodian"), "assignedCustodian")
    keeper = _add(assigned, "representedCustodianOrganization")
    _add(keeper, "id", root=_own("site", note.site))
    _text(keeper, "name", note.site)
    _add(keeper, "telecom", nullFlavor="NI")
    _add(keeper, "addr", nullFlavor="NI")


def _name(person: ET.Element, given: str, family: str) -> None:
    name = _add(person, "name")
    _text(name, "given", given)
    _text(name, "family", family)


def _own(kind: str, site: str) -> str:
    """A root for identifiers that a site gives without saying under which one (a UUID)."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"urn:bayscribe:{kind}:{site}"))


def _add(parent: ET.Element, tag: str, **attributes: str) -> ET.Element:
    return ET.SubElement(parent, tag, {k: _clean(v) for k, v in attributes.items()})


def _text(parent: ET.Element, tag: str, text: str) -> None:
    ET.SubElement(parent, tag).text = _clean(text)


def _clean(text: str) -> str:
    """The text with U+FFFD where XML has no way to write a character."""
    return _NOT_XML.sub("\ufffd", text)

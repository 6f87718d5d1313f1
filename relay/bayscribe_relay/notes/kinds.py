"""Note types and their sections, by LOINC code."""

from dataclasses import dataclass
from typing import Final

from bayscribe.errors import BadUse

COMPLAINT: Final = "10154-3"
HPI: Final = "10164-2"
VITALS: Final = "8716-3"
EXAM: Final = "29545-1"
RESULTS: Final = "30954-2"
MEDICATIONS: Final = "29549-3"
COURSE: Final = "8648-8"
PROCEDURE: Final = "29554-3"
PLAN: Final = "51847-2"

SECTIONS: Final = {
    HPI: "History of present illness",
    VITALS: "Vital signs",
    EXAM: "Physical findings",
    RESULTS: "Results",
    MEDICATIONS: "Medications administered",
    COURSE: "Course",
    PROCEDURE: "Procedure description",
    PLAN: "Assessment and plan",
}
"""Title by section code (LOINC; HL7 Consolidated CDA names the same codes)."""


@dataclass(frozen=True, slots=True)
class NoteType:
    """A kind of note: document code, title, sections in order."""

    loinc: str
    title: str
    sections: tuple[str, ...]


_ALL: Final = (HPI, VITALS, EXAM, RESULTS, MEDICATIONS, COURSE, PLAN)

NOTE_TYPES: Final = {
    "emergency": NoteType("34878-9", "Emergency department note", _ALL),
    "history-and-physical": NoteType("34117-2", "History and physical note", _ALL),
    "procedure": NoteType(
        "28570-0", "Procedure note", (HPI, VITALS, PROCEDURE, MEDICATIONS, COURSE, RESULTS, PLAN)
    ),
    "discharge": NoteType(
        "18842-5", "Discharge summary", (HPI, COURSE, EXAM, VITALS, RESULTS, MEDICATIONS, PLAN)
    ),
    # LOINC has setting-specific codes too; the plain progress note is understood everywhere.
    "critical-care": NoteType(
        "11506-3", "Critical care note", (COURSE, HPI, VITALS, EXAM, RESULTS, MEDICATIONS, PLAN)
    ),
}


def note_type(name: str) -> NoteType:
    """A note type by its name.

    Raises:
        BadUse: ``note-type``: there is none.
    """
    found = NOTE_TYPES.get(name)
    if found is None:
        raise BadUse(
            f"no note type {name!r}", f"use one of {', '.join(NOTE_TYPES)}", code="note-type"
        )
    return found

"""What a message comes to, before it is held against the stays that are known."""

from dataclasses import dataclass, field
from typing import NamedTuple

from bayscribe_relay.clinical.events import ClinicalEvent
from bayscribe_relay.clinical.stays import Clinician, Patient
from bayscribe_relay.emr_feed.codebook import Coding, Context
from bayscribe_relay.encounters.course import MovementKind


class CannotApply(ValueError):  # noqa: N818 - what becomes of the message, shown to the operator
    """The message is parked. The text is a rule's name and words, never a value of it."""


class Who(NamedTuple):
    """Whose message it is, by every number that it gives.

    Attributes:
        mrn: the medical record number, chosen as the site says.
        visit: the visit number.
        patient: demographics as far as given.
    """

    mrn: str
    visit: str
    patient: Patient


@dataclass(frozen=True)
class Movement:
    """What an ADT message (or an Encounter resource) says of a stay.

    Attributes:
        kind: what moved; None for a message that only tells of the patient.
        at_ns: when it happened.
        location: point of care, room, bed.
        patient_class: ``E``, ``I`` ... (table 0004).
        arrived_ns: PV1-44.
        clinician: the attending, if she has an NPI.
        fhir_id: the EMR's logical id of the Encounter.
        source: ``A01`` ...
    """

    kind: MovementKind | None
    at_ns: int
    location: tuple[str, str, str] = ("", "", "")
    patient_class: str = ""
    arrived_ns: int | None = None
    clinician: Clinician | None = None
    fhir_id: str = ""
    source: str = ""


class Merge(NamedTuple):
    """A40: the old numbers are the new ones from now on; visits only if both are named."""

    old_mrn: str
    old_visit: str


class Unmapped(NamedTuple):
    """A code that no table knows, and what its name was taken for."""

    context: Context
    coding: Coding
    by_name: str


@dataclass
class Interpretation:
    """The contents of one message.

    Attributes:
        who: whose it is; None for a message that is not about a patient.
        movement: of the stay.
        merge: of the patient.
        events: facts, without a stay.
        unmapped: codes for the report.
        ignored: why there is nothing to do, if so.
        patient_only: it tells of the patient and names no visit.
    """

    who: Who | None = None
    movement: Movement | None = None
    merge: Merge | None = None
    events: list[ClinicalEvent] = field(default_factory=list)
    unmapped: list[Unmapped] = field(default_factory=list)
    ignored: str = ""
    patient_only: bool = False

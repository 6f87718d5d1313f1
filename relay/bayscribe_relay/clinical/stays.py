"""Stays, and the recordings that belong to them."""

from typing import Literal

from msgspec import Struct

StayState = Literal["open", "closed", "cancelled", "merged"]
Sex = Literal["male", "female", "other", "unknown"]


class Patient(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who the stay is of, as the EMR says; fields that it has not said are empty.

    Attributes:
        id: the EMR's logical FHIR id.
        mrn: medical record number (PID-3).
        birth_date: ``YYYY-MM-DD``.
    """

    mrn: str
    id: str = ""
    family: str = ""
    given: str = ""
    birth_date: str = ""
    sex: Sex = "unknown"


class Clinician(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose note this will be. ``label`` is the enrolled voice's label on the appliances."""

    npi: str
    family: str
    given: str
    label: str = ""


class Stay(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One patient's stay in the department. Times are CLOCK_REALTIME in ns, UTC.

    Attributes:
        id: ours, 32 hex digits (UUID v7).
        site: the site whose EMR this is.
        visit_number: PV1-19.
        fhir_id: the EMR's logical id of the Encounter.
        bay: where the patient is now; empty while in no bay.
        clinician: the primary clinician now, if known.
        arrived_ns: start of the visit; the tracer's minute 0.
        merged_into: the stay that took this one over (A40).
        reason: how it was opened or last changed: ``A01``, ``A04``, ``tap`` ...
    """

    id: str
    site: str
    patient: Patient
    visit_number: str
    fhir_id: str = ""
    bay: str = ""
    clinician: Clinician | None = None
    state: StayState = "open"
    arrived_ns: int
    closed_ns: int | None = None
    merged_into: str = ""
    reason: str = ""


class Binding(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A stretch of one appliance's recording that belongs to a stay.

    Attributes:
        device: the appliance.
        recording: the appliance's opaque encounter id.
        from_ns: first instant that belongs.
        until_ns: first instant that no longer does, or None while it goes on.
        reason: how it was made: ``adt``, ``tap``, ``correction``.
    """

    stay: str
    device: str
    recording: str
    from_ns: int
    until_ns: int | None = None
    reason: str = "adt"

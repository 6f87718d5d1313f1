"""One normalised fact of the EMR."""

from typing import Literal

from msgspec import Struct

EventStatus = Literal[
    "preliminary", "final", "corrected", "cancelled", "entered-in-error", "not-done"
]


class ClinicalEvent(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An order, result, vital, administration or demographic fact, from HL7 v2 or FHIR.

    Attributes:
        id: stable identity at the source (``hl7:FACILITY:ORDER:CODE:SUB`` or
            ``fhir:Observation/ID``); a correction carries the same id and a higher version.
        version: orders the versions of one id (receipt time when the source has none).
        stay: our stay, or empty if the message named none that is known.
        visit_number: as received.
        mrn: as received.
        kind: the tracer's kind (``vital``, ``lab``, ``order``, ``med``, ``fluid`` ...).
        concept: the catalogue's concept, or empty if the code is unmapped at this site.
        code: as received.
        system: code system as received (``LN``, ``SCT``, local ...).
        display: its name as received.
        value: number, text or None; in ``unit``.
        unit: UCUM, or empty.
        clinical_ns: when it was so.
        received_ns: when we heard.
        collected_ns: when the specimen was taken.
        end_ns: end of an administration.
        volume_ml: of a fluid.
        status: of this version.
        replaces: id of another event that this one supersedes.
        source: ``hl7`` or ``fhir``.
        message: MSH-10 or the notification's id.
    """

    id: str
    version: int
    stay: str = ""
    visit_number: str = ""
    mrn: str = ""
    kind: str
    concept: str = ""
    code: str = ""
    system: str = ""
    display: str = ""
    value: float | str | bool | None = None
    unit: str = ""
    clinical_ns: int
    received_ns: int
    collected_ns: int | None = None
    end_ns: int | None = None
    volume_ml: float = 0.0
    xuln: float = 0.0
    status: EventStatus = "final"
    replaces: str = ""
    source: Literal["hl7", "fhir"] = "hl7"
    message: str = ""

"""One FHIR resource with the Patient and Encounter that it is of."""

from collections.abc import Sequence
from typing import Any, Final

from bayscribe_relay.clinical.events import ClinicalEvent
from bayscribe_relay.clinical.stays import Patient, Sex
from bayscribe_relay.emr_feed.codebook import KINDS, Context, Meaning
from bayscribe_relay.emr_feed.config import PatientConfig
from bayscribe_relay.emr_feed.fhir_notice import local, reference_of
from bayscribe_relay.emr_feed.fhir_values import (
    Node,
    codings,
    has_code,
    moment,
    node,
    nodes,
    text,
    time_ns,
)
from bayscribe_relay.emr_feed.hl7_reading import RANKS, Site, note_unmapped, stable_id
from bayscribe_relay.emr_feed.interpretation import CannotApply, Interpretation, Who

_SEXES: Final[dict[str, Sex]] = {"male": "male", "female": "female", "other": "other"}


class Chart:
    """A resource with the Patient and Encounter that it is of.

    Args:
        resource: what was notified or read.
        patient: its subject.
        encounter: its encounter, if it names one.
        n: place in the inbox.
        received_ns: when it came.
        site: the site's settings.
    """

    def __init__(
        self,
        resource: Node,
        patient: Node,
        encounter: Node,
        n: int,
        received_ns: int,
        site: Site,
    ) -> None:
        self.resource = resource
        self.encounter = encounter
        self.site = site
        self.received_ns = received_ns
        self._n = n
        self.reference = reference_of(resource)
        self.result = Interpretation(who=who_of(patient, encounter, site.patient))
        updated = moment(node(resource.get("meta")).get("lastUpdated"), site.zone)
        self._updated = updated.ns if updated is not None else received_ns

    def time(self, *values: object) -> int | None:
        """The first that names a time of day."""
        return time_ns(*values, zone=self.site.zone)

    def find(self, context: Context, concept: object, route: str = "") -> tuple[Meaning, ...]:
        """Meanings of a CodeableConcept; noted for the report if there are none."""
        found = self.site.codebook.find(context, codings(concept), route)
        note_unmapped(self.result, context, codings(concept), found)
        return found.meanings

    def add(
        self,
        concepts: Sequence[str],
        code: object,
        part: str = "",
        **values: Any,  # noqa: ANN401 - fields of ClinicalEvent
    ) -> None:
        """Add an event for each concept."""
        first = codings(code)[0] if codings(code) else None
        status = values.setdefault("status", "final")
        who = self.result.who
        if who is None:
            return
        base = stable_id("fhir", self.reference, *((part,) if part else ()))
        kind = values.pop("kind")
        for extra, concept in enumerate(concepts):
            family = concept.split(".")[0]
            own = kind if kind == "collected" else KINDS.get(family, kind)
            self.result.events.append(
                ClinicalEvent(
                    id=f"{base}+{extra}" if extra else base,
                    version=self._updated // 10**6 * 10**6
                    + RANKS[status] * 100_000
                    + self._n % 100_000,
                    visit_number=who.visit,
                    mrn=who.mrn,
                    kind=own,
                    concept=concept,
                    code=first.code if first else "",
                    system=first.system if first else "",
                    display=first.display if first else "",
                    received_ns=self.received_ns,
                    source="fhir",
                    message=self.reference,
                    **values,
                )
            )


def who_of(patient: Node, encounter: Node, wanted: PatientConfig) -> Who:
    """Whose a resource is.

    Raises:
        CannotApply: the patient has no record number of the site's kind, or patient and
            encounter do not belong together.
    """
    mrn = _identifier(patient, wanted.mrn_system, wanted.mrn_type)
    if not mrn:
        raise CannotApply("no-patient: the Patient has no record number of this site's kind")
    subject = local(node(encounter.get("subject")).get("reference"))
    if encounter and subject != reference_of(patient):
        raise CannotApply("patient-mismatch: patient and encounter are of two patients")
    visit = _identifier(encounter, wanted.visit_system, "VN") or text(encounter.get("id"))
    names = nodes(patient.get("name"))
    name = next((n for n in names if n.get("use") == "official"), names[0] if names else {})
    given = name.get("given")
    birth = text(patient.get("birthDate"), 10)
    return Who(
        mrn,
        visit,
        Patient(
            mrn=mrn,
            id=text(patient.get("id")),
            family=text(name.get("family")),
            given=text(given[0]) if isinstance(given, list) and given else "",
            birth_date=birth if len(birth) == 10 else "",
            sex=_SEXES.get(text(patient.get("gender")), "unknown"),
        ),
    )


def _identifier(resource: Node, system: str, kind: str) -> str:
    found = [
        i
        for i in nodes(resource.get("identifier"))
        if text(i.get("value")) and (not system or i.get("system") == system)
    ]
    typed = [i for i in found if has_code(i.get("type"), kind)]
    untyped = [i for i in found if not codings(i.get("type"))]
    chosen = typed or (found if system else untyped)
    return text(chosen[0].get("value")) if chosen else ""

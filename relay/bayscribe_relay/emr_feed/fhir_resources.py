"""FHIR R4 resources as the same events and movements that HL7 v2 messages become."""

from collections.abc import Callable
from typing import Any, Final

from bayscribe_relay.clinical.events import EventStatus
from bayscribe_relay.emr_feed.codebook import route_name
from bayscribe_relay.emr_feed.fhir_chart import Chart
from bayscribe_relay.emr_feed.fhir_encounters import movements, visit
from bayscribe_relay.emr_feed.fhir_values import (
    Node,
    codings,
    has_code,
    node,
    nodes,
    quantity,
    text,
)
from bayscribe_relay.emr_feed.hl7_orders import select_meanings
from bayscribe_relay.emr_feed.hl7_results import COLLECTED
from bayscribe_relay.emr_feed.interpretation import Interpretation

_GONE: Final[EventStatus] = "entered-in-error"

RESULT_STATUS: Final[dict[str, EventStatus]] = {
    "preliminary": "preliminary",
    "partial": "preliminary",
    "final": "final",
    "unknown": "final",
    "amended": "corrected",
    "corrected": "corrected",
    "appended": "corrected",
    "cancelled": "cancelled",
    "entered-in-error": _GONE,
}
"""Observation.status and DiagnosticReport.status; ``registered`` has no result yet."""

ORDER_STATUS: Final[dict[str, EventStatus]] = {
    "active": "final",
    "on-hold": "final",
    "completed": "final",
    "unknown": "final",
    "revoked": "cancelled",
    "cancelled": "cancelled",
    "stopped": "cancelled",
    "entered-in-error": _GONE,
}
"""Of ServiceRequest and MedicationRequest; a draft is no order."""

GIVEN_STATUS: Final[dict[str, EventStatus]] = {
    "in-progress": "final",
    "on-hold": "final",
    "completed": "final",
    "stopped": "final",
    "unknown": "final",
    "not-done": "not-done",
    "entered-in-error": _GONE,
}

_ORDERING: Final = ("order", "original-order", "reflex-order", "filler-order", "instance-order")
_CRITICAL: Final = ("HH", "LL", "AA", "<", ">")
_HOME: Final = ("outpatient", "community", "discharge")


def read_resource(chart: Chart) -> list[Interpretation]:
    """What a resource says: for an Encounter each movement apart, then its facts."""
    reader = _READERS.get(text(chart.resource.get("resourceType")))
    if reader is None:
        chart.result.ignored = "resource-type: nothing follows from this type here"
    else:
        reader(chart)
    who = chart.result.who
    return [*(Interpretation(who=who, movement=m) for m in movements(chart)), chart.result]


def _observation(chart: Chart) -> None:
    r = chart.resource
    status = RESULT_STATUS.get(text(r.get("status")))
    if status is None:
        return
    period = node(r.get("effectivePeriod"))
    taken = chart.time(r.get("effectiveDateTime"), r.get("effectiveInstant"), period.get("start"))
    issued = chart.time(r.get("issued"))
    at = taken or issued or chart.received_ns
    laboratory = has_code(r.get("category"), "laboratory")
    times: dict[str, Any] = {"clinical_ns": at, "status": status}
    if laboratory and taken is not None:
        times = {"clinical_ns": issued or at, "collected_ns": taken, "status": status}
    void = status in ("cancelled", _GONE)
    for part, one in (("", r), *((str(i), c) for i, c in enumerate(nodes(r.get("component"))))):
        value, unit = (None, "") if void else _value(one)
        code = one.get("code")
        if (value is None and not void) or not codings(code):
            continue
        meanings = chart.find("result", code)
        concepts = [m.concept for m in meanings] or [""]
        unit = unit or next((m.unit for m in meanings if m.unit), "")
        high = quantity(node(next(iter(nodes(one.get("referenceRange"))), {})).get("high", {}))[0]
        multiple = (
            value / high
            if "lab.troponin" in concepts
            and isinstance(value, float)
            and isinstance(high, float)
            and high > 0
            else 0.0
        )
        chart.add(concepts, code, part, kind="obs", value=value, unit=unit, xuln=multiple, **times)
        if laboratory and has_code(one.get("interpretation"), *_CRITICAL):
            first = codings(code)[0]
            chart.add(
                ["lab.critical_flag"],
                code,
                f"{part}critical",
                kind="obs",
                value=first.display or first.code,
                **times,
            )


def _value(one: Node) -> tuple[float | str | None, str]:
    if "valueQuantity" in one:
        return quantity(one["valueQuantity"])
    if codings(one.get("valueCodeableConcept")):
        first = codings(one["valueCodeableConcept"])[0]
        return first.display or first.code, ""
    for name in ("valueString", "valueDateTime"):
        if text(one.get(name)):
            return text(one[name], 65_536), ""
    number = one.get("valueInteger")
    if isinstance(number, int) and not isinstance(number, bool) and abs(number) < 10**15:
        return float(number), ""
    flag = one.get("valueBoolean")
    return (str(flag).lower() if isinstance(flag, bool) else None), ""


def _service_request(chart: Chart) -> None:
    r = chart.resource
    status = ORDER_STATUS.get(text(r.get("status")))
    if status is None or text(r.get("intent")) not in _ORDERING or not codings(r.get("code")):
        return
    at = chart.time(r.get("authoredOn"), r.get("occurrenceDateTime")) or chart.received_ns
    concepts = [m.concept for m in chart.find("order", r.get("code"))]
    chart.add(concepts or [""], r.get("code"), kind="order", clinical_ns=at, status=status)


def _drug(chart: Chart) -> Node:
    """The drug's CodeableConcept, also of a contained Medication."""
    r = chart.resource
    if codings(r.get("medicationCodeableConcept")):
        return node(r["medicationCodeableConcept"])
    reference = text(node(r.get("medicationReference")).get("reference"))
    for contained in nodes(r.get("contained")):
        if reference == f"#{text(contained.get('id'))}":
            return node(contained.get("code"))
    label = text(node(r.get("medicationReference")).get("display"))
    return {"text": label} if label else {}


def _medication_request(chart: Chart) -> None:
    r = chart.resource
    status = ORDER_STATUS.get(text(r.get("status")))
    drug = _drug(chart)
    if status is None or text(r.get("intent")) not in _ORDERING or not codings(drug):
        return
    home = has_code(r.get("category"), *_HOME)
    dosage = next(iter(nodes(r.get("dosageInstruction"))), {})
    rates = next(iter(nodes(dosage.get("doseAndRate"))), {})
    _medicine(
        chart,
        drug,
        dosage,
        rates,
        home=home,
        kind="rx" if home else "med_order",
        clinical_ns=chart.time(r.get("authoredOn")) or chart.received_ns,
        status=status,
    )


def _administration(chart: Chart) -> None:
    r = chart.resource
    status = GIVEN_STATUS.get(text(r.get("status")))
    drug = _drug(chart)
    if status is None or not codings(drug):
        return
    period = node(r.get("effectivePeriod"))
    begun = chart.time(r.get("effectiveDateTime"), period.get("start")) or chart.received_ns
    ended = chart.time(period.get("end"))
    dosage = node(r.get("dosage"))
    rates = {"doseQuantity": dosage.get("dose"), "rateQuantity": dosage.get("rateQuantity")}
    _medicine(
        chart,
        drug,
        dosage,
        rates,
        home=False,
        kind="med_given",
        clinical_ns=begun,
        end_ns=ended if ended is not None and ended > begun else None,
        status=status,
    )


def _medicine(
    chart: Chart,
    drug: Node,
    dosage: Node,
    rates: Node,
    *,
    home: bool,
    **values: Any,  # noqa: ANN401 - fields of ClinicalEvent
) -> None:
    routes = codings(dosage.get("route"))
    route = route_name(routes[0].code, routes[0].display) if routes else ""
    amount, unit = quantity(rates.get("doseQuantity"))
    rate, rate_unit = quantity(rates.get("rateQuantity"))
    found = [m.concept for m in chart.find("medication", drug, route)]
    speed = ("" if rate is None else str(rate), rate_unit)
    per_ml = {"mL": 1.0, "L": 1000.0, "dL": 100.0}.get(unit, 0.0)
    volume = amount * per_ml if isinstance(amount, float) else 0.0
    concepts = select_meanings(found, route, speed, outpatient=home)
    chart.add(concepts, drug, value=amount, unit=unit, volume_ml=volume, **values)


def _report(chart: Chart) -> None:
    r = chart.resource
    status = RESULT_STATUS.get(text(r.get("status")))
    if status is None:
        return
    period = node(r.get("effectivePeriod"))
    done = chart.time(r.get("effectiveDateTime"), period.get("start"))
    issued = chart.time(r.get("issued"))
    at = issued or done or chart.received_ns
    value = text(r.get("conclusion"), 65_536) or None
    concepts = [m.concept for m in chart.find("report", r.get("code"))]
    for number, concept in enumerate(concepts or [""]):
        when = (done or at) if concept.startswith("proc.") else at
        part = str(number) if number else ""
        chart.add(
            [concept], r.get("code"), part, kind="doc", value=value, clinical_ns=when, status=status
        )
    for number, code in enumerate(nodes(r.get("conclusionCode"))):
        found = chart.site.codebook.find("diagnosis", codings(code)).meanings
        if found:
            names = [m.concept for m in found]
            chart.add(names, code, f"conclusion{number}", kind="hx", clinical_ns=at, status=status)
    for meaning in chart.site.codebook.find("order", codings(r.get("code"))).meanings:
        if meaning.concept in COLLECTED and done is not None:
            collected = COLLECTED[meaning.concept]
            _collected(chart, collected, done, status)


def _collected(chart: Chart, concept: str, at: int, status: EventStatus) -> None:
    """The collection of a specimen; kind ``collected`` whatever the concept's family."""
    gone = status in ("cancelled", _GONE)
    own: EventStatus = "cancelled" if gone else "final"
    chart.add(
        [concept],
        chart.resource.get("code"),
        "collected",
        kind="collected",
        clinical_ns=at,
        status=own,
    )


def _condition(chart: Chart) -> None:
    r = chart.resource
    wrong = has_code(r.get("verificationStatus"), "entered-in-error", "refuted")
    at = chart.time(r.get("onsetDateTime"), r.get("recordedDate")) or chart.received_ns
    if not codings(r.get("code")):
        return
    concepts = [m.concept for m in chart.find("diagnosis", r.get("code"))]
    chart.add(
        concepts or [""],
        r.get("code"),
        kind="hx",
        clinical_ns=at,
        status=_GONE if wrong else "final",
    )


def _procedure(chart: Chart) -> None:
    r = chart.resource
    status: EventStatus = {"not-done": "not-done", "entered-in-error": _GONE}.get(
        text(r.get("status")), "final"
    )
    if text(r.get("status")) == "preparation" or not codings(r.get("code")):
        return
    period = node(r.get("performedPeriod"))
    at = chart.time(r.get("performedDateTime"), period.get("start")) or chart.received_ns
    concepts = [m.concept for m in chart.find("procedure", r.get("code"))]
    chart.add(concepts or [""], r.get("code"), kind="proc", clinical_ns=at, status=status)


def _patient(chart: Chart) -> None:
    chart.result.patient_only = True


_READERS: Final[dict[str, Callable[[Chart], None]]] = {
    "Observation": _observation,
    "ServiceRequest": _service_request,
    "MedicationRequest": _medication_request,
    "MedicationAdministration": _administration,
    "DiagnosticReport": _report,
    "Condition": _condition,
    "Procedure": _procedure,
    "Patient": _patient,
    "Encounter": visit,
}

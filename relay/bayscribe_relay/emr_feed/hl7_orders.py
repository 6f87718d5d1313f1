"""ORM, OMG, OML, OMP, RDE: orders and prescriptions, their changes and cancellations."""

from typing import Any, Final

from bayscribe_relay.clinical.events import EventStatus
from bayscribe_relay.emr_feed.codebook import KINDS, Meaning, route_name
from bayscribe_relay.emr_feed.hl7_reading import Reading, number_or_text
from bayscribe_relay.emr_feed.hl7_results import collected
from bayscribe_relay.hl7.er7 import Segment
from bayscribe_relay.tracer.units import ucum

CANCELLING: Final = ("CA", "OC", "CR", "DC", "OD", "DR", "RP", "RU", "UA")
"""ORC-1 (table 0119): cancelled, discontinued, or replaced by the order that follows."""

_STANDING: Final = (
    "NW",
    "OK",
    "XO",
    "XX",
    "SN",
    "NA",
    "RO",
    "RQ",
    "CH",
    "SC",
    "SR",
    "RE",
    "PA",
    "",
)
_FINAL_STATUS: Final[dict[str, EventStatus]] = {
    "CA": "cancelled",
    "DC": "cancelled",
    "ER": "entered-in-error",
}
"""ORC-5 (table 0038) as far as it ends an order."""

ANY_ORAL: Final = "med.any_oral"
BOLUS: Final = "med.crystalloid_bolus"
MAINTENANCE_ML_H: Final = 125.0
"""At most this rate is maintenance and no bolus (the measures' default)."""

_ML: Final = {"mL": 1.0, "L": 1000.0, "dL": 100.0}


def orders(reading: Reading) -> None:
    """Interpret an order message: each ORC with what follows it.

    Raises:
        CannotApply: it names no patient.
    """
    reading.result.who = reading.who()
    for group in order_groups(reading):
        _order(reading, group)


def order_groups(reading: Reading) -> list[dict[str, Segment]]:
    """Segments by order; without an ORC each OBR or RXE begins one."""
    groups: list[dict[str, Segment]] = []
    names = ("ORC", "OBR", "RXE", "RXO", "RXR", "RXC", "RXA", "RXG", "SPM", "ODS", "ODT", "BPO")
    for segment in reading.message.all(*names):
        begins = segment.name == "ORC" or (
            segment.name in ("OBR", "RXE", "RXO", "RXA", "ODS", "BPO")
            and (not groups or segment.name in groups[-1])
        )
        if begins:
            groups.append({})
        if groups:
            groups[-1].setdefault(segment.name, segment)
    return groups


def order_number(group: dict[str, Segment]) -> str:
    """The placer's number, else the filler's."""
    orc, obr = group.get("ORC"), group.get("OBR")
    numbers = [orc.get(2), orc.get(3)] if orc else []
    numbers += [obr.get(2), obr.get(3)] if obr else []
    return next((number for number in numbers if number), "")


def _order(reading: Reading, group: dict[str, Segment]) -> None:
    status = _order_status(group.get("ORC"))
    drug = group.get("RXE") or group.get("RXO")
    obr = group.get("OBR")
    if status is None:
        return
    if drug is not None:
        _prescription(reading, group, drug, status)
    elif obr is not None:
        _service(reading, group, obr, status)
        collected(reading, obr, obr.get(7))
        if (spm := group.get("SPM")) is not None:
            collected(reading, obr, spm.get(17))
    elif (diet := group.get("ODS")) is not None:
        codings = reading.codings(diet, 3)
        first = codings[0] if codings else None
        reading.add(
            "order.diet",
            reading.event_id("order", order_number(group) or "diet"),
            code=first.code if first else "",
            system=first.system if first else "",
            display=first.display if first else "",
            clinical_ns=_order_time(reading, group),
            status=status,
        )
    elif status != "final" and (number := order_number(group)):
        # A cancellation need not repeat what it cancels: the version takes the order's place.
        reading.add(
            "",
            reading.event_id("order", number),
            kind="order",
            clinical_ns=_order_time(reading, group),
            status=status,
        )


def _order_status(orc: Segment | None) -> EventStatus | None:
    if orc is None:
        return "final"
    control = orc.get(1).upper()
    if control in CANCELLING:
        return "cancelled"
    if control not in _STANDING:
        return None
    return _FINAL_STATUS.get(
        orc.get(5).upper(), "corrected" if control in ("XO", "XX") else "final"
    )


def _order_time(reading: Reading, group: dict[str, Segment]) -> int:
    orc = group.get("ORC")
    return reading.first_time(orc.get(9), orc.get(15)) if orc is not None else reading.sent_ns


def _service(
    reading: Reading, group: dict[str, Segment], obr: Segment, status: EventStatus
) -> None:
    codings = reading.codings(obr, 4)
    if not codings:
        return
    number = order_number(group)
    parts = [number] if number else [reading.control_id, codings[0].code]
    if number and sum(order_number(g) == number for g in order_groups(reading)) > 1:
        parts.append(codings[0].code)
    for extra, meaning in enumerate(reading.find("order", codings) or (Meaning("", ""),)):
        reading.add(
            meaning.concept,
            reading.event_id("order", *parts),
            extra,
            kind="order",
            code=codings[0].code,
            system=codings[0].system,
            display=codings[0].display,
            clinical_ns=_order_time(reading, group),
            status=status,
        )


def _prescription(
    reading: Reading, group: dict[str, Segment], drug: Segment, status: EventStatus
) -> None:
    encoded = drug.name == "RXE"
    codings = reading.codings(drug, 2 if encoded else 1)
    amount, units = (drug.get(3), drug.get(5)) if encoded else (drug.get(2), drug.get(4))
    rate = (drug.get(23), drug.get(24)) if encoded else (drug.get(21), drug.get(22))
    if not codings:
        return
    orc = group.get("ORC")
    outpatient = orc is not None and orc.get(29).upper() == "O"
    route = route_of(group.get("RXR"))
    meanings = drug_meanings(reading, codings, route, rate, outpatient=outpatient)
    dose, unit, volume = quantity(amount, units)
    number = order_number(group) or f"{reading.control_id}:{codings[0].code}"
    for extra, concept in enumerate(meanings):
        kind = KINDS["rx"] if concept.startswith("rx.") or outpatient else "med_order"
        reading.add(
            concept,
            reading.event_id("order", number),
            extra,
            kind=kind,
            code=codings[0].code,
            system=codings[0].system,
            display=codings[0].display,
            clinical_ns=_order_time(reading, group),
            value=dose,
            unit=unit,
            volume_ml=volume,
            status=status,
        )


def route_of(rxr: Segment | None) -> str:
    """The route of RXR-1."""
    return route_name(rxr.get(1, 1), rxr.get(1, 2)) if rxr is not None else ""


def drug_meanings(
    reading: Reading, codings: list[Any], route: str, rate: tuple[str, str], *, outpatient: bool
) -> tuple[str, ...]:
    """Concepts of a drug given or ordered so; one empty concept if there is none."""
    found = [m.concept for m in reading.find("medication", codings, route)]
    return select_meanings(found, route, rate, outpatient=outpatient)


def select_meanings(
    found: list[str], route: str, rate: tuple[str, str], *, outpatient: bool
) -> tuple[str, ...]:
    """Those that fit: prescriptions to take home apart, no bolus at a maintenance rate."""
    family = "rx." if outpatient else "med."
    wanted = [concept for concept in found if concept.startswith(family)]
    if BOLUS in wanted and _maintenance(rate):
        wanted.remove(BOLUS)
    if route == "PO" and not outpatient and ANY_ORAL not in wanted:
        wanted.append(ANY_ORAL)
    return tuple(wanted) or ("",)


def quantity(amount: str, unit: str) -> tuple[float | str | None, str, float]:
    """A dose: value, UCUM unit, and its volume in mL where it is one."""
    value = number_or_text(amount)
    known = ucum(unit) if unit else ""
    volume = value * _ML.get(known, 0.0) if isinstance(value, float) else 0.0
    return value, known, volume


def _maintenance(rate: tuple[str, str]) -> bool:
    value = number_or_text(rate[0])
    unit = rate[1].lower().replace(" ", "").replace("hour", "h").replace("hr", "h")
    return isinstance(value, float) and unit == "ml/h" and value <= MAINTENANCE_ML_H

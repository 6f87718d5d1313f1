"""ORU: results, vital signs, reports; corrections, deletions and cancellations."""

from typing import Final

from bayscribe_relay.clinical.events import EventStatus
from bayscribe_relay.emr_feed.codebook import KINDS, Meaning
from bayscribe_relay.emr_feed.hl7_reading import Reading
from bayscribe_relay.hl7.er7 import Segment

OBX_STATUS: Final[dict[str, EventStatus]] = {
    "F": "final",
    "": "final",
    "U": "final",
    "V": "final",
    "A": "final",
    "B": "final",
    "P": "preliminary",
    "S": "preliminary",
    "R": "preliminary",
    "C": "corrected",
    "D": "entered-in-error",
    "W": "entered-in-error",
    "X": "cancelled",
    "N": "not-done",
}
"""OBX-11 (table 0085). ``I`` and ``O`` say that there is no result yet."""

OBR_STATUS: Final[dict[str, EventStatus]] = {
    "P": "preliminary",
    "F": "final",
    "C": "corrected",
    "X": "cancelled",
    "Y": "cancelled",
}
"""OBR-25 (table 0123), for an OBX that says nothing itself, and for reports."""

COLLECTED: Final = {
    "order.blood_culture": "lab.blood_culture",
    "order.lactate": "lab.lactate",
}
"""Specimens whose collection the measures look at."""

_FAMILIES_BY_TIME: Final = ("vital", "nurse")
"""Charted values: each time is a fact of its own; a laboratory result is one fact an order."""


def oru(reading: Reading) -> None:
    """Interpret an ORU message.

    Raises:
        CannotApply: it names no patient.
    """
    reading.result.who = reading.who()
    obr: Segment | None = None
    for segment in reading.message.all("ORC", "OBR", "OBX", "SPM"):
        if segment.name == "OBR":
            obr = segment
            report(reading, obr)
        elif segment.name == "OBX":
            observation(reading, segment, obr)
        elif segment.name == "SPM" and obr is not None:
            collected(reading, obr, segment.get(17))


def observation(reading: Reading, obx: Segment, obr: Segment | None) -> None:
    """One OBX as an event for each of its meanings."""
    status = OBX_STATUS.get(_status(obx, obr))
    codings = reading.codings(obx, 3)
    if status is None or not codings:
        return
    taken = obr.get(7) if obr is not None else ""
    at = reading.first_time(obx.get(14), taken, obr.get(22) if obr is not None else "")
    value, unit = reading.value(obx)
    if value is None and status in ("preliminary", "final", "corrected"):
        return
    if status in ("entered-in-error", "cancelled", "not-done"):
        value = None
    order = _order_number(obr)
    limit = _limit(obx.get(7))
    for extra, meaning in enumerate(reading.find("result", codings) or (Meaning("", ""),)):
        family = meaning.concept.split(".")[0]
        parts = [order or "chart", codings[0].code or codings[0].display, obx.get(4)]
        if not order or family in _FAMILIES_BY_TIME:
            parts += [reading.result.who.visit if reading.result.who else "", str(at // 10**9)]
        collected_ns = reading.time(taken) if family == "lab" else None
        result_ns = reading.first_time(obr.get(22), obx.get(14)) if obr is not None else at
        reading.add(
            meaning.concept,
            reading.event_id(*parts),
            extra,
            kind=KINDS[family] if meaning.concept else "obs",
            code=codings[0].code,
            system=codings[0].system,
            display=codings[0].display,
            value=value,
            unit=unit or meaning.unit,
            clinical_ns=result_ns if collected_ns is not None else at,
            collected_ns=collected_ns,
            xuln=_multiple(value, limit) if meaning.concept == "lab.troponin" else 0.0,
            status=status,
        )
    if obx.get(8).upper() in ("LL", "HH", "AA", "<", ">") and family in ("lab", ""):
        _critical(reading, obx, order, at, status)


def report(reading: Reading, obr: Segment) -> None:
    """What the OBR itself says: a study was done, a report is there, a specimen was taken."""
    status = OBR_STATUS.get(obr.get(25).upper())
    codings = reading.codings(obr, 4)
    collected(reading, obr, obr.get(7))
    if status is None or not codings:
        return
    found = reading.site.codebook.find("report", codings).meanings
    for extra, meaning in enumerate(found):
        done = meaning.concept.startswith("proc.")
        times = (obr.get(7), obr.get(22)) if done else (obr.get(22), obr.get(7))
        reading.add(
            meaning.concept,
            reading.event_id("report", _order_number(obr) or codings[0].code),
            extra,
            code=codings[0].code,
            system=codings[0].system,
            display=codings[0].display,
            clinical_ns=reading.first_time(*times),
            status=status,
        )


def collected(reading: Reading, obr: Segment, when: str) -> None:
    """The collection of a specimen that the measures look at."""
    at = reading.time(when)
    if at is None or at > reading.sent_ns + 60 * 10**9:
        return
    codings = reading.codings(obr, 4)
    void = obr.get(25).upper() in ("X", "Y")
    for meaning in reading.site.codebook.find("order", codings).meanings:
        concept = COLLECTED.get(meaning.concept)
        if concept is not None:
            reading.add(
                concept,
                reading.event_id("collected", _order_number(obr) or str(at // 10**9), concept),
                kind="collected",
                code=codings[0].code,
                system=codings[0].system,
                display=codings[0].display,
                clinical_ns=at,
                status="cancelled" if void else "final",
            )


def _status(obx: Segment, obr: Segment | None) -> str:
    own = obx.get(11).upper()
    if own or obr is None:
        return own
    return {"C": "C", "P": "P", "X": "X", "Y": "X"}.get(obr.get(25).upper(), "F")


def _order_number(obr: Segment | None) -> str:
    if obr is None:
        return ""
    return obr.get(3) or obr.get(2)


def _critical(reading: Reading, obx: Segment, order: str, at: int, status: EventStatus) -> None:
    codings = reading.codings(obx, 3)
    ident = reading.event_id("critical", order or str(at // 10**9), codings[0].code, obx.get(4))
    reading.add(
        "lab.critical_flag",
        ident,
        code=codings[0].code,
        system=codings[0].system,
        display=codings[0].display,
        clinical_ns=at,
        value=codings[0].display or codings[0].code,
        status=status,
    )


def _limit(reference: str) -> float | None:
    """The upper limit of a reference range: ``0-14``, ``<14``, ``<=14``."""
    text = reference.strip().lstrip("<=").strip()
    high = text.rsplit("-", 1)[-1].strip() if text else ""
    try:
        limit = float(high)
    except ValueError:
        return None
    return limit if 0 < limit < 10**9 else None


def _multiple(value: float | str | None, limit: float | None) -> float:
    if limit is None or not isinstance(value, float):
        return 0.0
    return value / limit

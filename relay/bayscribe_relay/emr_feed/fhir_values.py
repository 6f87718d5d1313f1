"""Elements of FHIR R4 resources, read without trust: a wrong type is an absent element."""

import re
from datetime import UTC, tzinfo
from typing import Any, Final

from bayscribe_relay.emr_feed.codebook import Coding
from bayscribe_relay.hl7.times import Instant, instant
from bayscribe_relay.tracer.units import ucum

Node = dict[str, Any]
_TIME: Final = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(\.\d{1,9})?\d*)?(Z|[+-]\d\d:\d\d)?)?)?)?"
)


def node(value: object) -> Node:
    """An object, or an empty one."""
    return value if isinstance(value, dict) else {}


def nodes(value: object) -> list[Node]:
    """The objects of a list."""
    return [v for v in value if isinstance(v, dict)] if isinstance(value, list) else []


def text(value: object, most: int = 200) -> str:
    """A string, cut, or an empty one."""
    return value[:most] if isinstance(value, str) else ""


def codings(concept: object) -> list[Coding]:
    """The codes of a CodeableConcept; its text alone if it has no code."""
    found = [
        Coding(text(c.get("system"), 100), text(c.get("code")), text(c.get("display")))
        for c in nodes(node(concept).get("coding"))
        if text(c.get("code"))
    ]
    label = text(node(concept).get("text"))
    if label:
        found = [Coding(c.system, c.code, c.display or label) for c in found]
        found = found or [Coding("", "", label)]
    return found


def has_code(concept: object, *wanted: str) -> bool:
    """Whether a CodeableConcept, or one of several, has one of these codes."""
    many = concept if isinstance(concept, list) else [concept]
    return any(c.code in wanted for one in many for c in codings(one))


def moment(value: object, zone: tzinfo = UTC) -> Instant | None:
    """A FHIR dateTime or instant, with what precision it has."""
    match = _TIME.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, offset = match.groups(default="")
    digits = f"{year}{month}{day}{hour}{minute}{second}{fraction}{offset.replace(':', '')}"
    return instant(digits, zone)


def time_ns(*values: object, zone: tzinfo = UTC) -> int | None:
    """The first of these that names a time of day."""
    for value in values:
        found = moment(value, zone)
        if found is not None and found.of_clock:
            return found.ns
    return None


def quantity(value: object) -> tuple[float | str | None, str]:
    """A Quantity: a number, or text where a comparator stands before it; and its UCUM unit."""
    found = node(value)
    number = found.get("value")
    unit = ucum(text(found.get("code")) or text(found.get("unit")))
    if isinstance(number, bool) or not isinstance(number, int | float) or abs(number) > 1e15:
        return None, unit
    comparator = text(found.get("comparator"))
    return (f"{comparator}{number:g}" if comparator else float(number)), unit

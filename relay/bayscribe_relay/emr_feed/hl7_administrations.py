"""RAS: what was given, when, how much, and whether it was given at all."""

from typing import Final

from bayscribe_relay.clinical.events import EventStatus
from bayscribe_relay.emr_feed.hl7_orders import (
    drug_meanings,
    order_groups,
    order_number,
    quantity,
    route_of,
)
from bayscribe_relay.emr_feed.hl7_reading import Reading
from bayscribe_relay.hl7.er7 import Segment

COMPLETION: Final[dict[str, EventStatus]] = {
    "CP": "final",
    "PA": "final",
    "": "final",
    "RE": "not-done",
    "NA": "not-done",
}
"""RXA-20 (table 0322): complete, partially administered, refused, not administered."""


def ras(reading: Reading) -> None:
    """Interpret an RAS message.

    Raises:
        CannotApply: it names no patient.
    """
    reading.result.who = reading.who()
    for group in order_groups(reading):
        rxa = group.get("RXA")
        if rxa is not None:
            _given(reading, group, rxa)


def _given(reading: Reading, group: dict[str, Segment], rxa: Segment) -> None:
    codings = reading.codings(rxa, 5)
    if not codings:
        return
    status = COMPLETION.get(rxa.get(20).upper(), "final")
    if rxa.get(21).upper() == "D":
        status = "entered-in-error"
    begun = reading.first_time(rxa.get(3))
    ended = reading.time(rxa.get(4))
    route = route_of(group.get("RXR"))
    rate = (rxa.get(12), "") if not rxa.get(12) else _rate(rxa.get(12))
    amount, unit, volume = quantity(rxa.get(6), rxa.get(7))
    if amount == 999:
        amount, volume = None, 0.0
    number = order_number(group) or (reading.result.who.visit if reading.result.who else "")
    ident = reading.event_id("given", number, codings[0].code, str(begun // 10**9))
    meanings = drug_meanings(reading, codings, route, rate, outpatient=False)
    for extra, concept in enumerate(meanings):
        reading.add(
            concept,
            ident,
            extra,
            kind="med_given",
            code=codings[0].code,
            system=codings[0].system,
            display=codings[0].display,
            clinical_ns=begun,
            end_ns=ended if ended is not None and ended > begun else None,
            value=amount,
            unit=unit,
            volume_ml=volume,
            status=status,
        )


def _rate(text: str) -> tuple[str, str]:
    """RXA-12 ``125 mL/h`` as a number and its unit."""
    number = text.strip().split(" ", 1)[0]
    return number, text.strip()[len(number) :].strip()

"""The record as it stands: the latest version of each fact, superseded ones left out."""

from collections.abc import Iterable
from typing import Final

from bayscribe_relay.clinical.events import ClinicalEvent
from bayscribe_relay.tracer.timeline import Event
from bayscribe_relay.tracer.units import Refused, normalise

VOID: Final = frozenset({"cancelled", "entered-in-error", "not-done"})


def current(events: Iterable[ClinicalEvent]) -> list[ClinicalEvent]:
    """Facts in force, by clinical time; the order in which they were heard changes nothing."""
    latest: dict[str, ClinicalEvent] = {}
    for event in events:
        held = latest.get(event.id)
        if held is None or event.version > held.version:
            latest[event.id] = event
    replaced = {e.replaces for e in latest.values() if e.replaces and e.status not in VOID}
    found = [e for e in latest.values() if e.status not in VOID and e.id not in replaced]
    return sorted(found, key=lambda e: (e.clinical_ns, e.id))


def measured(event: ClinicalEvent) -> float | None:
    """An observation's number in the catalogue's unit; None if it has none, or an unknown unit."""
    plain = Event(
        kind=event.kind,
        concept=event.concept,
        t=0,
        received=0,
        value=event.value,
        unit=event.unit or None,
    )
    found = normalise(plain)
    if isinstance(found, Refused) or event.kind != "obs":
        return None
    value = found.value
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value)


def numeric(events: Iterable[ClinicalEvent], concept: str) -> list[tuple[ClinicalEvent, float]]:
    """Numeric observations of a concept in the catalogue's unit, in order."""
    return [(e, v) for e in events if e.concept == concept and (v := measured(e)) is not None]

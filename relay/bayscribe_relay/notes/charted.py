"""Sentences from the record: vital signs, SIRS, fluids, antibiotics, results, orders."""

from collections.abc import Iterable, Sequence
from datetime import tzinfo
from itertools import groupby
from typing import Final

from bayscribe_relay.clinical.drafts import Link, Sentence
from bayscribe_relay.clinical.events import ClinicalEvent
from bayscribe_relay.notes import kinds, wording
from bayscribe_relay.notes.facts import measured, numeric
from bayscribe_relay.tracer.criteria import GROUPS, met
from bayscribe_relay.tracer.timeline import Event

Placed = tuple[str, Sentence]
"""Section code and sentence."""

_GIVEN: Final = "med_given"
_BOLUS: Final = "med.crystalloid_bolus"
_WINDOW_NS: Final = 6 * 3600 * 10**9
"""How long one abnormal value counts towards SIRS (the tracer's window)."""


def links(events: Iterable[ClinicalEvent]) -> tuple[Link, ...]:
    """Links to events."""
    return tuple(Link(kind="event", ref=e.id) for e in events)


def sentence(ident: str, text: str, events: Iterable[ClinicalEvent]) -> Sentence:
    """A sentence of the record."""
    return Sentence(id=ident, text=text, origin="charted", links=links(events))


def statements(
    facts: Sequence[ClinicalEvent], zone: tzinfo, *, child: bool = False
) -> list[Placed]:
    """All sentences that the record gives by itself.

    Args:
        facts: in force, by time.
        zone: in which times of day are written.
        child: the SIRS criteria are adults': of a child nothing is said of them.
    """
    return [
        *_vitals(facts, zone),
        *(() if child else _sirs(facts, zone)),
        *_results(facts, zone),
        *_fluids(facts, zone),
        *_given(facts, zone),
        *_orders(facts, zone),
        *_procedures(facts, zone),
    ]


def _vitals(facts: Sequence[ClinicalEvent], zone: tzinfo) -> list[Placed]:
    """One line for each minute at which vital signs were charted."""
    seen = [e for e in facts if e.concept.startswith("vital.") and wording.value(e)]
    placed = []
    for charted, group in groupby(seen, key=lambda e: e.clinical_ns // (60 * 10**9)):
        rows = list(group)
        text = wording.listed(f"{wording.name(e)} {wording.value(e)}" for e in rows)
        at = wording.clock(rows[0].clinical_ns, zone)
        made = sentence(f"vitals-{charted}", f"{at}: {text}.", rows)
        placed.append((kinds.VITALS, made))
    return placed


def _sirs(facts: Sequence[ClinicalEvent], zone: tzinfo) -> list[Placed]:
    """The latest value that meets each criterion, where two or more fall within six hours."""
    found: dict[str, ClinicalEvent] = {}
    for event in facts:
        value = measured(event)
        if value is None:
            continue
        plain = Event(kind=event.kind, concept=event.concept, t=0, received=0, value=value)
        for name, criterion in met(plain):
            if name == "sirs":
                found[criterion] = event
    if not found:
        return []
    last = max(e.clinical_ns for e in found.values())
    rows = [found[n] for n in GROUPS["sirs"] if n in found]
    rows = [e for e in rows if e.clinical_ns >= last - _WINDOW_NS]
    if len(rows) < 2:
        return []
    text = wording.listed(
        f"{wording.name(e)} {wording.value(e)} at {wording.clock(e.clinical_ns, zone)}"
        for e in rows
    )
    return [(kinds.VITALS, sentence("sirs", f"SIRS criteria met: {text}.", rows))]


def _results(facts: Sequence[ClinicalEvent], zone: tzinfo) -> list[Placed]:
    """Laboratory results; status and multiple of the upper limit where the record has them."""
    placed = []
    for event in facts:
        if not event.concept.startswith("lab.") or not wording.value(event):
            continue
        at = event.collected_ns if event.collected_ns is not None else event.clinical_ns
        word = "collected" if event.collected_ns is not None else "resulted"
        text = f"{wording.name(event)} {wording.value(event)}, {word} {wording.clock(at, zone)}"
        if event.xuln > 1:
            text += f", abnormal: {wording.number(event.xuln)} times the upper limit"
        if event.status in ("preliminary", "corrected"):
            text += f" ({event.status})"
        made = sentence(f"result-{event.id}", f"{text}.", [event])
        placed.append((kinds.RESULTS, made))
    critical = [e for e in facts if e.concept == "lab.critical_flag"]
    for event in critical:
        when = wording.clock(event.clinical_ns, zone)
        text = f"Flagged critical by the laboratory at {when}: {event.display or event.code}."
        placed.append((kinds.RESULTS, sentence(f"critical-{event.id}", text, [event])))
    return placed


def _fluids(facts: Sequence[ClinicalEvent], zone: tzinfo) -> list[Placed]:
    """Crystalloid in mL/kg, with the arithmetic: 2,000 mL / 68 kg = 29.4 mL/kg."""
    given = [e for e in facts if e.kind == _GIVEN and e.concept == _BOLUS and e.volume_ml > 0]
    if not given:
        return []
    placed = []
    for event in given:
        span = wording.clock(event.clinical_ns, zone)
        if event.end_ns is not None:
            span += f" to {wording.clock(event.end_ns, zone)}"
        drug = event.display or "Crystalloid"
        text = f"{drug} {wording.number(event.volume_ml)} mL given {span}."
        placed.append((kinds.MEDICATIONS, sentence(f"fluid-{event.id}", text, [event])))
    weights = [w for w in numeric(facts, "vital.weight_kg") if w[1] > 0 and w[0].unit]
    if not weights:
        return placed
    weight, exact = weights[-1]
    kg = round(exact, 1)
    if kg <= 0:
        return placed
    total = sum(e.volume_ml for e in given)
    parts = " + ".join(f"{wording.number(e.volume_ml)} mL" for e in given)
    whole = f"{parts} = {wording.number(total)} mL; " if len(given) > 1 else ""
    text = (
        f"Crystalloid by weight: {whole}{wording.number(total)} mL / {wording.number(kg)} kg"
        f" = {per_kg(total, kg)} mL/kg."
    )
    placed.append((kinds.MEDICATIONS, sentence("fluid-per-kg", text, [*given, weight])))
    return placed


def per_kg(volume_ml: float, kg: float) -> str:
    """Volume by weight with one decimal."""
    return f"{volume_ml / kg:,.1f}"


def _given(facts: Sequence[ClinicalEvent], zone: tzinfo) -> list[Placed]:
    placed = []
    for event in facts:
        if event.kind != _GIVEN or (event.concept == _BOLUS and event.volume_ml > 0):
            continue
        text = f"{wording.name(event)} given {wording.clock(event.clinical_ns, zone)}"
        if event.end_ns is not None and event.end_ns != event.clinical_ns:
            text += f" to {wording.clock(event.end_ns, zone)}"
        text += " (administration record)."
        placed.append((kinds.MEDICATIONS, sentence(f"given-{event.id}", text, [event])))
    return placed


def _orders(facts: Sequence[ClinicalEvent], zone: tzinfo) -> list[Placed]:
    return [
        (
            kinds.PLAN,
            sentence(
                f"order-{e.id}",
                f"{wording.name(e)} ordered {wording.clock(e.clinical_ns, zone)}.",
                [e],
            ),
        )
        for e in facts
        if e.kind in ("order", "med_order", "rx")
    ]


def _procedures(facts: Sequence[ClinicalEvent], zone: tzinfo) -> list[Placed]:
    return [
        (
            kinds.COURSE,
            sentence(
                f"procedure-{e.id}",
                f"{wording.name(e)} recorded {wording.clock(e.clinical_ns, zone)}.",
                [e],
            ),
        )
        for e in facts
        if e.kind == "proc"
    ]

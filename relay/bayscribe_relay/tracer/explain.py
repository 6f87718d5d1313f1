"""Why a gap was prompted or closed: the events, words, figures and times behind a decision."""

from collections.abc import Iterable
from typing import Any, Literal

import msgspec

from bayscribe_relay.tracer.anchors import anchor, time_of
from bayscribe_relay.tracer.criteria import SOURCES, WINDOW_MIN, met
from bayscribe_relay.tracer.figures import FIGURES
from bayscribe_relay.tracer.network import attribute, compare, matching
from bayscribe_relay.tracer.reads import Computed, Key
from bayscribe_relay.tracer.record import Record
from bayscribe_relay.tracer.rules import (
    AtLeast,
    Compared,
    Every,
    Fact,
    Known,
    Negation,
    Rule,
    Said,
    in_words,
)
from bayscribe_relay.tracer.timeline import Event, Mention
from bayscribe_relay.tracer.units import UNITS


class Reason(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of an explanation.

    Attributes:
        kind: what stands behind it.
        text: for a reader.
        event: id of the event, if it has one.
        utterance: id of the utterance, if it has one.
    """

    kind: Literal["event", "words", "figure", "time", "patient", "absent"]
    text: str
    event: str | None = None
    utterance: str | None = None


def clock(record: Record, minute: int) -> str:
    """A minute from arrival as the reader knows it: clock time if the arrival's is known."""
    if record.start is None:
        return f"minute {minute}"
    return f"{(record.start + minute) // 60 % 24:02d}:{(record.start + minute) % 60:02d}"


def holds(rule: Rule, record: Record) -> bool:
    """Whether a condition of the catalogue holds now."""
    match rule:
        case Every(parts):
            return all(holds(part, record) for part in parts)
        case AtLeast(n, parts):
            return sum(holds(part, record) for part in parts) >= n
        case Negation(part):
            return not holds(part, record)
        case Said(concepts, roles, polarity):
            return bool(record.said(concepts, polarity, roles))
        case Known(name):
            return time_of(record, name) is not None
        case Compared():
            return compare(_figure(rule, record), rule)
        case Fact():
            return bool(matching(rule, record))


def why(rule: Rule, record: Record) -> tuple[Reason, ...]:
    """What makes a condition hold."""
    return tuple(dict.fromkeys(_why(rule, record)))


def why_not(rule: Rule, record: Record) -> tuple[Reason, ...]:
    """What keeps a condition from holding."""
    return tuple(dict.fromkeys(_why_not(rule, record)))


def spoken(record: Record, mentions: Iterable[Mention]) -> tuple[Reason, ...]:
    """The words as reasons."""
    return tuple(
        Reason(
            "words",
            f'{clock(record, m.t)} {m.speaker}: "{m.text}" ({m.concept}, {m.polarity})',
            utterance=m.utterance,
        )
        for m in mentions
    )


def _why(rule: Rule, record: Record) -> Iterable[Reason]:
    match rule:
        case Every(parts) | AtLeast(_, parts):
            for part in parts:
                if holds(part, record):
                    yield from _why(part, record)
        case Negation(part):
            yield from _why_not(part, record)
        case Said(concepts, roles, polarity):
            yield from spoken(record, record.said(concepts, polarity, roles))
        case Known(name):
            yield from _time(name, record)
        case Compared():
            yield from _compared(rule, record)
        case Fact():
            yield from _events(record, matching(rule, record))


def _why_not(rule: Rule, record: Record) -> Iterable[Reason]:
    match rule:
        case Every(parts) | AtLeast(_, parts):
            for part in parts:
                if not holds(part, record):
                    yield from _why_not(part, record)
        case Negation(part):
            yield from _why(part, record)
        case Compared():
            yield from _compared(rule, record)
        case Fact() if rule.op is not None and (seen := record.facts(rule.kind, *rule.concepts)):
            yield from _events(record, seen)
        case _:
            yield Reason("absent", f"not: {in_words(rule)}")


def _figure(rule: Compared, record: Record) -> object:
    if rule.source == "calc":
        return FIGURES[rule.name].compute(record)
    return attribute(record, rule.name)


def _compared(rule: Compared, record: Record) -> Iterable[Reason]:
    found = _figure(rule, record)
    shown = f"{found:.4g}" if isinstance(found, float) else str(found)
    kind: Literal["figure", "patient"] = "figure" if rule.source == "calc" else "patient"
    yield Reason(kind, f"{rule.name} is {shown} (rule: {rule.op} {rule.value})")
    if rule.source == "calc":
        yield from _basis(FIGURES[rule.name], record)


def _time(name: str, record: Record) -> Iterable[Reason]:
    minute = time_of(record, name)
    computed = anchor(name)
    if minute is None or computed is None:
        return
    yield Reason("time", f"{name}: {clock(record, minute)}")
    yield from _basis(computed, record)


def _basis(computed: Computed[Any], record: Record) -> Iterable[Reason]:
    for key in computed.keys:
        yield from _read(key, record)
    for name in computed.anchors:
        yield from _time(name, record)


def _read(key: Key, record: Record) -> Iterable[Reason]:
    kind, name = key
    if kind == "said":
        yield from spoken(record, record.said((name,)))
    elif kind == "met":
        sources = {
            source for (group, _), keys in SOURCES.items() if group == name for source in keys
        }
        for source in sorted(sources):
            recent = [e for e in record.facts(*source) if e.t >= record.now - WINDOW_MIN]
            yield from _events(record, [e for e in recent if any(g == name for g, _ in met(e))])
    elif kind != "patient":
        yield from _events(record, record.facts(kind, name))


def _events(record: Record, events: Iterable[Event]) -> Iterable[Reason]:
    for e in events:
        shown = "" if e.value is None or e.value is True else f" {_number(e.value)}"
        unit = UNITS.get(e.concept, "") if shown else ""
        name = f" {e.name}" if e.name else ""
        volume = f" {_number(e.volume_ml)} mL" if e.volume_ml else ""
        text = f"{clock(record, e.t)} {e.kind} {e.concept}{name}{shown}{f' {unit}' if unit else ''}"
        yield Reason("event", text + volume, event=e.id)


def _number(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)

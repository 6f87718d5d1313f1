"""From a timeline to prompts: one step a minute, a pure function of what was known then."""

import operator
import re
from dataclasses import dataclass, field
from typing import Any

from bayscribe_relay.tracer.catalogue import Gap
from bayscribe_relay.tracer.figures import FIGURES
from bayscribe_relay.tracer.rules import (
    AtLeast,
    Compared,
    Every,
    Fact,
    Known,
    Negation,
    Rule,
    Said,
)
from bayscribe_relay.tracer.timeline import Event, Record
from bayscribe_relay.tracer.view import View

ANY_POLARITY = ("stroke_ct_interpretation",)
"""Gaps that a negated statement answers too ("no hemorrhage")."""


@dataclass
class Prompt:
    """A gap that was put to the clinician, why, and how it closed."""

    gap: Gap
    minute: int
    text: str
    because: list[str]
    closed_minute: int | None = None
    closed_by: str | None = None


@dataclass
class _State:
    onset: int | None = None
    prompt: Prompt | None = None
    answered: bool = False


@dataclass
class Tracer:
    """The evaluator of one encounter: call ``step`` for each minute in turn."""

    gaps: list[Gap]
    record: Record
    departed: int | None = None
    prompts: list[Prompt] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._states = {gap.id: _State() for gap in self.gaps}

    def step(self, now: int) -> list[Prompt]:
        """Judge every gap at minute ``now``; the prompts that are new."""
        view = View(self.record, now)
        fresh = [p for gap in self.gaps if (p := self._judge(gap, view)) is not None]
        self.prompts += fresh
        return fresh

    def _judge(self, gap: Gap, view: View) -> Prompt | None:
        state = self._states[gap.id]
        excluded = any(holds(rule, view) for rule in gap.exclusions)
        if excluded or not holds(gap.trigger, view):
            state.onset = None
            _close(state.prompt, view.now, "record")
            return None
        if state.onset is None:
            state.onset = view.now
        answers = view.said(gap.attestation, "any" if gap.id in ANY_POLARITY else "affirmed")
        if answers:
            state.answered = state.answered or state.prompt is not None
            _close(state.prompt, view.now, "said")
            return None
        if state.prompt is not None or not self._due(gap, state.onset, view):
            return None
        state.prompt = Prompt(gap, view.now, _text(gap, view), evidence(gap.trigger, view))
        return state.prompt

    def _due(self, gap: Gap, onset: int, view: View) -> bool:
        due: int = onset + gap.grace_min
        if gap.before_deadline:
            start = view.anchor(gap.deadline_anchor) if gap.deadline_anchor else None
            if start is None:
                return False
            due = max(onset, start + _offset(gap, view.patient) - gap.lead_min)
        if view.now < due or (self.departed is not None and view.now >= self.departed):
            return False
        waiting = [self._states[name] for name in gap.defer_to if name in self._states]
        return not any(state.prompt is not None and not state.answered for state in waiting)


def _close(prompt: Prompt | None, now: int, by: str) -> None:
    if prompt is not None and prompt.closed_minute is None:
        prompt.closed_minute, prompt.closed_by = now, by


def _offset(gap: Gap, patient: dict[str, Any]) -> int:
    if isinstance(gap.deadline_min, int):
        return gap.deadline_min
    adult, from_9, younger = gap.deadline_min
    age = patient["age_years"]
    return adult if age >= 18 else from_9 if age >= 9 else younger


def holds(rule: Rule, view: View) -> bool:
    """Whether a condition of the catalogue holds."""
    match rule:
        case Every(parts):
            return all(holds(part, view) for part in parts)
        case AtLeast(n, parts):
            return sum(holds(part, view) for part in parts) >= n
        case Negation(part):
            return not holds(part, view)
        case Said(concepts, roles, polarity):
            return bool(view.said(concepts, polarity, roles))
        case Known(anchor):
            return view.anchor(anchor) is not None
        case Compared(_, _, op, value):
            found = _figure(rule, view)
            return found is not None and bool(getattr(operator, op)(found, value))
        case Fact():
            return bool(_matching(rule, view))


def _figure(rule: Compared, view: View) -> Any:  # noqa: ANN401 - patient attributes of any type
    if rule.source == "calc":
        return FIGURES[rule.name](view)
    return view.patient.get(rule.name, True if rule.name == "age_known" else None)


def _matching(rule: Fact, view: View) -> list[Event]:
    found = view.facts(rule.kind, *rule.concepts)
    if rule.op is None or not found:
        return found
    if rule.agg == "latest":
        found = [max(found, key=lambda e: e.t)]
    elif rule.agg == "min":
        found = [min(found, key=lambda e: e.value)]
    return [e for e in found if getattr(operator, rule.op)(e.value, rule.value)]


def evidence(rule: Rule, view: View) -> list[str]:
    """What makes a condition hold: events, words and figures, one line each."""
    match rule:
        case Every(parts) | AtLeast(_, parts):
            lines = [line for p in parts if holds(p, view) for line in evidence(p, view)]
            return list(dict.fromkeys(lines))
        case Negation():
            return [f"not: {_name(rule.part)}"]
        case Said(concepts, roles, polarity):
            said = view.said(concepts, polarity, roles)
            return [f'minute {m.t}: {m.speaker} said "{m.text}" ({m.concept})' for m in said]
        case Known(anchor):
            return [f"{anchor}: minute {view.anchor(anchor)}"]
        case Compared(_, name, op, value):
            return [f"{name} = {_figure(rule, view)} ({op} {value})"]
        case Fact():
            return [
                f"minute {e.t}: {e.kind} {e.concept}" + (f" {e.value}" if e.value else "")
                for e in _matching(rule, view)
            ]


def _name(rule: Rule) -> str:
    match rule:
        case Every(parts) | AtLeast(_, parts):
            return ", ".join(_name(part) for part in parts)
        case Negation(part):
            return f"not {_name(part)}"
        case Known(anchor):
            return anchor
        case Compared(_, name, op, value):
            return f"{name} {op} {value}"
        case Said(concepts) | Fact(_, concepts):
            return " or ".join(concepts)


def _text(gap: Gap, view: View) -> str:
    return re.sub(r"\{(\w+)[^}]*\}", lambda found: _word(found[1], view), gap.template)


def _word(name: str, view: View) -> str:
    """A placeholder's value; what the record does not give is said to be so."""
    if name == "sirs_list":
        return ", ".join(view.sirs(view.now))
    if name == "organ_dysfunction_list":
        return ", ".join(view.organ_dysfunction(view.now))
    if name in FIGURES:
        value = FIGURES[name](view)
        return "not known" if value is None else f"{value:.4g}"
    if name.endswith("_time") and (minute := view.anchor(name[:-5])) is not None:
        return f"minute {minute}"
    return "not known"

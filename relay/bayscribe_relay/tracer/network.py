"""The catalogue compiled: conditions as a graph in which only what changed is computed anew.

A node is a fact, a word, a patient's attribute, a figure, a named time or a condition; equal
conditions of several gaps are one node. Nodes stand in an order in which each reads only
earlier ones, and sets of them are bit masks, so that settling a change is one pass from the
lowest bit up. The last nodes are the gaps, in the order in which they are judged.

The graph holds nothing of a patient: all encounters of a relay share one.
"""

import operator
from collections.abc import Callable
from typing import Any, Protocol

from bayscribe_relay.tracer.anchors import ANCHORS, anchor
from bayscribe_relay.tracer.criteria import is_number
from bayscribe_relay.tracer.figures import FIGURES, SINCE
from bayscribe_relay.tracer.gap import Gap
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
)
from bayscribe_relay.tracer.timeline import Event


class Run(Protocol):
    """What a node needs of the encounter that it is computed for."""

    record: Record
    values: list[Any]

    def wake(self, minute: int, mask: int) -> None:
        """Have the nodes of ``mask`` computed again at ``minute``."""


Compute = Callable[[Run], Any]

ANY_POLARITY = ("stroke_ct_interpretation",)
"""Gaps that a negated statement answers too ("no hemorrhage")."""


class Network:
    """The compiled catalogue.

    Attributes:
        gaps: in the order in which they are judged.
        nodes: how to compute each node.
        readers: what reads a key, as a mask.
        dependents: what reads each node, as masks.
        base: index of the first gap's node.
        trigger: by gap, the node of "triggered and not excluded".
        answered: by gap, the node of "the answer was spoken".
        deadline: by gap, the node of the named time that its deadline counts from, or -1.
        deferring: by gap, the positions of gaps that wait while its prompt is open.
    """

    def __init__(self, gaps: tuple[Gap, ...]) -> None:
        self.gaps = gaps
        self.nodes: list[Compute] = []
        self.readers: dict[Key, int] = {}
        self.dependents: list[int] = []
        self._index: dict[object, int] = {}
        for name in ANCHORS:
            self._anchor(name)
        self.trigger = [
            self._rule(Every((gap.trigger, Negation(AtLeast(1, gap.exclusions))))) for gap in gaps
        ]
        self.answered = [
            self._said(
                gap.attestation,
                gap.roles,
                "any" if gap.id in ANY_POLARITY else "affirmed",
            )
            for gap in gaps
        ]
        self.deadline = [
            self._anchor(gap.deadline_anchor) if gap.deadline_anchor else -1 for gap in gaps
        ]
        self.base = len(self.nodes)
        positions = {gap.id: i for i, gap in enumerate(gaps)}
        self.deferring = [
            tuple(i for i, other in enumerate(gaps) if gap.id in other.defer_to) for gap in gaps
        ]
        self.defers = [
            tuple(positions[name] for name in gap.defer_to if name in positions) for gap in gaps
        ]
        for i, gap in enumerate(gaps):
            self.dependents.append(0)
            mask = 1 << (self.base + i)
            for node in (self.trigger[i], self.answered[i], self.deadline[i]):
                if node >= 0:
                    self.dependents[node] |= mask
            if isinstance(gap.deadline_min, tuple):
                self._read(("patient", "age_years"), mask)
        self.everything = (1 << (self.base + len(gaps))) - 1

    # Making nodes.

    def _add(
        self, name: object, compute: Compute, keys: tuple[Key, ...], inputs: tuple[int, ...]
    ) -> int:
        index = self._index[name] = len(self.nodes)
        self.nodes.append(compute)
        self.dependents.append(0)
        for node in inputs:
            self.dependents[node] |= 1 << index
        for key in keys:
            self._read(key, 1 << index)
        return index

    def _read(self, key: Key, mask: int) -> None:
        self.readers[key] = self.readers.get(key, 0) | mask

    def _anchor(self, name: str) -> int:
        node = ("anchor", name)
        if node in self._index:
            return self._index[node]
        found: Computed[int | None] | None = anchor(name)
        if found is None:
            raise LookupError(name)

        def compute(run: Run) -> int | None:
            minute = found.compute(run.record)
            run.record.anchors[name] = minute
            return minute

        return self._add(node, compute, found.keys, tuple(self._anchor(a) for a in found.anchors))

    def _rule(self, rule: Rule) -> int:
        if rule in self._index:
            return self._index[rule]
        match rule:
            case Every(parts):
                return self._every(rule, tuple(self._rule(part) for part in parts))
            case AtLeast(n, parts):
                return self._at_least(rule, n, tuple(self._rule(part) for part in parts))
            case Negation(part):
                node = self._rule(part)
                return self._add(rule, lambda run: not run.values[node], (), (node,))
            case Said(concepts, roles, polarity):
                return self._said(concepts, roles, polarity)
            case Known(name):
                node = self._anchor(name)
                return self._add(rule, lambda run: run.values[node] is not None, (), (node,))
            case Fact():
                return self._fact(rule)
            case Compared():
                return self._compared(rule)

    def _every(self, rule: Rule, parts: tuple[int, ...]) -> int:
        def compute(run: Run) -> bool:
            values = run.values
            for node in parts:  # noqa: SIM110 - a generator here costs a third of all time
                if not values[node]:
                    return False
            return True

        return self._add(rule, compute, (), parts)

    def _at_least(self, rule: Rule, n: int, parts: tuple[int, ...]) -> int:
        def compute(run: Run) -> bool:
            values = run.values
            return sum([bool(values[node]) for node in parts]) >= n

        return self._add(rule, compute, (), parts)

    def _said(self, concepts: tuple[str, ...], roles: tuple[str, ...], polarity: str) -> int:
        rule = Said(concepts, roles, polarity)
        if rule in self._index:
            return self._index[rule]
        keys = tuple(("said", concept) for concept in concepts)
        return self._add(
            rule, lambda run: bool(run.record.said(concepts, polarity, roles)), keys, ()
        )

    def _fact(self, rule: Fact) -> int:
        keys = tuple((rule.kind, concept) for concept in rule.concepts)
        return self._add(rule, lambda run: bool(matching(rule, run.record)), keys, ())

    def _compared(self, rule: Compared) -> int:
        if rule.source == "patient":
            return self._add(
                rule,
                lambda run: compare(attribute(run.record, rule.name), rule),
                tuple(("patient", name) for name in {rule.name, "age_years"}),
                (),
            )
        if rule.name in SINCE:
            return self._since(rule)
        figure = self._figure(rule.name)
        return self._add(rule, lambda run: compare(run.values[figure], rule), (), (figure,))

    def _figure(self, name: str) -> int:
        node = ("figure", name)
        if node in self._index:
            return self._index[node]
        found = FIGURES[name]
        inputs = tuple(self._anchor(a) for a in found.anchors)
        return self._add(node, lambda run: found.compute(run.record), found.keys, inputs)

    def _since(self, rule: Compared) -> int:
        """A figure that grows with time: computed anew when it crosses the threshold."""
        start = self._anchor(SINCE[rule.name])
        mask = 1 << len(self.nodes)

        def compute(run: Run) -> bool:
            begun = run.values[start]
            if begun is None:
                return False
            now = run.record.now
            for crossing in (begun + rule.value, begun + rule.value + 1):
                if crossing > now:
                    run.wake(int(crossing), mask)
            return compare(now - begun, rule)

        return self._add(rule, compute, (), (start,))


def matching(rule: Fact, record: Record) -> list[Event]:
    """The events for which a fact of the catalogue holds."""
    found = record.facts(rule.kind, *rule.concepts)
    if rule.op is None or not found:
        return found
    if not isinstance(rule.value, str):
        found = [e for e in found if is_number(e.value)]
    if rule.agg == "latest" and found:
        found = [max(found, key=lambda e: e.t)]
    elif rule.agg == "min" and found:
        found = [min(found, key=lambda e: e.value)]
    return [e for e in found if getattr(operator, rule.op)(e.value, rule.value)]


def attribute(record: Record, name: str) -> Any:  # noqa: ANN401 - attributes are of any type
    """A patient's attribute; the age counts as known unless the record says otherwise."""
    if name == "age_known":
        return record.patient.get(name, record.patient.get("age_years") is not None)
    return record.patient.get(name)


def compare(found: Any, rule: Compared) -> bool:  # noqa: ANN401 - attributes are of any type
    """Whether a figure or an attribute stands to the rule's value as the rule wants."""
    if found is None:
        return False
    return bool(getattr(operator, rule.op)(found, rule.value))

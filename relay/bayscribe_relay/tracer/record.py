"""The record of one encounter as it stands at one minute, indexed by concept.

It holds only what counts at ``now``: received, happened, neither replaced nor void. The
tracer moves it forward; rules, figures, named times and texts only read it.
"""

from bisect import bisect_right, insort
from typing import Any

from bayscribe_relay.tracer.criteria import GROUPS, WINDOW_MIN, is_number, met
from bayscribe_relay.tracer.timeline import CLINICIANS, Event, Mention

OTHER_CAUSES = tuple(
    f"{what}_other_cause"
    for what in ("organ_dysfunction", "lactate", "aki", "coagulopathy", "hypotension")
)


class Record:
    """Everything that can be asked of an encounter at minute ``now``."""

    __slots__ = ("_criteria", "_events", "_mentions", "anchors", "now", "patient", "start")

    def __init__(self, patient: dict[str, Any], start: int | None = None) -> None:
        self.now = -1
        self.patient = patient
        self.start = start
        self.anchors: dict[str, int | None] = {}
        self._events: dict[tuple[str, str], list[Event]] = {}
        self._mentions: dict[str, list[Mention]] = {}
        self._criteria: dict[tuple[str, str], list[int]] = {}

    # What the tracer does to it.

    def insert(self, event: Event) -> list[tuple[str, str]]:
        """Let an event count; the criteria (group, name) that it meets."""
        events = self._events.setdefault((event.kind, event.concept), [])
        insort(events, event, key=Event.order)
        criteria = met(event)
        for criterion in criteria:
            insort(self._criteria.setdefault(criterion, []), event.t)
        return criteria

    def remove(self, event: Event) -> list[tuple[str, str]]:
        """Let an event count no longer; the criteria that it met."""
        self._events[event.kind, event.concept].remove(event)
        criteria = met(event)
        for criterion in criteria:
            self._criteria[criterion].remove(event.t)
        return criteria

    def hear(self, mention: Mention) -> None:
        """Let a mention count."""
        insort(
            self._mentions.setdefault(mention.concept, []),
            mention,
            key=lambda m: (m.t, m.received, m.speaker, m.text),
        )

    def unhear(self, mention: Mention) -> None:
        """Let a mention count no longer."""
        self._mentions[mention.concept].remove(mention)

    # What rules ask of it.

    def facts(self, kind: str, *concepts: str) -> list[Event]:
        """Events of the kind and concepts, in order of the record. Not to be changed."""
        if len(concepts) == 1:
            return self._events.get((kind, concepts[0]), [])
        found = [e for c in concepts for e in self._events.get((kind, c), [])]
        return sorted(found, key=Event.order)

    def said(
        self,
        concepts: tuple[str, ...],
        polarity: str = "affirmed",
        roles: tuple[str, ...] = CLINICIANS,
    ) -> list[Mention]:
        """Mentions of the concepts by those roles."""
        return [
            m
            for concept in concepts
            for m in self._mentions.get(concept, ())
            if m.speaker in roles and polarity in ("any", m.polarity)
        ]

    def times(self, kind: str, *concepts: str) -> list[int]:
        """When such events happened."""
        return [e.t for e in self.facts(kind, *concepts)]

    def lactates(self) -> list[Event]:
        """Lactate results in order of collection."""
        known = [e for e in self.facts("obs", "lab.lactate") if is_number(e.value)]
        return sorted(known, key=lambda e: e.sampled)

    def low_pressures(self, start: int, end: int) -> list[int]:
        """Minutes of SBP < 90 or MAP < 65 mm Hg, from ``start`` to ``end``."""
        times = self._criteria.get(("organ", "hypotension"), [])
        return sorted({t for t in times if start <= t <= end})

    def criteria(self, group: str, at: int) -> list[str]:
        """The criteria of a group met in the six hours up to ``at``, excused or not."""
        return [name for name in GROUPS[group] if self._met(group, name, at)]

    def criterion_times(self, group: str, start: int) -> list[int]:
        """Minutes from ``start`` on at which a criterion of the group was newly met."""
        return [t for n in GROUPS[group] for t in self._criteria.get((group, n), ()) if t >= start]

    def sirs(self, at: int) -> list[str]:
        """Adult SIRS criteria met in the six hours up to ``at``."""
        if at < 0:
            return []
        excused = {m.criterion for m in self.said(("sirs_noninfectious_cause",))}
        return [name for name in self.criteria("sirs", at) if name not in excused]

    def organ_dysfunction(self, at: int) -> list[str]:
        """Organ dysfunction in the six hours up to ``at``."""
        excused = {m.criterion for m in self.said(OTHER_CAUSES) if m.criterion}
        if self.facts("hx", "hx.anticoagulant"):
            excused.add("inr")
        if self.facts("hx", "hx.esrd"):
            excused.add("creatinine")
        return [name for name in self.criteria("organ", at) if name not in excused]

    def _met(self, group: str, name: str, at: int) -> bool:
        times = self._criteria.get((group, name))
        if not times:
            return False
        index = bisect_right(times, at)
        return index > 0 and times[index - 1] >= at - WINDOW_MIN


def first(times: list[int]) -> int | None:
    """The earliest, if there is one."""
    return min(times, default=None)

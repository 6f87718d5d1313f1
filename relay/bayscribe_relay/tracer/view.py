"""The record as it stood at one minute: criteria, named times and computed figures.

Thresholds are those of the catalogue's `anchors` and `calcs`; docs/tracer.md says which of
them still need confirmation against the measures' current editions.
"""

from typing import Any

from bayscribe_relay.tracer.timeline import CLINICIANS, Event, Mention, Record

WINDOW_MIN = 360
OTHER_CAUSES = tuple(
    f"{what}_other_cause"
    for what in ("organ_dysfunction", "lactate", "aki", "coagulopathy", "hypotension")
)


def first(times: list[int]) -> int | None:
    """The earliest, if there is one."""
    return min(times, default=None)


class View:
    """Everything that can be asked of a record at minute ``now``."""

    def __init__(self, record: Record, now: int) -> None:
        self.now = now
        self.patient = record.patient
        self.standing = record.visible(now)
        self._mentions = [m for m in record.mentions if m.received <= now]
        self._anchors: dict[str, int | None] = {}

    def facts(self, kind: str, *concepts: str) -> list[Event]:
        """Events of the kind and, if given, concepts, that have happened."""
        return [
            e
            for e in self.standing
            if e.kind == kind and e.t <= self.now and (not concepts or e.concept in concepts)
        ]

    def said(
        self,
        concepts: tuple[str, ...],
        polarity: str = "affirmed",
        roles: tuple[str, ...] = CLINICIANS,
    ) -> list[Mention]:
        """Mentions of the concepts by those roles."""
        return [
            m
            for m in self._mentions
            if m.speaker in roles and m.concept in concepts and polarity in ("any", m.polarity)
        ]

    def times(self, kind: str, *concepts: str) -> list[int]:
        """When such events happened."""
        return [e.t for e in self.facts(kind, *concepts)]

    def lactates(self) -> list[Event]:
        """Lactate results in order of collection."""
        return sorted(self.facts("obs", "lab.lactate"), key=lambda e: e.sampled)

    def low_pressures(self, start: int, end: int) -> list[int]:
        """Minutes of SBP < 90 or MAP < 65 mm Hg."""
        return sorted({e.t for e in self.facts("obs") if start <= e.t <= end and is_hypotension(e)})

    def sirs(self, at: int) -> list[str]:
        """Adult SIRS criteria met in the six hours up to ``at``."""
        if at < 0:
            return []
        met = {
            name: None
            for e in self.standing
            if e.kind == "obs" and at - WINDOW_MIN <= e.t <= at and (name := sirs_criterion(e))
        }
        excused = {m.criterion for m in self.said(("sirs_noninfectious_cause",))}
        return [name for name in met if name not in excused]

    def organ_dysfunction(self, at: int) -> list[str]:
        """Organ dysfunction in the six hours up to ``at``."""
        spared = {
            name
            for name, history in (("inr", "hx.anticoagulant"), ("creatinine", "hx.esrd"))
            if self.facts("hx", history)
        }
        spared |= {m.criterion for m in self.said(OTHER_CAUSES) if m.criterion}
        met = {
            name: None
            for e in self.standing
            if at - WINDOW_MIN <= e.t <= at and (name := dysfunction(e)) and name not in spared
        }
        return list(met)

    def anchor(self, name: str) -> int | None:
        """A named time, in minutes from arrival."""
        from bayscribe_relay.tracer.anchors import compute  # the two define each other

        if name not in self._anchors:
            self._anchors[name] = None
            self._anchors[name] = compute(self, name)
        return self._anchors[name]


def is_hypotension(event: Event) -> bool:
    """SBP < 90 or MAP < 65 mm Hg."""
    limit = {"vital.sbp": 90, "vital.map": 65}.get(event.concept)
    return limit is not None and event.value < limit


def sirs_criterion(event: Event) -> str | None:
    """The SIRS criterion (SEP-1: T > 38.3 or < 36.0) that an observation meets."""
    concept, value = event.concept, event.value
    met: dict[str, tuple[str, Any]] = {
        "vital.temp_c": ("temp", lambda v: v > 38.3 or v < 36.0),
        "vital.hr": ("hr", lambda v: v > 90),
        "vital.rr": ("rr", lambda v: v > 20),
        "lab.wbc": ("wbc", lambda v: v > 12 or v < 4),
        "lab.bands_pct": ("wbc", lambda v: v > 10),
    }
    name, test = met.get(concept, (None, None))
    return name if test is not None and test(value) else None


def dysfunction(event: Event) -> str | None:
    """The organ dysfunction that an event shows."""
    if event.kind == "proc":
        return "resp" if event.concept in ("proc.niv", "proc.invasive_vent") else None
    if event.kind != "obs":
        return None
    if is_hypotension(event):
        return "hypotension"
    if event.concept == "lab.platelets":
        return "platelets" if event.value < 100 else None
    limits = {"creatinine": 2.0, "bilirubin": 2.0, "inr": 1.5, "lactate": 2.0}
    name = event.concept.removeprefix("lab.")
    return name if name in limits and event.value > limits[name] else None

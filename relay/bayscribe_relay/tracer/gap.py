"""One thing that the record may imply and the narrative lack."""

from dataclasses import dataclass
from typing import Any

from bayscribe_relay.tracer.rules import Rule


@dataclass(frozen=True)
class Doubt:
    """A fact of the catalogue that a site must confirm before it relies on it."""

    claim: str
    confirm: str
    source: str


@dataclass(frozen=True)
class Gap:
    """A gap of the catalogue. Times in minutes."""

    id: str
    group: str
    title: str
    profile: str
    priority: str
    enabled: bool
    exclusions: tuple[Rule, ...]
    trigger: Rule
    attestation: tuple[str, ...]
    roles: tuple[str, ...]
    deadline_anchor: str | None
    deadline_min: int | tuple[int, int, int]
    before_deadline: bool
    grace_min: int
    lead_min: int
    defer_to: tuple[str, ...]
    template: str
    doubts: tuple[Doubt, ...]

    @property
    def unverified(self) -> tuple[str, ...]:
        """The claims to be confirmed."""
        return tuple(doubt.claim for doubt in self.doubts)

    def offset(self, patient: dict[str, Any]) -> int:
        """Minutes from the anchor to the deadline; by age where the measure counts by age.

        Of an unknown age the shortest holds.
        """
        if isinstance(self.deadline_min, int):
            return self.deadline_min
        adult, from_9, younger = self.deadline_min
        age = patient.get("age_years")
        if age is None:
            return min(self.deadline_min)
        return adult if age >= 18 else from_9 if age >= 9 else younger

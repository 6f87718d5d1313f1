"""The catalogue: YAML files that a clinician can read, one a measure group, strictly loaded."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from bayscribe.errors import ConfigError
from bayscribe_relay.tracer.rules import Rule, parse_rule

FOLDER = Path(__file__).parent / "catalogue"


@dataclass(frozen=True)
class Gap:
    """One thing that the record may imply and the narrative lack. Times in minutes."""

    id: str
    group: str
    title: str
    profile: str
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
    unverified: tuple[str, ...]

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


@cache
def load(folder: Path = FOLDER) -> tuple[Gap, ...]:
    """All gaps, in the order in which those of one minute are judged.

    Raises:
        ConfigError: a file is not as it must be; file and gap are named.
    """
    found: list[tuple[int, Gap]] = []
    for path in sorted(folder.glob("*.yaml")):
        try:
            document = yaml.safe_load(path.read_text(encoding="utf-8"))
            entries = document["gaps"]
        except (yaml.YAMLError, KeyError, TypeError) as error:
            raise ConfigError(f"{path.name}: {error!r}", "correct the file") from None
        found += [(int(entry["order"]), _gap(entry, path.name)) for entry in entries]
    gaps = tuple(gap for _, gap in sorted(found, key=lambda pair: pair[0]))
    names = {gap.id for gap in gaps}
    if len(names) != len(gaps):
        raise ConfigError(f"{folder}: a gap is defined twice", "give each its own id")
    for gap in gaps:
        if missing := set(gap.defer_to) - names:
            raise ConfigError(f"{gap.id}: defers to unknown {missing}", "correct the file")
    return gaps


def _gap(entry: dict[str, Any], file: str) -> Gap:
    where = f"{file}: {entry.get('id', '?')}"
    try:
        deadline, prompt = entry["deadline"] or {}, entry["prompt"]
        if prompt["mode"] not in ("on_trigger", "before_deadline"):
            raise ConfigError(f"{where}: no prompt mode {prompt['mode']!r}", "correct the file")
        return Gap(
            id=entry["id"],
            group=entry["group"],
            title=entry["title"],
            profile=entry["profile"],
            enabled=entry["enabled_by_default"],
            exclusions=tuple(
                parse_rule(node, f"{where}: exclude_if_any")
                for node in entry["applies"]["exclude_if_any"]
            ),
            trigger=parse_rule(entry["trigger"], f"{where}: trigger"),
            attestation=tuple(entry["attestation"]["concepts_any_of"]),
            roles=tuple(entry["attestation"]["by_roles"]),
            deadline_anchor=deadline.get("anchor"),
            deadline_min=_offset(deadline.get("offset_min", 0)),
            before_deadline=prompt["mode"] == "before_deadline",
            grace_min=int(prompt["grace_min"] or 0),
            lead_min=int(prompt["lead_min"] or 0),
            defer_to=tuple(prompt["defer_to_open_prompts"]),
            template=prompt["template"],
            unverified=tuple(fact["claim"] for fact in entry["facts"] if not fact["verified"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{where}: {error!r}", "correct the file") from None


def _offset(value: int | str) -> int | tuple[int, int, int]:
    """Minutes, or ``age:ADULT|FROM_9|YOUNGER``."""
    if isinstance(value, int):
        return value
    adult, from_9, younger = value.removeprefix("age:").split("|")
    return int(adult), int(from_9), int(younger)

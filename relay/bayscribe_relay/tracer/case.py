"""Recorded timelines (case files) and their replay."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from bayscribe.errors import BadUse
from bayscribe_relay.tracer.catalogue import load
from bayscribe_relay.tracer.gap import Gap
from bayscribe_relay.tracer.network import Network
from bayscribe_relay.tracer.timeline import event_of, utterance_of
from bayscribe_relay.tracer.tracer import Closed, Fired, Tracer


@dataclass
class Prompt:
    """A gap that was put to the clinician, and how it closed."""

    fired: Fired
    closed: Closed | None = None

    @property
    def gap(self) -> Gap:
        """What was missing."""
        return self.fired.gap

    @property
    def minute(self) -> int:
        """When it fired."""
        return self.fired.minute

    @property
    def closed_minute(self) -> int | None:
        """When it closed."""
        return self.closed.minute if self.closed else None

    @property
    def closed_by(self) -> str | None:
        """``said`` or ``record``."""
        return self.closed.by if self.closed else None


def read(path: Path) -> list[dict[str, Any]]:
    """The cases of a file.

    Raises:
        BadUse: it cannot be read or is not a case file.
    """
    try:
        cases = yaml.safe_load(path.read_text(encoding="utf-8"))["cases"]
    except OSError as error:
        raise BadUse(f"cannot read {path}: {error.strerror}", "name a case file") from None
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError):
        raise BadUse(f"{path} is not a case file", "it is YAML with a list `cases`") from None
    needed = {"id", "patient", "profiles", "horizon_min", "events"}
    for case in cases if isinstance(cases, list) else [None]:
        if not isinstance(case, dict) or (lacking := needed - set(case)):
            missing = sorted(lacking) if isinstance(case, dict) else "a list of cases"
            raise BadUse(f"{path}: missing {missing}", "correct the case")
        if not isinstance(case["patient"], dict) or "age_years" not in case["patient"]:
            raise BadUse(f"{path}: {case['id']}: no patient.age_years", "correct the case")
    return list(cases)


def tracer_of(case: dict[str, Any]) -> Tracer:
    """A tracer that has been told all of a case and has judged nothing yet."""
    on, off = case.get("enable", []), case.get("disable", [])
    gaps = tuple(
        gap
        for gap in load()
        if (gap.enabled or gap.id in on) and gap.profile in case["profiles"] and gap.id not in off
    )
    tracer = Tracer(_network(gaps), case["patient"], start=_arrival(case))
    for place, raw in enumerate(case["events"]):
        tracer.add(event_of(raw, place))
    for raw in case.get("utterances") or []:
        tracer.add_utterance(utterance_of(raw))
    if case.get("departed_t") is not None:
        tracer.depart(int(case["departed_t"]))
    return tracer


def replay(case: dict[str, Any]) -> list[Prompt]:
    """Every prompt of a case up to its horizon, in the order in which they fired."""
    return prompts_of(tracer_of(case).advance(int(case["horizon_min"])))


def prompts_of(decisions: list[Fired | Closed]) -> list[Prompt]:
    """Decisions joined by gap."""
    prompts: dict[str, Prompt] = {}
    for decision in decisions:
        if isinstance(decision, Fired):
            prompts[decision.gap.id] = Prompt(decision)
        else:
            prompts[decision.gap.id].closed = decision
    return list(prompts.values())


@cache
def _network(gaps: tuple[Gap, ...]) -> Network:
    return Network(gaps)


def _arrival(case: dict[str, Any]) -> int | None:
    """Minutes after midnight of ``arrival_clock``; YAML reads 13:30 as a number of minutes."""
    given = case.get("arrival_clock")
    if given is None or isinstance(given, int):
        return given
    try:
        hours, minutes = str(given).split(":")
        return int(hours) % 24 * 60 + int(minutes)
    except ValueError:
        raise BadUse(f"{case['id']}: arrival_clock {given!r}", "write it as 'HH:MM'") from None

"""Recorded timelines (case files) and their replay."""

from pathlib import Path
from typing import Any

import yaml

from bayscribe.errors import BadUse
from bayscribe_relay.tracer.catalogue import load
from bayscribe_relay.tracer.evaluate import Prompt, Tracer
from bayscribe_relay.tracer.timeline import Record, event_of, mentions_of


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


def replay(case: dict[str, Any]) -> list[Prompt]:
    """Every prompt of a case, minute by minute to its horizon."""
    on, off = case.get("enable", []), case.get("disable", [])
    gaps = [
        gap
        for gap in load()
        if (gap.enabled or gap.id in on) and gap.profile in case["profiles"] and gap.id not in off
    ]
    record = Record(case["patient"])
    for raw in case["events"]:
        record.add(event_of(raw))
    for raw in case.get("utterances", []):
        record.mentions += mentions_of(raw)
    tracer = Tracer(gaps, record, case.get("departed_t"))
    for now in range(case["horizon_min"] + 1):
        tracer.step(now)
    return tracer.prompts

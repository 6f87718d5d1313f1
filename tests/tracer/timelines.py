"""Random and generated timelines in the format of case files."""

import random
from collections.abc import Callable
from typing import Any

from bayscribe_relay.tracer.catalogue import load
from bayscribe_relay.tracer.rules import Fact, Said, leaves

Case = dict[str, Any]

PROFILES = ["acute", "procedure", "disposition", "billing", "screening"]

RANGES = {
    "vital.temp_c": (35.0, 40.0),
    "vital.hr": (60, 140),
    "vital.rr": (12, 30),
    "vital.sbp": (70, 200),
    "vital.map": (50, 120),
    "lab.wbc": (2, 18),
    "lab.bands_pct": (0, 20),
    "lab.creatinine": (0.5, 4),
    "lab.bilirubin": (0.5, 4),
    "lab.platelets": (50, 200),
    "lab.inr": (0.8, 3),
    "lab.lactate": (0.5, 6),
    "vital.weight_kg": (40, 120),
    "lab.glucose": (60, 400),
    "lab.bhb": (0, 6),
    "lab.ph": (7, 7.5),
    "lab.hco3": (5, 28),
    "vital.nihss": (0, 20),
    "lab.troponin": (1, 50),
}
OTHER_UNITS: dict[str, tuple[str, Callable[[float], float]]] = {
    "vital.temp_c": ("[degF]", lambda x: x * 1.8 + 32),
    "vital.weight_kg": ("[lb_av]", lambda x: x / 0.45359237),
    "lab.lactate": ("mg/dL", lambda x: x * 9.008),
    "lab.creatinine": ("umol/L", lambda x: x * 88.4),
    "lab.glucose": ("mmol/L", lambda x: x / 18.016),
    "lab.bilirubin": ("umol/L", lambda x: x * 17.1),
}
SEPSIS = [
    ("order", "order.blood_culture"),
    ("order", "order.lactate"),
    ("med_given", "med.iv_antibiotic"),
    ("med_order", "med.crystalloid_bolus"),
    ("med_given", "med.crystalloid_bolus"),
    ("collected", "lab.lactate"),
    ("med_given", "med.vasopressor"),
]


def _vocabulary() -> tuple[list[tuple[str, str]], list[str], dict[str, list[Any]]]:
    pairs: set[tuple[str, str]] = set()
    words: set[str] = set()
    values: dict[str, list[Any]] = {}
    for gap in load():
        words.update(gap.attestation)
        for rule in (gap.trigger, *gap.exclusions):
            for leaf in leaves(rule):
                if isinstance(leaf, Fact):
                    for concept in leaf.concepts:
                        pairs.add((leaf.kind, concept))
                        if leaf.op is not None:
                            values.setdefault(concept, []).append(leaf.value)
                elif isinstance(leaf, Said):
                    words.update(leaf.concepts)
    return sorted(pairs), sorted(words), values


PAIRS, WORDS, VALUES = _vocabulary()


def random_case(seed: int, longest: int = 400) -> Case:
    """A timeline of up to ``longest`` minutes with everything that goes wrong in a feed."""
    draw = random.Random(seed)
    horizon = draw.randint(60, longest)
    events: list[Case] = []
    for i in range(draw.randint(5, 40)):
        event = _event(draw, horizon, f"e{i}")
        if events and draw.random() < 0.1:
            event = _correction(draw, draw.choice(events), f"e{i}")
        if draw.random() < 0.05:
            event["status"] = draw.choice(["cancelled", "entered-in-error", "not-done"])
        events.append(event)
    draw.shuffle(events)
    patient: Case = {
        "age_years": draw.choice([1, 8, 10, 17, 18, 40, 70, 85]),
        "sex": draw.choice("MF"),
    }
    if draw.random() < 0.3:
        patient |= {"creatinine_baseline": 1.0, "phoenix_score": 2, "interpreter_needed": True}
    case: Case = {
        "id": f"random-{seed}",
        "patient": patient,
        "profiles": PROFILES,
        "horizon_min": horizon,
        "events": events,
        "utterances": [_utterance(draw, horizon) for _ in range(draw.randint(0, 10))],
        "enable": [gap.id for gap in load()] if draw.random() < 0.5 else [],
    }
    if draw.random() < 0.2:
        case["departed_t"] = draw.randint(20, horizon)
    return case


def _event(draw: random.Random, horizon: int, name: str) -> Case:
    chance = draw.random()
    kind, concept = (
        ("obs", draw.choice(list(RANGES)))
        if chance < 0.45
        else draw.choice(SEPSIS)
        if chance < 0.7
        else draw.choice(PAIRS)
    )
    t = draw.randint(-30, horizon) if draw.random() < 0.1 else draw.randint(0, horizon)
    event: Case = {"kind": kind, "concept": concept, "t": t, "id": name}
    if draw.random() < 0.25:
        event["t_recv"] = t + draw.randint(-20, 60)
    if kind == "obs":
        event["value"] = round(draw.uniform(*RANGES.get(concept, (0, 100))), 1)
        limits = VALUES.get(concept, [])
        if limits and not isinstance(limits[0], bool | str) and draw.random() < 0.3:
            event["value"] = draw.choice(limits)
        if concept in OTHER_UNITS and draw.random() < 0.3:
            event["unit"], convert = OTHER_UNITS[concept]
            event["value"] = round(convert(event["value"]), 1)
        if concept == "lab.lactate" and draw.random() < 0.5:
            event["collected_t"] = max(0, t - draw.randint(5, 40))
        if concept == "lab.troponin":
            event["xuln"] = draw.choice([0.4, 1.5, 6])
    elif concept in VALUES:
        event["value"] = draw.choice(VALUES[concept])
    if concept == "med.crystalloid_bolus":
        event["volume_ml"] = draw.choice([500, 1000, 2000])
        if kind == "med_given":
            event["end_t"] = t + draw.randint(10, 90)
    return event


def _correction(draw: random.Random, before: Case, name: str) -> Case:
    event = {key: value for key, value in before.items() if key not in ("t_recv", "status")}
    event |= {"id": name, "replaces": before["id"], "t_recv": before["t"] + draw.randint(1, 90)}
    if isinstance(event.get("value"), int | float):
        event["value"] = round(event["value"] * draw.uniform(0.7, 1.3), 1)
    return event


def _utterance(draw: random.Random, horizon: int) -> Case:
    concept = draw.choice([*WORDS, *["suspected_infection", "sepsis"] * 8])
    said: Case = {"concept": concept, "polarity": draw.choice(["affirmed"] * 4 + ["negated"])}
    if concept == "lkw_time":
        said["t"] = -draw.randint(0, 200)
    if concept == "nihss_total":
        said["value"] = draw.randint(0, 20)
    if concept in ("severe_sepsis", "septic_shock") and draw.random() < 0.3:
        said["stated_t"] = draw.randint(0, horizon)
    if "other_cause" in concept or "noninf" in concept:
        said["criterion"] = draw.choice(["lactate", "creatinine", "hr", "temp"])
    t = draw.randint(0, horizon)
    utterance: Case = {
        "t": t,
        "speaker": draw.choice(["attending", "resident", "app", "nurse", "family"]),
        "text": "as spoken",
        "concepts": [said],
    }
    if draw.random() < 0.3:
        utterance["t_recv"] = t + draw.randint(0, 30)
    return utterance

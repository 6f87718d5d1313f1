"""For each gap a timeline that opens it and what then closes it, made from its own rule.

A rule is solved by hand-sized recipes: for a fact an event, for words an utterance, for a
figure or a named time the events that give it. Alternatives are tried until the gap fires.
"""

from collections.abc import Iterator
from itertools import islice, product
from typing import Any

from bayscribe_relay.tracer.gap import Gap
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
from tracer.timelines import PROFILES, Case

AT = 40
"""The minute at which the findings come."""

Part = tuple[list[Case], list[Case], Case]
"""Events, spoken concepts and patient's attributes."""

NAMES = {
    "med.iv_antibiotic": "ceftriaxone",
    "lab.critical_flag": "potassium",
    "rx.benzodiazepine": "lorazepam",
}
VALUES: dict[str, Any] = {
    "lab.blood_culture_organism": "Escherichia coli",
    "img.incidental_finding": "8 mm lung nodule; CT chest in 6 months",
    "lab.critical_flag": 7.1,
    "lab.lactate": 2.5,
    "lab.troponin": 40,
    "lab.glucose": 110,
    "vital.weight_kg": 80,
}


def event(kind: str, concept: str, t: int = AT, **more: Any) -> Case:  # noqa: ANN401 - values
    """An event with what such events carry."""
    if (kind, concept) == ("med_given", "med.thrombolytic"):
        t = max(t, 75)
    made: Case = {"kind": kind, "concept": concept, "t": t, "id": f"{kind}:{concept}@{t}"}
    if kind == "obs":
        made["value"] = VALUES.get(concept, True)
    if concept in NAMES:
        made["name"] = NAMES[concept]
    if concept == "med.crystalloid_bolus":
        made["volume_ml"] = 2000
    return made | more


SIRS = [event("obs", "vital.temp_c", 5, value=39.0), event("obs", "vital.hr", 5, value=120)]
ORDERS = [event("order", "order.blood_culture", 15), event("order", "order.lactate", 15)]
SUSPECTED = {"concept": "suspected_infection"}


def lactate(value: float, t: int = AT) -> Case:
    return event("obs", "lab.lactate", t, value=value, collected_t=t - 20)


def fluids(end: int = 90) -> list[Case]:
    return [
        event("med_order", "med.crystalloid_bolus", 20),
        event("med_given", "med.crystalloid_bolus", 20, end_t=end),
        event("obs", "vital.weight_kg", 4),
    ]


LOW_AFTER = [event("obs", "vital.sbp", t, value=82) for t in (95, 105)]

CREATININE: list[Part] = [
    ([event("obs", "lab.creatinine", value=1.6)], [], {"creatinine_baseline": 0.9})
]
FIGURES: dict[str, list[Part]] = {
    "sirs_count": [(SIRS, [], {})],
    "ob_sirs_count": [(SIRS, [], {})],
    "organ_dysfunction_count": [([lactate(2.6)], [], {})],
    "initial_lactate": [([lactate(4.2)], [], {})],
    "lactate_orders_after_initial": [([event("order", "order.lactate", 45)], [], {})],
    "culture_before_antibiotic": [([], [], {})],
    "bp_readings_hour_after_fluids": [([], [], {})],
    "phoenix_score": [([], [], {"phoenix_score": 3, "phoenix_list": ["lungs 2", "clotting 1"]})],
    "creatinine_rise_48h": CREATININE,
    "creatinine_ratio_7d": CREATININE,
    "lactates_collected_after_initial": [([event("collected", "lab.lactate")], [], {})],
    "lactate_after_fluids": [([*fluids(), lactate(3.1, 120)], [], {})],
    "troponin_xuln": [([event("obs", "lab.troponin", xuln=3.2)], [], {})],
    "min_since_lkw": [([], [{"concept": "lkw_time", "t": -60}], {})],
    "min_arrival_to_first_lytic": [([], [], {})],
    "nihss": [([event("obs", "vital.nihss", value=14)], [], {})],
    "shock_index": [
        ([event("obs", "vital.hr", value=130), event("obs", "vital.sbp", value=85)], [], {})
    ],
    "dka_criteria": [
        (
            [
                event("obs", "lab.glucose", value=480),
                event("obs", "lab.bhb", value=5.2),
                event("obs", "lab.ph", value=7.12),
                event("obs", "lab.hco3", value=9),
            ],
            [],
            {},
        )
    ],
}
SEVERE: Part = ([*SIRS, *ORDERS, lactate(2.6)], [], {})
ANCHORS: dict[str, list[Part]] = {
    "sepsis_suspected": [(SIRS, [SUSPECTED], {})],
    "severe_sepsis_presentation": [SEVERE],
    "crystalloid_trigger": [([*SIRS, *ORDERS, lactate(4.2)], [], {})],
    "crystalloid_completed": [(fluids(), [], {})],
    "persistent_hypotension": [([*SEVERE[0], *fluids(), *LOW_AFTER], [], {})],
    "septic_shock_presentation": [([*SIRS, *ORDERS, lactate(4.2)], [], {})],
    "stemi_identified": [([event("order", "order.stemi_alert")], [], {})],
    "intubation": [([event("proc", "proc.invasive_vent")], [], {})],
}
ML_PER_KG = {("gt", 0): [], ("lt", 27.0): 1500, ("ge", 27.0): 2250, ("lt", 30.0): 2250}


def ways(rule: Rule) -> Iterator[Part]:
    """Timelines that may make a condition hold."""
    match rule:
        case Every(parts):
            yield from _together([list(ways(part)) for part in parts])
        case AtLeast(_, parts):
            for part in parts:
                yield from ways(part)
        case Negation(Compared("patient", name, _, value)):
            yield [], [], {name: not value}
        case Negation():
            yield [], [], {}
        case _:
            yield from _leaf(rule)


def _leaf(rule: Rule) -> Iterator[Part]:
    match rule:
        case Fact():
            yield [_fact(rule)], [], {}
        case Said(concepts):
            yield [], [{"concept": concepts[0]}], {}
        case Known(name):
            yield from ANCHORS[name]
        case Compared("patient", name, op, value):
            yield [], [], {name: _satisfying(op, value)}
        case Compared(_, "crystalloid_ml_per_kg", op, value):
            volume = ML_PER_KG[op, value] or 1500
            weight = event("obs", "vital.weight_kg", 4)
            yield (
                [event("med_order", "med.crystalloid_bolus", 20, volume_ml=volume), weight],
                [],
                {},
            )
        case Compared(_, name):
            yield from FIGURES[name]


def _fact(rule: Fact) -> Case:
    concept = rule.concepts[0]
    if rule.op is None:
        return event(rule.kind, concept)
    return event(rule.kind, concept, value=_satisfying(rule.op, rule.value))


def _satisfying(op: str, value: Any) -> Any:  # noqa: ANN401 - thresholds of any type
    step = 0.2 if isinstance(value, float) and value < 10 else 1
    return {"gt": value + step, "lt": value - step}[op] if op in ("gt", "lt") else value


def _together(choices: list[list[Part]]) -> Iterator[Part]:
    for chosen in islice(product(*choices), 200):
        events: dict[str, Case] = {}
        words: dict[str, Case] = {}
        patient: Case = {}
        for some, spoken, attributes in chosen:
            events |= {e["id"]: e for e in some}
            words |= {w["concept"]: w for w in spoken}
            patient |= attributes
        yield list(events.values()), list(words.values()), patient


AGES = (45, 34, 70, 12, 6)


def cases(gap: Gap) -> Iterator[Case]:
    """Timelines that may open the gap."""
    for events, words, patient in ways(gap.trigger):
        for age in AGES:
            extra = [event("med_given", "med.analgesic")] if gap.id == "pain_reassessment" else []
            yield {
                "id": gap.id,
                "arrival_clock": "13:30",
                "patient": {"sex": "F", "language": "Spanish", **patient, "age_years": age},
                "profiles": PROFILES,
                "enable": [gap.id],
                "horizon_min": 700,
                "events": events + extra,
                "utterances": [spoken(AT, word) for word in words],
            }


def answers(gap: Gap) -> list[Case]:
    """The concepts that answer the gap, as spoken."""
    polarity = "negated" if gap.id == "stroke_ct_interpretation" else "affirmed"
    return [
        {"concept": c, "polarity": polarity, "value": 12, "t": -60}
        for c in dict.fromkeys(gap.attestation)
    ]


def remedies(gap: Gap, at: int) -> list[Case]:
    """Events that close the gap without a word."""
    if gap.id == "sep1_persistent_hypotension_check":
        return [event("obs", "vital.sbp", t, value=110) for t in (95, at + 1)]
    events = []
    for part in gap.trigger.parts if isinstance(gap.trigger, Every) else ():
        if isinstance(part, Negation):
            events += [e for some, _, _ in islice(ways(part.part), 1) for e in some]
    return [dict(e, t=at + 1, id=f"{e['id']}!") for e in events]


def spoken(t: int, word: Case) -> Case:
    """A concept, said by the attending at a minute."""
    return {"t": t, "speaker": "attending", "text": "as spoken", "concepts": [word]}

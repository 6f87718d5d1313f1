"""What the placeholders of prompt texts stand for: values with units, clock times, lists."""

import textwrap
from collections.abc import Callable

from bayscribe_relay.tracer.anchors import time_of
from bayscribe_relay.tracer.criteria import SOURCES, WINDOW_MIN, met
from bayscribe_relay.tracer.explain import clock
from bayscribe_relay.tracer.figures import FIGURES, creatinine, weight_kg
from bayscribe_relay.tracer.record import Record
from bayscribe_relay.tracer.scores import SCORES
from bayscribe_relay.tracer.timeline import Event

Text = str | None

UNKNOWN = {
    "antibiotic": "an IV antibiotic",
    "organism": "an organism",
    "potassium": "not resulted",
    "procedure": "the procedure",
    "procedures": "none charted",
    "language": "other than the clinician's",
    "second": "a second sedative",
    "finding": "incidental finding",
    "test": "result",
    "value": "abnormal",
    "severe_sepsis_presentation_time": "at a time not established",
}
"""Words for what the record does not hold, where the sentence needs some."""

_NAME_LENGTH = 40
"""Longest name of a drug, organism or test in a prompt."""

_NAMES = {
    "temp": "temperature",
    "hr": "heart rate",
    "rr": "respiratory rate",
    "wbc": "white cells",
    "hypotension": "blood pressure",
    "resp": "new ventilation",
    "inr": "INR",
}
_UNITS = {
    # Temperature and rates are told as they are spoken: 38.4 and 112 need no unit.
    "vital.sbp": " mmHg",
    "vital.map": " mmHg",
    "vital.spo2": " %",
    "vital.o2_flow_lpm": " L/min",
    "lab.wbc": " x10^9/L",
    "lab.bands_pct": " % bands",
    "lab.platelets": " x10^9/L",
    "lab.lactate": " mmol/L",
    "lab.creatinine": " mg/dL",
    "lab.bilirubin": " mg/dL",
    "lab.glucose": " mg/dL",
    "lab.bhb": " mmol/L",
    "lab.hco3": " mmol/L",
    "lab.potassium": " mmol/L",
    "lab.hgb": " g/dL",
    "lab.bun": " mg/dL",
}
_PRESSURES = {"vital.sbp": "SBP", "vital.map": "MAP"}
_PROCEDURES = {
    ("proc", "proc.central_line_insert"): "central line",
    ("proc", "proc.lumbar_puncture"): "lumbar puncture",
    ("proc", "proc.chest_tube"): "chest tube",
    ("proc", "proc.invasive_vent"): "intubation",
    ("order", "order.procedural_sedation"): "procedural sedation",
}


def number(value: float) -> str:
    """A value as charted: at most three decimals' worth of figures, no trailing zeros."""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}" if value % 1 else f"{value:.0f}"


def joined(parts: list[str]) -> Text:
    """A list as spoken."""
    if len(parts) < 2:
        return parts[0] if parts else None
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


def shown(event: Event) -> str:
    """The value of an event with its unit."""
    if isinstance(event.value, bool) or not isinstance(event.value, int | float):
        return str(event.value)
    return number(round(event.value, 2)) + _UNITS.get(event.concept, "")


def latest(record: Record, kind: str, *concepts: str) -> Event | None:
    """The event of the latest clinical time."""
    found = [e for e in record.facts(kind, *concepts) if kind != "obs" or e.value is not None]
    return max(found, key=lambda e: e.t, default=None)


def earliest(record: Record, kind: str, *concepts: str) -> Event | None:
    """The event of the earliest clinical time."""
    return min(record.facts(kind, *concepts), key=lambda e: e.t, default=None)


def _criteria(record: Record, group: str, names: list[str]) -> Text:
    parts = []
    for name in names:
        events = [
            e
            for key in SOURCES[group, name]
            for e in record.facts(*key)
            if e.t >= record.now - WINDOW_MIN and (group, name) in met(e)
        ]
        event = max(events, key=lambda e: e.t)
        if event.kind == "proc":
            parts.append("new ventilation")
        elif event.concept in _PRESSURES:
            parts.append(f"{_PRESSURES[event.concept]} {shown(event)}")
        else:
            parts.append(f"{_NAMES.get(name, name)} {shown(event)}")
    return joined(parts)


def _measured(concept: str) -> Callable[[Record, int | None], Text]:
    def find(record: Record, _: int | None) -> Text:
        event = latest(record, "obs", concept)
        return None if event is None else shown(event)

    return find


def _bare(concept: str) -> Callable[[Record, int | None], Text]:
    """A value whose unit stands in the template."""

    def find(record: Record, _: int | None) -> Text:
        event = latest(record, "obs", concept)
        if event is None or not isinstance(event.value, int | float):
            return None
        return number(round(event.value, 2))

    return find


def _figure(name: str, unit: str = "", digits: int = 1) -> Callable[[Record, int | None], Text]:
    def find(record: Record, _: int | None) -> Text:
        value = FIGURES[name].compute(record)
        return None if value is None else number(round(value, digits)) + unit

    return find


def _at(anchor: str) -> Callable[[Record, int | None], Text]:
    def find(record: Record, _: int | None) -> Text:
        minute = time_of(record, anchor)
        return None if minute is None else clock(record, minute)

    return find


def _event_time(
    pick: Callable[..., Event | None], kind: str, concept: str
) -> Callable[[Record, int | None], Text]:
    def find(record: Record, _: int | None) -> Text:
        event = pick(record, kind, concept)
        return None if event is None else clock(record, event.t)

    return find


def _named(pick: Callable[..., Event | None], kind: str, concept: str, record: Record) -> Text:
    event = pick(record, kind, concept)
    return None if event is None or not event.name else textwrap.shorten(event.name, _NAME_LENGTH)


def _antibiotic(record: Record, _: int | None) -> Text:
    given = _named(earliest, "med_given", "med.iv_antibiotic", record)
    return given or _named(latest, "med_order", "med.iv_antibiotic", record)


def _target(record: Record, _: int | None) -> Text:
    weight = weight_kg(record)
    return None if weight is None else f"{30 * weight:.0f}"


def _low_pressures(record: Record, start: int, end: int) -> Text:
    found = [
        f"{_PRESSURES[e.concept]} {number(e.value)} at {clock(record, e.t)}"
        for e in record.facts("obs", *_PRESSURES)
        if start <= e.t <= end and ("organ", "hypotension") in met(e)
    ]
    return joined(found[-2:])


def _after_fluids(record: Record, _: int | None = None) -> Text:
    done = time_of(record, "crystalloid_completed")
    return None if done is None else _low_pressures(record, done, done + 60)


def _first_lactate(record: Record) -> str:
    return f"Initial lactate {shown(record.lactates()[0])}"


def _trigger_reason(record: Record, _: int | None) -> Text:
    at = time_of(record, "crystalloid_trigger")
    if at is None:
        return None
    if at == time_of(record, "initial_hypotension"):
        low = _low_pressures(record, at - WINDOW_MIN, at)
        return f"Initial hypotension ({low})" if low else "Initial hypotension"
    return _first_lactate(record)


def _shock_reason(record: Record, _: int | None) -> Text:
    low = _after_fluids(record)
    if time_of(record, "persistent_hypotension") is not None and low:
        return f"Hypotension after fluids ({low})"
    return _first_lactate(record) if record.lactates() else None


def _baseline(record: Record, _: int | None) -> Text:
    pair = creatinine(record)
    alone = len(record.facts("obs", "lab.creatinine")) < 2
    if pair is None or (alone and not record.patient.get("creatinine_baseline")):
        return None
    return number(round(pair[1], 2))


def _breathing(record: Record, _: int | None) -> Text:
    parts = []
    low = [e for e in record.facts("obs", "vital.spo2") if e.value < 90]
    if low:
        parts.append(f"SpO2 {shown(min(low, key=lambda e: e.value))}")
    flow = [e for e in record.facts("obs", "vital.o2_flow_lpm") if e.value >= 4]
    if flow:
        parts.append(f"O2 {shown(flow[-1])}")
    if record.facts("proc", "proc.niv"):
        parts.append("non-invasive ventilation")
    if record.facts("proc", "proc.invasive_vent"):
        parts.append("mechanical ventilation")
    return joined(parts)


def _clotting(record: Record, _: int | None) -> Text:
    parts = []
    for concept, name, limit, unit in (("lab.inr", "INR", 1.5, ""), ("lab.aptt", "aPTT", 60, " s")):
        event = latest(record, "obs", concept)
        if event is not None and event.value > limit:
            parts.append(f"{name} {number(round(event.value, 2))}{unit}")
    return joined(parts)


def _acidity(record: Record, _: int | None) -> Text:
    event = latest(record, "obs", "lab.ph")
    return None if event is None else f"{event.value:.2f}"


def _pressure(record: Record, _: int | None) -> Text:
    systolic = latest(record, "obs", "vital.sbp")
    diastolic = latest(record, "obs", "vital.dbp")
    parts = [number(e.value) if e else "?" for e in (systolic, diastolic)]
    return "/".join(parts) if systolic or diastolic else None


def _procedures(record: Record, _: int | None) -> Text:
    return joined([name for key, name in _PROCEDURES.items() if record.facts(*key)])


def _second(record: Record, _: int | None) -> Text:
    drug = latest(record, "rx", "rx.benzodiazepine")
    if drug is not None:
        return _named(latest, "rx", "rx.benzodiazepine", record) or "a benzodiazepine"
    return "chronic opioid therapy" if record.facts("hx", "hx.chronic_opioid") else None


def _told(concept: str, part: int = 0) -> Callable[[Record, int | None], Text]:
    """A part of a result in words: "finding; recommendation"."""

    def find(record: Record, _: int | None) -> Text:
        event = latest(record, "obs", concept)
        if event is None or not isinstance(event.value, str):
            return None
        parts = [text.strip() for text in event.value.split(";")]
        return textwrap.shorten(parts[part], _NAME_LENGTH) if part < len(parts) else None

    return find


def _critical_value(record: Record, _: int | None) -> Text:
    event = latest(record, "obs", "lab.critical_flag")
    if event is None or event.value is None or isinstance(event.value, bool):
        return None
    return shown(event) + (f" {event.unit}" if event.unit else "")


def _restraint_hours(record: Record, _: int | None) -> Text:
    age = record.patient.get("age_years")
    return None if age is None else "4" if age >= 18 else "2" if age >= 9 else "1"


def _age_band(record: Record, _: int | None) -> Text:
    age = record.patient.get("age_years")
    return None if age is None else "under 2 years" if age < 2 else "2 years or older"


def _attribute(name: str) -> Callable[[Record, int | None], Text]:
    def find(record: Record, _: int | None) -> Text:
        value = record.patient.get(name)
        return joined([str(v) for v in value]) if isinstance(value, list) else value

    return find


def _score(name: str) -> Callable[[Record, int | None], Text]:
    return lambda record, _: SCORES[name](record)


def _boarding(record: Record, _: int | None) -> Text:
    admitted = time_of(record, "admit_order")
    return None if admitted is None else str(record.now - admitted)


PLACEHOLDERS: dict[str, Callable[[Record, int | None], Text]] = {
    "sirs_count": _figure("sirs_count"),
    "sirs_list": lambda r, _: _criteria(r, "sirs", r.sirs(r.now)),
    "ob_sirs_list": lambda r, _: _criteria(r, "ob", r.criteria("ob", r.now)),
    "organ_dysfunction_list": lambda r, _: _criteria(r, "organ", r.organ_dysfunction(r.now)),
    "low_bp_list": _after_fluids,
    "antibiotic": _antibiotic,
    "antibiotic_time": _event_time(earliest, "med_given", "med.iv_antibiotic"),
    "sepsis_suspected_time": _at("sepsis_suspected"),
    "severe_sepsis_presentation_time": _at("severe_sepsis_presentation"),
    "septic_shock_presentation_time": _at("septic_shock_presentation"),
    "crystalloid_trigger_time": _at("crystalloid_trigger"),
    "crystalloid_completed_time": _at("crystalloid_completed"),
    "crystalloid_trigger_reason": _trigger_reason,
    "shock_reason": _shock_reason,
    "target_ml": _target,
    "crystalloid_ml_per_kg": _figure("crystalloid_ml_per_kg"),
    "initial_lactate": _figure("initial_lactate", digits=2),
    "latest_lactate": lambda r, _: shown(r.lactates()[-1]) if r.lactates() else None,
    "lactate": _measured("lab.lactate"),
    "ph_text": _acidity,
    "deadline_time": lambda r, due: None if due is None else clock(r, due),
    "phoenix_score": _figure("phoenix_score"),
    "phoenix_list": _attribute("phoenix_list"),
    "organism": _told("lab.blood_culture_organism"),
    "creatinine": _bare("lab.creatinine"),
    "creatinine_baseline": _baseline,
    "resp_findings": _breathing,
    "coagulation_list": _clotting,
    "platelets": _measured("lab.platelets"),
    "gcs": _bare("vital.gcs"),
    "bilirubin": _bare("lab.bilirubin"),
    "troponin_xuln": _figure("troponin_xuln"),
    "ecg_time": _event_time(latest, "proc", "proc.ecg"),
    "stemi_ecg_time": _event_time(earliest, "obs", "ecg.stemi"),
    "ct_time": _event_time(earliest, "proc", "proc.ct_head_done"),
    "lkw_time": _at("lkw"),
    "nihss": _figure("nihss"),
    "bp": _pressure,
    "dtn": _figure("min_arrival_to_first_lytic"),
    "min_since_arrival": lambda r, _: str(r.now),
    "min_since_admit": _boarding,
    "hgb": _measured("lab.hgb"),
    "glucose": _measured("lab.glucose"),
    "bhb": _measured("lab.bhb"),
    "ph": _acidity,
    "hco3": _measured("lab.hco3"),
    "potassium": _measured("lab.potassium"),
    "ethanol": _bare("lab.ethanol"),
    "restraint_time": _at("restraint_applied"),
    "restraint_limit_h": _restraint_hours,
    "procedure": _procedures,
    "procedures": _procedures,
    "language": _attribute("language"),
    "analgesic_time": _event_time(latest, "med_given", "med.analgesic"),
    "second": _second,
    "finding": _told("img.incidental_finding"),
    "recommendation": _told("img.incidental_finding", 1),
    "test": lambda r, _: _named(latest, "obs", "lab.critical_flag", r),
    "value": _critical_value,
    "result_time": _event_time(latest, "obs", "lab.critical_flag"),
    "pecarn_age_band": _age_band,
    "heart_partial": _score("heart"),
    "wells_partial": _score("wells"),
    "curb65_partial": _score("curb65"),
    "csrs_partial": _score("csrs"),
    "gbs_partial": _score("gbs"),
}
"""By name, how to read a placeholder off the record; None if the record does not hold it."""

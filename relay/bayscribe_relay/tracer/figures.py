"""The computed figures that the catalogue's conditions compare."""

from bayscribe_relay.tracer.anchors import time_of
from bayscribe_relay.tracer.reads import Computed, facts, said
from bayscribe_relay.tracer.record import OTHER_CAUSES, Record, first

Figure = float | None

SINCE = {"min_since_lkw": "lkw"}
"""Figures that grow by one a minute from a named time on."""


def _latest(record: Record, concept: str) -> Figure:
    found = record.facts("obs", concept)
    return found[-1].value if found else None


def _initial_lactate(record: Record) -> Figure:
    found = record.lactates()
    return found[0].value if found else None


def _latest_lactate(record: Record) -> Figure:
    found = record.lactates()
    return found[-1].value if found else None


def _orders_after(record: Record) -> Figure:
    found = record.lactates()
    orders = record.times("order", "order.lactate")
    return sum(t > found[0].sampled for t in orders) if found else 0


def _collected_after(record: Record) -> Figure:
    found = record.lactates()
    every = record.facts("collected", "lab.lactate") + found
    return sum(e.sampled > found[0].sampled for e in every) if found else 0


def _lactate_after_fluids(record: Record) -> Figure:
    start = time_of(record, "crystalloid_completed")
    if start is None:
        start = first(record.times("med_given", "med.vasopressor"))
    after = [e for e in record.lactates() if start is not None and e.t >= start]
    return after[-1].value if after else None


def weight_kg(record: Record) -> Figure:
    """The latest charted weight."""
    weights = record.facts("obs", "vital.weight_kg")
    return max(weights, key=lambda e: (e.t, e.received)).value if weights else None


def _ml_per_kg(record: Record) -> Figure:
    weight = weight_kg(record)
    volumes = [
        sum(e.volume_ml for e in record.facts(kind, "med.crystalloid_bolus"))
        for kind in ("med_order", "med_given")
    ]
    if not weight or not any(volumes):
        return None
    return float(max(volumes) / weight)


def _bp_readings(record: Record) -> Figure:
    done = time_of(record, "crystalloid_completed")
    if done is None:
        return 99
    return len({t for t in record.times("obs", "vital.sbp") if done <= t <= done + 60})


def _culture_first(record: Record) -> Figure:
    given = record.times("med_given", "med.iv_antibiotic")
    drawn = record.times("collected", "lab.blood_culture")
    return int(bool(given and drawn and min(drawn) <= min(given)))


def creatinine(record: Record) -> tuple[float, float] | None:
    """The latest creatinine and the lowest, charted baseline included."""
    known = [e for e in record.facts("obs", "lab.creatinine") if e.value is not None]
    found = sorted(known, key=lambda e: e.t)
    if not found:
        return None
    base = [e.value for e in found]
    if record.patient.get("creatinine_baseline"):
        base.append(record.patient["creatinine_baseline"])
    return found[-1].value, min(base)


def _creatinine_rise(record: Record) -> Figure:
    pair = creatinine(record)
    return pair[0] - pair[1] if pair else None


def _creatinine_ratio(record: Record) -> Figure:
    pair = creatinine(record)
    return pair[0] / pair[1] if pair and pair[1] else None


def _since_well(record: Record) -> Figure:
    well = time_of(record, "lkw")
    return None if well is None else record.now - well


def _nihss(record: Record) -> Figure:
    charted = record.facts("obs", "vital.nihss")
    values = [(e.t, e.value) for e in charted if e.value is not None]
    values += [(m.t, m.value) for m in record.said(("nihss_total",)) if m.value is not None]
    return max(values)[1] if values else None


def _shock_index(record: Record) -> Figure:
    rate, pressure = _latest(record, "vital.hr"), _latest(record, "vital.sbp")
    return rate / pressure if rate is not None and pressure else None


def _ketoacidosis(record: Record) -> Figure:
    sweet = (_latest(record, "lab.glucose") or 0) >= 200 or bool(record.facts("hx", "hx.diabetes"))
    ketones = (_latest(record, "lab.bhb") or 0) >= 3.0
    acid = (_latest(record, "lab.ph") or 9) < 7.3 or (_latest(record, "lab.hco3") or 99) < 18
    return int(sweet and ketones and acid)


_LACTATE = facts("obs", "lab.lactate")
_CREATININE = (*facts("obs", "lab.creatinine"), ("patient", "creatinine_baseline"))
_LYTIC = facts("med_given", "med.thrombolytic")

FIGURES: dict[str, Computed[Figure]] = {
    "sirs_count": Computed(
        lambda r: len(r.sirs(r.now)), (("met", "sirs"), *said("sirs_noninfectious_cause"))
    ),
    "ob_sirs_count": Computed(lambda r: len(r.criteria("ob", r.now)), (("met", "ob"),)),
    "organ_dysfunction_count": Computed(
        lambda r: len(r.organ_dysfunction(r.now)),
        (("met", "organ"), *facts("hx", "hx.anticoagulant", "hx.esrd"), *said(*OTHER_CAUSES)),
    ),
    "initial_lactate": Computed(_initial_lactate, _LACTATE),
    "latest_lactate": Computed(_latest_lactate, _LACTATE),
    "lactate_orders_after_initial": Computed(
        _orders_after, (*_LACTATE, *facts("order", "order.lactate"))
    ),
    "lactates_collected_after_initial": Computed(
        _collected_after, (*_LACTATE, *facts("collected", "lab.lactate"))
    ),
    "lactate_after_fluids": Computed(
        _lactate_after_fluids,
        (*_LACTATE, *facts("med_given", "med.vasopressor")),
        ("crystalloid_completed",),
    ),
    "crystalloid_ml_per_kg": Computed(
        _ml_per_kg,
        (
            *facts("obs", "vital.weight_kg"),
            *facts("med_order", "med.crystalloid_bolus"),
            *facts("med_given", "med.crystalloid_bolus"),
        ),
    ),
    "bp_readings_hour_after_fluids": Computed(
        _bp_readings, facts("obs", "vital.sbp"), ("crystalloid_completed",)
    ),
    "culture_before_antibiotic": Computed(
        _culture_first,
        (*facts("med_given", "med.iv_antibiotic"), *facts("collected", "lab.blood_culture")),
    ),
    "creatinine_rise_48h": Computed(_creatinine_rise, _CREATININE),
    "creatinine_ratio_7d": Computed(_creatinine_ratio, _CREATININE),
    "phoenix_score": Computed(
        lambda r: r.patient.get("phoenix_score", 0), (("patient", "phoenix_score"),)
    ),
    "troponin_xuln": Computed(
        lambda r: max((e.xuln for e in r.facts("obs", "lab.troponin")), default=None),
        facts("obs", "lab.troponin"),
    ),
    "min_since_lkw": Computed(_since_well, (), ("lkw",)),
    "min_arrival_to_first_lytic": Computed(
        lambda r: first(r.times("med_given", "med.thrombolytic")), _LYTIC
    ),
    "nihss": Computed(_nihss, (*facts("obs", "vital.nihss"), *said("nihss_total"))),
    "shock_index": Computed(_shock_index, facts("obs", "vital.hr", "vital.sbp")),
    "dka_criteria": Computed(
        _ketoacidosis,
        (
            *facts("obs", "lab.glucose", "lab.bhb", "lab.ph", "lab.hco3"),
            *facts("hx", "hx.diabetes"),
        ),
    ),
}

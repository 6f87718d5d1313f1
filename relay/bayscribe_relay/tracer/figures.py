"""The computed figures that the catalogue's conditions compare."""

from collections.abc import Callable

from bayscribe_relay.tracer.view import WINDOW_MIN, View, first

Figure = float | None


def _latest(view: View, concept: str) -> Figure:
    found = view.facts("obs", concept)
    return found[-1].value if found else None


def _obstetric_sirs(view: View) -> Figure:
    met = set()
    for e in view.facts("obs"):
        if e.t < view.now - WINDOW_MIN:
            continue
        c, v = e.concept, e.value
        if (
            (c == "vital.temp_c" and (v >= 38.0 or v < 36))
            or (c == "vital.hr" and v > 110)
            or (c == "vital.rr" and v > 24)
            or (c == "lab.wbc" and (v > 15 or v < 4))
        ):
            met.add(c)
    return len(met)


def _initial_lactate(view: View) -> Figure:
    found = view.lactates()
    return found[0].value if found else None


def _latest_lactate(view: View) -> Figure:
    found = view.lactates()
    return found[-1].value if found else None


def _orders_after(view: View) -> Figure:
    found = view.lactates()
    return sum(t > found[0].sampled for t in view.times("order", "order.lactate")) if found else 0


def _collected_after(view: View) -> Figure:
    found = view.lactates()
    every = view.facts("collected", "lab.lactate") + found
    return sum(e.sampled > found[0].sampled for e in every) if found else 0


def _lactate_after_fluids(view: View) -> Figure:
    start = view.anchor("crystalloid_completed")
    if start is None:
        start = first(view.times("med_given", "med.vasopressor"))
    after = [e for e in view.lactates() if start is not None and e.t >= start]
    return after[-1].value if after else None


def _ml_per_kg(view: View) -> Figure:
    weights = view.facts("obs", "vital.weight_kg")
    volumes = [
        sum(e.volume_ml for e in view.facts(kind, "med.crystalloid_bolus"))
        for kind in ("med_order", "med_given")
    ]
    if not weights or not any(volumes):
        return None
    return float(max(volumes) / max(weights, key=lambda e: (e.t, e.received)).value)


def _bp_readings(view: View) -> Figure:
    done = view.anchor("crystalloid_completed")
    if done is None:
        return 99
    return len({t for t in view.times("obs", "vital.sbp") if done <= t <= done + 60})


def _culture_first(view: View) -> Figure:
    given = view.times("med_given", "med.iv_antibiotic")
    drawn = view.times("collected", "lab.blood_culture")
    return int(bool(given and drawn and min(drawn) <= min(given)))


def _creatinine(view: View) -> tuple[float, float] | None:
    found = sorted(view.facts("obs", "lab.creatinine"), key=lambda e: e.t)
    if not found:
        return None
    base = [e.value for e in found]
    if view.patient.get("creatinine_baseline"):
        base.append(view.patient["creatinine_baseline"])
    return found[-1].value, min(base)


def _creatinine_rise(view: View) -> Figure:
    pair = _creatinine(view)
    return pair[0] - pair[1] if pair else None


def _creatinine_ratio(view: View) -> Figure:
    pair = _creatinine(view)
    return pair[0] / pair[1] if pair else None


def _since_well(view: View) -> Figure:
    well = view.anchor("lkw")
    return None if well is None else view.now - well


def _nihss(view: View) -> Figure:
    values = [(e.t, e.value) for e in view.facts("obs", "vital.nihss")]
    values += [(m.t, m.value) for m in view.said(("nihss_total",)) if m.value is not None]
    return max(values)[1] if values else None


def _shock_index(view: View) -> Figure:
    rate, pressure = _latest(view, "vital.hr"), _latest(view, "vital.sbp")
    return rate / pressure if rate is not None and pressure else None


def _ketoacidosis(view: View) -> Figure:
    sweet = (_latest(view, "lab.glucose") or 0) >= 200 or bool(view.facts("hx", "hx.diabetes"))
    ketones = (_latest(view, "lab.bhb") or 0) >= 3.0
    acid = (_latest(view, "lab.ph") or 9) < 7.3 or (_latest(view, "lab.hco3") or 99) < 18
    return int(sweet and ketones and acid)


FIGURES: dict[str, Callable[[View], Figure]] = {
    "sirs_count": lambda v: len(v.sirs(v.now)),
    "ob_sirs_count": _obstetric_sirs,
    "organ_dysfunction_count": lambda v: len(v.organ_dysfunction(v.now)),
    "initial_lactate": _initial_lactate,
    "latest_lactate": _latest_lactate,
    "lactate_orders_after_initial": _orders_after,
    "lactates_collected_after_initial": _collected_after,
    "lactate_after_fluids": _lactate_after_fluids,
    "crystalloid_ml_per_kg": _ml_per_kg,
    "bp_readings_hour_after_fluids": _bp_readings,
    "culture_before_antibiotic": _culture_first,
    "creatinine_rise_48h": _creatinine_rise,
    "creatinine_ratio_7d": _creatinine_ratio,
    "phoenix_score": lambda v: v.patient.get("phoenix_score", 0),
    "troponin_xuln": lambda v: max((e.xuln for e in v.facts("obs", "lab.troponin")), default=None),
    "min_since_lkw": _since_well,
    "min_arrival_to_first_lytic": lambda v: first(v.times("med_given", "med.thrombolytic")),
    "nihss": _nihss,
    "shock_index": _shock_index,
    "dka_criteria": _ketoacidosis,
}

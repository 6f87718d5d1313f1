"""The named times from which the measures count."""

from collections.abc import Callable
from itertools import pairwise

from bayscribe_relay.tracer.timeline import CLINICIANS
from bayscribe_relay.tracer.view import WINDOW_MIN, View, first


def compute(view: View, name: str) -> int | None:
    """A named time, or None while the record does not give it."""
    if name.startswith(("first:", "last:")):
        which, kind, concept = name.split(":", 2)
        times = view.times(kind, concept)
        return (min if which == "first" else max)(times, default=None)
    found = _ANCHORS.get(name)
    return found(view) if found else None


def suspicion(view: View) -> int | None:
    """When an infection was first suspected: spoken, or by culture with treatment or lactate."""
    words = ("suspected_infection", "sepsis", "severe_sepsis", "septic_shock")
    times = [m.t for m in view.said(words)]
    cultures = view.times("order", "order.blood_culture")
    others = view.times("med_order", "med.iv_antibiotic")
    others += view.times("med_given", "med.iv_antibiotic") + view.times("order", "order.lactate")
    if cultures and others:
        times.append(max(min(cultures), min(others)))
    return first(times)


def _documented(view: View, *concepts: str) -> list[int]:
    times = [m.t if m.stated is None else m.stated for m in view.said(concepts)]
    return [min(times)] if times else []


def _suspected(view: View) -> int | None:
    start = suspicion(view)
    if start is None:
        return None
    return next((t for t in range(start, view.now + 1) if len(view.sirs(t)) >= 2), None)


def _severe(view: View) -> int | None:
    if view.patient["age_years"] < 18:
        return None
    times = _documented(view, "severe_sepsis", "septic_shock")
    start = suspicion(view)
    if start is not None:
        last = min(view.now, start + WINDOW_MIN)
        for t in range(max(0, start), last + 1):
            if len(view.sirs(t)) >= 2 and view.organ_dysfunction(t):
                times.append(t)
                break
    return first(times)


def _initial_hypotension(view: View) -> int | None:
    base = view.anchor("sepsis_suspected")
    if base is None:
        return None
    low = view.low_pressures(base - WINDOW_MIN, base + WINDOW_MIN)
    pairs = pairwise(low)
    return next((max(after, base) for before, after in pairs if after - before <= 180), None)


def _crystalloid_trigger(view: View) -> int | None:
    base = view.anchor("sepsis_suspected")
    if base is None:
        return None
    low = view.anchor("initial_hypotension")
    times = [] if low is None else [low]
    lactates = view.lactates()
    excused = {m.criterion for m in view.said(("lactate_other_cause",))}
    if lactates and lactates[0].value >= 4 and "lactate" not in excused:
        times.append(max(lactates[0].t, base))
    return first(times)


def _crystalloid_completed(view: View) -> int | None:
    given = [
        e
        for e in view.facts("med_given", "med.crystalloid_bolus")
        if e.end is not None and e.end <= view.now
    ]
    ordered = view.facts("med_order", "med.crystalloid_bolus")
    if not given or sum(e.volume_ml for e in given) < sum(e.volume_ml for e in ordered):
        return None
    return max(e.end for e in given if e.end is not None)


def _persistent_hypotension(view: View) -> int | None:
    done = view.anchor("crystalloid_completed")
    if done is None or view.anchor("severe_sepsis_presentation") is None:
        return None
    low = view.low_pressures(done, done + 60)
    return low[1] if len(low) >= 2 else None


def _septic_shock(view: View) -> int | None:
    times = _documented(view, "septic_shock")
    severe = view.anchor("severe_sepsis_presentation")
    if severe is not None:
        lactates = view.lactates()
        if lactates and lactates[0].value >= 4:
            times.append(max(severe, lactates[0].t))
        persistent = view.anchor("persistent_hypotension")
        times += [] if persistent is None else [persistent]
    return first(times)


def _repeat_lactate(view: View) -> int | None:
    severe = view.anchor("severe_sepsis_presentation")
    lactates = view.lactates()
    return lactates[0].t if severe is None and lactates else severe


def _last_known_well(view: View) -> int | None:
    said = view.said(("lkw_time",), roles=(*CLINICIANS, "nurse"))
    return first([m.t if m.about is None else m.about for m in said])


_ANCHORS: dict[str, Callable[[View], int | None]] = {
    "arrival": lambda _: 0,
    "sepsis_suspected": _suspected,
    "severe_sepsis_presentation": _severe,
    "initial_hypotension": _initial_hypotension,
    "crystalloid_trigger": _crystalloid_trigger,
    "crystalloid_completed": _crystalloid_completed,
    "persistent_hypotension": _persistent_hypotension,
    "septic_shock_presentation": _septic_shock,
    "repeat_lactate_clock": _repeat_lactate,
    "stemi_identified": lambda v: first(
        v.times("order", "order.stemi_alert") + [m.t for m in v.said(("stemi",))]
    ),
    "intubation": lambda v: first(v.times("proc", "proc.invasive_vent")),
    "restraint_applied": lambda v: first(
        v.times("order", "order.restraint_violent") + v.times("proc", "proc.restraint_applied")
    ),
    "restraint_order": lambda v: max(v.times("order", "order.restraint_violent"), default=None),
    "admit_order": lambda v: first(v.times("order", "order.admit")),
    "injury_or_arrival": lambda v: int(v.patient.get("injury_t", 0)),
    "lkw": _last_known_well,
}

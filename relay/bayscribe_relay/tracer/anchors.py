"""The named times from which the measures count, in minutes from arrival."""

from itertools import pairwise

from bayscribe_relay.tracer.criteria import WINDOW_MIN
from bayscribe_relay.tracer.reads import Computed, Key, facts, said
from bayscribe_relay.tracer.record import OTHER_CAUSES, Record, first
from bayscribe_relay.tracer.timeline import CLINICIANS

Minute = int | None

_SUSPICION = ("suspected_infection", "sepsis", "severe_sepsis", "septic_shock")


def anchor(name: str) -> Computed[Minute] | None:
    """How a named time is computed; None if there is no such name."""
    if name.startswith(("first:", "last:")) and name.count(":") == 2:
        which, kind, concept = name.split(":")
        pick = min if which == "first" else max
        return Computed(lambda r: pick(r.times(kind, concept), default=None), facts(kind, concept))
    return ANCHORS.get(name)


def time_of(record: Record, name: str) -> Minute:
    """A named time of the record, from what the network keeps where it does."""
    if name in record.anchors:
        return record.anchors[name]
    found = anchor(name)
    return found.compute(record) if found else None


def suspicion(record: Record) -> Minute:
    """When an infection was first suspected: spoken, or by culture with treatment or lactate."""
    times = [m.t for m in record.said(_SUSPICION)]
    cultures = record.times("order", "order.blood_culture")
    others = record.times("med_order", "med.iv_antibiotic")
    others = others + record.times("med_given", "med.iv_antibiotic")
    others += record.times("order", "order.lactate")
    if cultures and others:
        times.append(max(min(cultures), min(others)))
    return first(times)


def _documented(record: Record, *concepts: str) -> list[int]:
    times = [m.t if m.stated is None else m.stated for m in record.said(concepts)]
    return [min(times)] if times else []


def _suspected(record: Record) -> Minute:
    start = suspicion(record)
    if start is None:
        return None
    return _first_with_sirs(record, start, record.now, organ=False)


def _first_with_sirs(record: Record, start: int, last: int, *, organ: bool) -> Minute:
    """First minute with two SIRS criteria (and organ dysfunction): only new findings begin it."""
    start = max(0, start)
    minutes = {start, *record.criterion_times("sirs", start)}
    if organ:
        minutes |= set(record.criterion_times("organ", start))
    for t in sorted(minutes):
        if t > last:
            return None
        if len(record.sirs(t)) >= 2 and (not organ or record.organ_dysfunction(t)):
            return t
    return None


def _severe(record: Record) -> Minute:
    if (record.patient.get("age_years") or 0) < 18:
        return None
    times = _documented(record, "severe_sepsis", "septic_shock")
    start = suspicion(record)
    if start is not None:
        last = min(record.now, start + WINDOW_MIN)
        met = _first_with_sirs(record, start, last, organ=True)
        times += [] if met is None else [met]
    return first(times)


def _initial_hypotension(record: Record) -> Minute:
    base = time_of(record, "sepsis_suspected")
    if base is None:
        return None
    low = record.low_pressures(base - WINDOW_MIN, base + WINDOW_MIN)
    pairs = pairwise(low)
    return next((max(after, base) for before, after in pairs if after - before <= 180), None)


def _crystalloid_trigger(record: Record) -> Minute:
    base = time_of(record, "sepsis_suspected")
    if base is None:
        return None
    low = time_of(record, "initial_hypotension")
    times = [] if low is None else [low]
    lactates = record.lactates()
    excused = {m.criterion for m in record.said(("lactate_other_cause",))}
    if lactates and lactates[0].value >= 4 and "lactate" not in excused:
        times.append(max(lactates[0].t, base))
    return first(times)


def _crystalloid_completed(record: Record) -> Minute:
    given = [
        e
        for e in record.facts("med_given", "med.crystalloid_bolus")
        if e.end is not None and e.end <= record.now
    ]
    ordered = record.facts("med_order", "med.crystalloid_bolus")
    if not given or sum(e.volume_ml for e in given) < sum(e.volume_ml for e in ordered):
        return None
    return max(e.end for e in given if e.end is not None)


def _persistent_hypotension(record: Record) -> Minute:
    done = time_of(record, "crystalloid_completed")
    if done is None or time_of(record, "severe_sepsis_presentation") is None:
        return None
    low = record.low_pressures(done, done + 60)
    return low[1] if len(low) >= 2 else None


def _septic_shock(record: Record) -> Minute:
    times = _documented(record, "septic_shock")
    severe = time_of(record, "severe_sepsis_presentation")
    if severe is not None:
        lactates = record.lactates()
        if lactates and lactates[0].value >= 4:
            times.append(max(severe, lactates[0].t))
        persistent = time_of(record, "persistent_hypotension")
        times += [] if persistent is None else [persistent]
    return first(times)


def _repeat_lactate(record: Record) -> Minute:
    severe = time_of(record, "severe_sepsis_presentation")
    lactates = record.lactates()
    return lactates[0].t if severe is None and lactates else severe


def _last_known_well(record: Record) -> Minute:
    words = record.said(("lkw_time",), roles=(*CLINICIANS, "nurse"))
    return first([m.t if m.about is None else m.about for m in words])


_SUSPECTED: tuple[Key, ...] = (
    *said(*_SUSPICION, "sirs_noninfectious_cause"),
    ("order", "order.blood_culture"),
    ("order", "order.lactate"),
    ("med_order", "med.iv_antibiotic"),
    ("med_given", "med.iv_antibiotic"),
    ("met", "sirs"),
)
_LACTATE = facts("obs", "lab.lactate")
_RESTRAINT = facts("order", "order.restraint_violent")

ANCHORS: dict[str, Computed[Minute]] = {
    "arrival": Computed(lambda _: 0),
    "sepsis_suspected": Computed(_suspected, _SUSPECTED),
    "severe_sepsis_presentation": Computed(
        _severe,
        (
            *_SUSPECTED,
            ("met", "organ"),
            ("patient", "age_years"),
            *facts("hx", "hx.anticoagulant", "hx.esrd"),
            *said(*OTHER_CAUSES),
        ),
    ),
    "initial_hypotension": Computed(
        _initial_hypotension, (("met", "organ"),), ("sepsis_suspected",)
    ),
    "crystalloid_trigger": Computed(
        _crystalloid_trigger,
        (*_LACTATE, *said("lactate_other_cause")),
        ("sepsis_suspected", "initial_hypotension"),
    ),
    "crystalloid_completed": Computed(
        _crystalloid_completed,
        (("med_given", "med.crystalloid_bolus"), ("med_order", "med.crystalloid_bolus")),
    ),
    "persistent_hypotension": Computed(
        _persistent_hypotension,
        (("met", "organ"),),
        ("crystalloid_completed", "severe_sepsis_presentation"),
    ),
    "septic_shock_presentation": Computed(
        _septic_shock,
        (*_LACTATE, *said("septic_shock")),
        ("severe_sepsis_presentation", "persistent_hypotension"),
    ),
    "repeat_lactate_clock": Computed(_repeat_lactate, _LACTATE, ("severe_sepsis_presentation",)),
    "stemi_identified": Computed(
        lambda r: first(r.times("order", "order.stemi_alert") + [m.t for m in r.said(("stemi",))]),
        (*facts("order", "order.stemi_alert"), *said("stemi")),
    ),
    "intubation": Computed(
        lambda r: first(r.times("proc", "proc.invasive_vent")), facts("proc", "proc.invasive_vent")
    ),
    "restraint_applied": Computed(
        lambda r: first(
            r.times("order", "order.restraint_violent") + r.times("proc", "proc.restraint_applied")
        ),
        (*_RESTRAINT, *facts("proc", "proc.restraint_applied")),
    ),
    "restraint_order": Computed(
        lambda r: max(r.times("order", "order.restraint_violent"), default=None), _RESTRAINT
    ),
    "admit_order": Computed(
        lambda r: first(r.times("order", "order.admit")), facts("order", "order.admit")
    ),
    "injury_or_arrival": Computed(
        lambda r: int(r.patient.get("injury_t") or 0), (("patient", "injury_t"),)
    ),
    "lkw": Computed(_last_known_well, said("lkw_time")),
}
"""The named times; each may read only those above it."""

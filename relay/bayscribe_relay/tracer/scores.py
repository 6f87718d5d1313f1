"""The parts of clinical scores that can be read off the record, for prompt texts.

Points as in the catalogue's sources: HEART, Wells, CURB-65 (urea nitrogen 20 mg/dL for
7 mmol/L), Canadian Syncope Risk Score and Glasgow-Blatchford (`docs/tracer.md`). Parts that
need a clinician's judgement are never guessed: the text says what was counted.
"""

from collections.abc import Callable

from bayscribe_relay.tracer.record import Record

Points = list[tuple[str, float]]


def _last(record: Record, concept: str) -> float | None:
    found = record.facts("obs", concept)
    return found[-1].value if found else None


def _steps(value: float, steps: tuple[tuple[float, float], ...]) -> float:
    """Points of the highest step reached; ``steps`` rise."""
    return max((points for at, points in steps if value >= at), default=0)


def _text(points: Points) -> str:
    """What is known, as "age 1, troponin 0 (sum 1)"."""
    if not points:
        return "none"
    shown = ", ".join(f"{name} {value:g}" for name, value in points)
    return f"{shown} (sum {sum(value for _, value in points):g})"


def _heart(record: Record) -> Points:
    found: Points = []
    age = record.patient.get("age_years")
    if age is not None:
        found.append(("age", _steps(age, ((45, 1), (65, 2)))))
    troponins = [e.xuln for e in record.facts("obs", "lab.troponin")]
    if troponins:
        highest = max(troponins)
        found.append(("troponin", 0 if highest <= 1 else 1 if highest <= 3 else 2))
    return found


def _wells(record: Record) -> Points:
    rate = _last(record, "vital.hr")
    return [] if rate is None else [("heart rate", 1.5 if rate > 100 else 0)]


def _curb65(record: Record) -> Points:
    found: Points = []
    nitrogen, breaths = _last(record, "lab.bun"), _last(record, "vital.rr")
    systolic, diastolic = _last(record, "vital.sbp"), _last(record, "vital.dbp")
    age = record.patient.get("age_years")
    if nitrogen is not None:
        found.append(("urea", int(nitrogen >= 20)))
    if breaths is not None:
        found.append(("breaths", int(breaths >= 30)))
    if systolic is not None or diastolic is not None:
        low = (systolic is not None and systolic < 90) or (
            diastolic is not None and diastolic <= 60
        )
        found.append(("pressure", int(low)))
    if age is not None:
        found.append(("age", int(age >= 65)))
    return found


def _syncope(record: Record) -> Points:
    found: Points = []
    pressures = [e.value for e in record.facts("obs", "vital.sbp")]
    if pressures:
        found.append(("pressure", 2 if min(pressures) < 90 or max(pressures) > 180 else 0))
    troponins = [e.xuln for e in record.facts("obs", "lab.troponin")]
    if troponins:
        found.append(("troponin", 2 if max(troponins) > 1 else 0))
    return found


def _blatchford(record: Record) -> Points:
    found: Points = []
    nitrogen, haemoglobin = _last(record, "lab.bun"), _last(record, "lab.hgb")
    systolic, rate = _last(record, "vital.sbp"), _last(record, "vital.hr")
    if nitrogen is not None:
        found.append(("urea", _steps(nitrogen, ((18.2, 2), (22.4, 3), (28, 4), (70, 6)))))
    if haemoglobin is not None:
        male = record.patient.get("sex") == "M"
        bands = ((13, 0.0), (12, 1), (10, 3)) if male else ((12, 0.0), (10, 1))
        found.append(("haemoglobin", next((p for at, p in bands if haemoglobin >= at), 6)))
    if systolic is not None:
        bands = ((110, 0.0), (100, 1), (90, 2))
        found.append(("pressure", next((p for at, p in bands if systolic >= at), 3)))
    if rate is not None:
        found.append(("heart rate", int(rate >= 100)))
    return found


SCORES: dict[str, Callable[[Record], str]] = {
    "heart": lambda r: _text(_heart(r)),
    "wells": lambda r: _text(_wells(r)),
    "curb65": lambda r: _text(_curb65(r)),
    "csrs": lambda r: _text(_syncope(r)),
    "gbs": lambda r: _text(_blatchford(r)),
}
"""By score, the computable parts as text."""

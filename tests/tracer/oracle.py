"""A second evaluator of the catalogue, slow and obvious, that shares no code with the product.

It reads the catalogue's files and a case, and for each minute asks every question again of the
whole timeline: no index, no memory but which gaps were prompted. The product must agree with it.
"""

from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar, cast

import yaml

Dict = dict[str, Any]
T = TypeVar("T")

CATALOGUE = Path(__file__).parents[2] / "relay/bayscribe_relay/tracer/catalogue"
DOCTORS = {"attending", "resident", "app"}
SIX_HOURS = 360

TO_CATALOGUE_UNIT: dict[tuple[str, str | None], Callable[[float], float]] = {
    ("vital.temp_c", "[degF]"): lambda f: (f - 32) / 1.8,
    ("vital.weight_kg", "[lb_av]"): lambda pounds: pounds * 0.45359237,
    ("lab.lactate", "mg/dL"): lambda mass: mass / 9.008,
    ("lab.creatinine", "umol/L"): lambda molar: molar / 88.4,
    ("lab.glucose", "mmol/L"): lambda molar: molar * 18.016,
    ("lab.bilirubin", "umol/L"): lambda molar: molar / 17.1,
}


@cache
def read_catalogue() -> list[Dict]:
    """All gaps in the order in which they are judged."""
    files = [
        yaml.load(path.read_text("utf-8"), yaml.CSafeLoader) for path in CATALOGUE.glob("*.yaml")
    ]
    return sorted(
        (gap for file in files for gap in file.get("gaps", [])), key=lambda gap: gap["order"]
    )


def once(question: Callable[["Minute"], T]) -> Callable[["Minute"], T]:
    """Ask a question once a minute: its answer does not change within one."""

    def ask(minute: "Minute") -> T:
        name = question.__name__
        if name not in minute.answers:
            minute.answers[name] = question(minute)
        return cast("T", minute.answers[name])

    return ask


class Minute:
    """All questions about one minute of a case."""

    def __init__(self, case: Dict, now: int) -> None:
        self.now = now
        self.patient = case["patient"]
        self.answers: Dict = {}
        known = [e for e in case["events"] if received(e) <= now]
        superseded = [e["replaces"] for e in known if "replaces" in e]
        self.events = []
        for event in known:
            void = event.get("status") in ("cancelled", "entered-in-error", "not-done")
            if void or event.get("id") in superseded or event["t"] > now:
                continue
            convert = TO_CATALOGUE_UNIT.get((event["concept"], event.get("unit")))
            value = event.get("value")
            self.events.append(dict(event, value=convert(value) if convert else value))
        self.utterances = [u for u in case.get("utterances", []) if received(u) <= now]

    # Words.

    def said(
        self, concepts: list[str], polarity: str = "affirmed", roles: set[str] = DOCTORS
    ) -> list[tuple[int, Dict]]:
        return [
            (utterance["t"], concept)
            for utterance in self.utterances
            for concept in utterance["concepts"]
            if utterance["speaker"] in roles
            and concept["concept"] in concepts
            and polarity in ("any", concept.get("polarity", "affirmed"))
        ]

    def excused(self, *concepts: str) -> set[str]:
        return {c["criterion"] for _, c in self.said(list(concepts)) if "criterion" in c}

    # Events.

    def of(self, kind: str, *concepts: str) -> list[Dict]:
        name = f"{kind}: {concepts}"
        if name not in self.answers:
            self.answers[name] = [
                e for e in self.events if e["kind"] == kind and e["concept"] in concepts
            ]
        found: list[Dict] = self.answers[name]
        return found

    def when(self, kind: str, *concepts: str) -> list[int]:
        return [e["t"] for e in self.of(kind, *concepts)]

    def values(self, concept: str, start: int, end: int) -> list[float]:
        return [e["value"] for e in self.of("obs", concept) if start <= e["t"] <= end]

    def last(self, concept: str) -> float | None:
        found = self.of("obs", concept)
        return found[-1]["value"] if found else None

    @once
    def lactates(self) -> list[Dict]:
        found = self.of("obs", "lab.lactate")
        return sorted(found, key=sampled)

    def hypotensive(self, start: int, end: int) -> list[int]:
        return sorted(
            {
                e["t"]
                for e in self.events
                if e["kind"] == "obs"
                and start <= e["t"] <= end
                and (
                    (e["concept"] == "vital.sbp" and e["value"] < 90)
                    or (e["concept"] == "vital.map" and e["value"] < 65)
                )
            }
        )

    # Criteria.

    def sirs(self, at: int) -> int:
        if at < 0:
            return 0

        def any_of(concept: str, low: float, high: float) -> bool:
            return any(v < low or v > high for v in self.values(concept, at - SIX_HOURS, at))

        nothing = float("-inf")
        found = {
            "temp": any_of("vital.temp_c", 36.0, 38.3),
            "hr": any_of("vital.hr", nothing, 90),
            "rr": any_of("vital.rr", nothing, 20),
            "wbc": any_of("lab.wbc", 4, 12) or any_of("lab.bands_pct", nothing, 10),
        }
        excused = self.excused("sirs_noninfectious_cause")
        return sum(is_met for name, is_met in found.items() if name not in excused)

    def organ_dysfunctions(self, at: int) -> int:
        start = at - SIX_HOURS

        def above(concept: str, limit: float) -> bool:
            return any(v > limit for v in self.values(concept, start, at))

        found = {
            "hypotension": bool(self.hypotensive(start, at)),
            "creatinine": above("lab.creatinine", 2) and not self.of("hx", "hx.esrd"),
            "bilirubin": above("lab.bilirubin", 2),
            "platelets": any(v < 100 for v in self.values("lab.platelets", start, at)),
            "inr": above("lab.inr", 1.5) and not self.of("hx", "hx.anticoagulant"),
            "lactate": above("lab.lactate", 2),
            "resp": any(
                start <= t <= at for t in self.when("proc", "proc.niv", "proc.invasive_vent")
            ),
        }
        excused = self.excused(
            "organ_dysfunction_other_cause",
            "lactate_other_cause",
            "aki_other_cause",
            "coagulopathy_other_cause",
            "hypotension_other_cause",
        )
        return sum(is_met for name, is_met in found.items() if name not in excused)

    # Named times.

    @once
    def infection_suspected(self) -> int | None:
        times = [
            t
            for t, _ in self.said(
                ["suspected_infection", "sepsis", "severe_sepsis", "septic_shock"]
            )
        ]
        cultures = self.when("order", "order.blood_culture")
        others = [
            *self.when("med_order", "med.iv_antibiotic"),
            *self.when("med_given", "med.iv_antibiotic"),
            *self.when("order", "order.lactate"),
        ]
        if cultures and others:
            times.append(max(min(cultures), min(others)))
        return min(times, default=None)

    def stated(self, *concepts: str) -> list[int]:
        return [c.get("stated_t", t) for t, c in self.said(list(concepts))]

    def anchor(self, name: str) -> int | None:
        if name.startswith(("first:", "last:")):
            which, kind, concept = name.split(":")
            times = self.when(kind, concept)
            return (min(times) if which == "first" else max(times)) if times else None
        answer: int | None = getattr(self, f"at_{name}")()
        return answer

    @once
    def at_arrival(self) -> int:
        return 0

    @once
    def at_sepsis_suspected(self) -> int | None:
        start = self.infection_suspected()
        if start is None:
            return None
        for t in range(start, self.now + 1):
            if self.sirs(t) >= 2:
                return t
        return None

    @once
    def at_severe_sepsis_presentation(self) -> int | None:
        if self.patient["age_years"] < 18:
            return None
        times = self.stated("severe_sepsis", "septic_shock")
        start = self.infection_suspected()
        if start is not None:
            for t in range(max(start, 0), min(self.now, start + SIX_HOURS) + 1):
                if self.sirs(t) >= 2 and self.organ_dysfunctions(t) >= 1:
                    times.append(t)
                    break
        return min(times, default=None)

    @once
    def at_initial_hypotension(self) -> int | None:
        base = self.at_sepsis_suspected()
        if base is None:
            return None
        low = self.hypotensive(base - SIX_HOURS, base + SIX_HOURS)
        for before, after in pairwise(low):
            if after - before <= 180:
                return max(after, base)
        return None

    @once
    def at_crystalloid_trigger(self) -> int | None:
        base = self.at_sepsis_suspected()
        if base is None:
            return None
        times = [self.at_initial_hypotension()]
        lactates = self.lactates()
        excused = "lactate" in self.excused("lactate_other_cause")
        if lactates and lactates[0]["value"] >= 4 and not excused:
            times.append(max(base, lactates[0]["t"]))
        return min((t for t in times if t is not None), default=None)

    @once
    def at_crystalloid_completed(self) -> int | None:
        ended = [
            e
            for e in self.of("med_given", "med.crystalloid_bolus")
            if e.get("end_t") is not None and e["end_t"] <= self.now
        ]
        ordered = sum(e["volume_ml"] for e in self.of("med_order", "med.crystalloid_bolus"))
        if not ended or sum(e["volume_ml"] for e in ended) < ordered:
            return None
        return max(int(e["end_t"]) for e in ended)

    @once
    def at_persistent_hypotension(self) -> int | None:
        done = self.at_crystalloid_completed()
        if done is None or self.at_severe_sepsis_presentation() is None:
            return None
        low = self.hypotensive(done, done + 60)
        return low[1] if len(low) > 1 else None

    @once
    def at_septic_shock_presentation(self) -> int | None:
        times = self.stated("septic_shock")
        severe = self.at_severe_sepsis_presentation()
        if severe is not None:
            lactates = self.lactates()
            if lactates and lactates[0]["value"] >= 4:
                times.append(max(severe, lactates[0]["t"]))
            persistent = self.at_persistent_hypotension()
            if persistent is not None:
                times.append(persistent)
        return min(times, default=None)

    @once
    def at_repeat_lactate_clock(self) -> int | None:
        severe = self.at_severe_sepsis_presentation()
        if severe is not None:
            return severe
        lactates = self.lactates()
        return int(lactates[0]["t"]) if lactates else None

    @once
    def at_stemi_identified(self) -> int | None:
        spoken = [t for t, _ in self.said(["stemi"])]
        return min([*self.when("order", "order.stemi_alert"), *spoken], default=None)

    @once
    def at_intubation(self) -> int | None:
        return min(self.when("proc", "proc.invasive_vent"), default=None)

    @once
    def at_restraint_applied(self) -> int | None:
        orders = self.when("order", "order.restraint_violent")
        return min([*orders, *self.when("proc", "proc.restraint_applied")], default=None)

    @once
    def at_restraint_order(self) -> int | None:
        return max(self.when("order", "order.restraint_violent"), default=None)

    @once
    def at_admit_order(self) -> int | None:
        return min(self.when("order", "order.admit"), default=None)

    @once
    def at_injury_or_arrival(self) -> int:
        return int(self.patient.get("injury_t", 0))

    @once
    def at_lkw(self) -> int | None:
        words = self.said(["lkw_time"], roles=DOCTORS | {"nurse"})
        return min((c["t"] for _, c in words), default=None)

    # Figures.

    def figure(self, name: str) -> float | None:
        answer: float | None = getattr(self, f"get_{name}")()
        return answer

    @once
    def get_sirs_count(self) -> float:
        return self.sirs(self.now)

    @once
    def get_organ_dysfunction_count(self) -> float:
        return self.organ_dysfunctions(self.now)

    @once
    def get_ob_sirs_count(self) -> float:
        start = self.now - SIX_HOURS
        return sum(
            [
                any(v >= 38 or v < 36 for v in self.values("vital.temp_c", start, self.now)),
                any(v > 110 for v in self.values("vital.hr", start, self.now)),
                any(v > 24 for v in self.values("vital.rr", start, self.now)),
                any(v > 15 or v < 4 for v in self.values("lab.wbc", start, self.now)),
            ]
        )

    @once
    def get_initial_lactate(self) -> float | None:
        lactates = self.lactates()
        return lactates[0]["value"] if lactates else None

    @once
    def get_lactate_orders_after_initial(self) -> float:
        lactates = self.lactates()
        if not lactates:
            return 0
        drawn = sampled(lactates[0])
        return sum(t > drawn for t in self.when("order", "order.lactate"))

    @once
    def get_lactates_collected_after_initial(self) -> float:
        lactates = self.lactates()
        if not lactates:
            return 0
        drawn = sampled(lactates[0])
        samples = [*self.of("collected", "lab.lactate"), *lactates]
        return sum(sampled(e) > drawn for e in samples)

    @once
    def get_lactate_after_fluids(self) -> float | None:
        start = self.at_crystalloid_completed()
        if start is None:
            start = min(self.when("med_given", "med.vasopressor"), default=None)
        if start is None:
            return None
        later = [e["value"] for e in self.lactates() if e["t"] >= start]
        return later[-1] if later else None

    @once
    def get_crystalloid_ml_per_kg(self) -> float | None:
        weights = self.of("obs", "vital.weight_kg")
        ordered = sum(e["volume_ml"] for e in self.of("med_order", "med.crystalloid_bolus"))
        given = sum(e["volume_ml"] for e in self.of("med_given", "med.crystalloid_bolus"))
        if not weights or not max(ordered, given):
            return None
        latest = max(weights, key=lambda e: (int(e["t"]), received(e)))
        return float(max(ordered, given) / latest["value"])

    @once
    def get_bp_readings_hour_after_fluids(self) -> float:
        done = self.at_crystalloid_completed()
        if done is None:
            return 99
        return len({t for t in self.when("obs", "vital.sbp") if done <= t <= done + 60})

    @once
    def get_culture_before_antibiotic(self) -> float:
        given = self.when("med_given", "med.iv_antibiotic")
        drawn = self.when("collected", "lab.blood_culture")
        return 1 if given and drawn and min(drawn) <= min(given) else 0

    @once
    def creatinines(self) -> tuple[float, float] | None:
        found = sorted(self.of("obs", "lab.creatinine"), key=lambda e: e["t"])
        if not found:
            return None
        lowest = min(e["value"] for e in found)
        baseline = self.patient.get("creatinine_baseline")
        return found[-1]["value"], min(lowest, baseline) if baseline else lowest

    @once
    def get_creatinine_rise_48h(self) -> float | None:
        pair = self.creatinines()
        return pair[0] - pair[1] if pair else None

    @once
    def get_creatinine_ratio_7d(self) -> float | None:
        pair = self.creatinines()
        return pair[0] / pair[1] if pair else None

    @once
    def get_phoenix_score(self) -> float:
        return float(self.patient.get("phoenix_score", 0))

    @once
    def get_troponin_xuln(self) -> float | None:
        multiples: list[float] = [e.get("xuln", 0) for e in self.of("obs", "lab.troponin")]
        return max(multiples, default=None)

    @once
    def get_min_since_lkw(self) -> float | None:
        well = self.at_lkw()
        return None if well is None else self.now - well

    @once
    def get_min_arrival_to_first_lytic(self) -> float | None:
        return min(self.when("med_given", "med.thrombolytic"), default=None)

    @once
    def get_nihss(self) -> float | None:
        scores = [(e["t"], e["value"]) for e in self.of("obs", "vital.nihss")]
        scores += [(t, c["value"]) for t, c in self.said(["nihss_total"])]
        return max(scores)[1] if scores else None

    @once
    def get_shock_index(self) -> float | None:
        rate, pressure = self.last("vital.hr"), self.last("vital.sbp")
        return None if rate is None or pressure is None else rate / pressure

    @once
    def get_dka_criteria(self) -> float:
        glucose, ketone = self.last("lab.glucose"), self.last("lab.bhb")
        ph, bicarbonate = self.last("lab.ph"), self.last("lab.hco3")
        diabetic = bool(self.of("hx", "hx.diabetes")) or (glucose is not None and glucose >= 200)
        acid = bool(ph and ph < 7.3) or bool(bicarbonate and bicarbonate < 18)
        return 1 if diabetic and ketone is not None and ketone >= 3 and acid else 0

    # Conditions.

    def holds(self, node: Dict) -> bool:  # noqa: C901 - one line a kind of condition
        [(key, body)] = node.items()
        if key == "all":
            return all(self.holds(part) for part in body)
        if key == "any":
            return any(self.holds(part) for part in body)
        if key == "not":
            return not self.holds(body)
        if key == "at_least":
            return sum(self.holds(part) for part in body["of"]) >= int(body["n"])
        if key == "said":
            return bool(self.said(body["concept"], body["polarity"], set(body["by"])))
        if key == "anchor_known":
            return bool(self.anchor(body) is not None)
        if key == "calc":
            return is_so(self.figure(body["fn"]), body)
        if key == "patient":
            default = True if body["field"] == "age_known" else None
            return is_so(self.patient.get(body["field"], default), body)
        concepts = body["concept"] if isinstance(body["concept"], list) else [body["concept"]]
        found = self.of(body["kind"], *concepts)
        if found and body.get("agg") == "latest":
            last = max(e["t"] for e in found)
            found = [e for e in found if e["t"] == last][:1]
        if found and body.get("agg") == "min":
            found = [min(found, key=lambda e: e["value"])]
        return any("op" not in body or is_so(e["value"], body) for e in found)


def received(event: Dict) -> int:
    return int(event["t_recv"] if "t_recv" in event else event["t"])


def sampled(event: Dict) -> int:
    return int(event["collected_t"] if "collected_t" in event else event["t"])


def is_so(found: Any, body: Dict) -> bool:  # noqa: ANN401 - attributes of any type
    if found is None:
        return False
    limit = body["value"]
    answers = {"eq": found == limit}
    if body["op"] != "eq":
        answers |= {"gt": found > limit, "ge": found >= limit}
        answers |= {"lt": found < limit, "le": found <= limit}
    return bool(answers[body["op"]])


def deadline_of(gap: Dict, minute: Minute) -> int | None:
    start = minute.anchor(gap["deadline"]["anchor"])
    if start is None:
        return None
    offset = gap["deadline"]["offset_min"]
    if isinstance(offset, str):
        by_age = offset.removeprefix("age:").split("|")
        age = minute.patient["age_years"]
        offset = int(by_age[0 if age >= 18 else 1 if age >= 9 else 2])
    return int(start + offset)


def evaluate(case: Dict) -> list[tuple[str, int, int | None, str | None]]:  # noqa: C901 - one story
    """Every prompt of a case: gap, minute, when it closed and by what."""
    gaps = [
        gap
        for gap in read_catalogue()
        if (gap["enabled_by_default"] or gap["id"] in case.get("enable", []))
        and gap["profile"] in case["profiles"]
        and gap["id"] not in case.get("disable", [])
    ]
    onset: dict[str, int] = {}
    fired: dict[str, int] = {}
    answered: set[str] = set()
    closed: dict[str, tuple[int, str]] = {}
    for now in range(case["horizon_min"] + 1):
        minute = Minute(case, now)
        for gap in gaps:
            name, prompt = gap["id"], gap["prompt"]
            excluded = any(minute.holds(node) for node in gap["applies"]["exclude_if_any"])
            if excluded or not minute.holds(gap["trigger"]):
                onset.pop(name, None)
                if name in fired and name not in closed:
                    closed[name] = now, "record"
                continue
            onset.setdefault(name, now)
            # "No hemorrhage" is the answer that a CT's interpretation asks for.
            polarity = "any" if name == "stroke_ct_interpretation" else "affirmed"
            if minute.said(gap["attestation"]["concepts_any_of"], polarity):
                if name in fired:
                    answered.add(name)
                    closed.setdefault(name, (now, "said"))
                continue
            if name in fired or now >= case.get("departed_t", now + 1):
                continue
            if prompt["mode"] == "on_trigger":
                due = onset[name] + (prompt["grace_min"] or 0)
            else:
                deadline = deadline_of(gap, minute)
                if deadline is None:
                    continue
                due = max(onset[name], deadline - (prompt["lead_min"] or 0))
            waits = any(o in fired and o not in answered for o in prompt["defer_to_open_prompts"])
            if now >= due and not waits:
                fired[name] = now
    return [(name, at, *closed.get(name, (None, None))) for name, at in fired.items()]

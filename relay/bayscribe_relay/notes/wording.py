"""Words as they were said, and figures as they were charted, in writing."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, tzinfo
from typing import Final

from bayscribe_relay.clinical.events import ClinicalEvent
from bayscribe_relay.clinical.speech import Utterance

DOUBTFUL: Final = "[?]"
FILLERS: Final = frozenset({"um", "uh", "uhm", "umm", "er", "erm", "hmm", "mhm"})
"""Sounds that carry no meaning; nothing else that was said is left out ("mm" is millimetres)."""

UNITS: Final = {
    "Cel": "°C", "/min": "/min", "mm[Hg]": "mm Hg", "%": "%", "kg": "kg", "cm": "cm",
    "L/min": "L/min", "10*3/uL": "×10³/µL", "10*9/L": "×10⁹/L", "ug/min": "µg/min",
    "mL/h": "mL/h", "[IU]": "IU", "[degF]": "°F", "[lb_av]": "lb", "[in_i]": "in",
}  # fmt: skip
"""How UCUM codes are written for people; those not listed are written as they are."""

_NAMES: Final = {
    "vital.temp_c": "Temperature", "vital.hr": "Heart rate", "vital.rr": "Respiratory rate",
    "vital.sbp": "Systolic blood pressure", "vital.dbp": "Diastolic blood pressure",
    "vital.map": "Mean arterial pressure", "vital.spo2": "SpO2", "vital.weight_kg": "Weight",
    "vital.height_cm": "Height", "vital.bmi": "Body mass index", "vital.gcs": "Glasgow coma scale",
    "vital.pain": "Pain score", "vital.nihss": "NIHSS", "vital.o2_flow_lpm": "Oxygen flow",
    "vital.uop_ml_kg_h": "Urine output", "lab.lactate": "Lactate", "lab.wbc": "White cell count",
    "lab.bands_pct": "Bands", "lab.creatinine": "Creatinine", "lab.bilirubin": "Bilirubin",
    "lab.platelets": "Platelets", "lab.inr": "INR", "lab.aptt": "aPTT", "lab.glucose": "Glucose",
    "lab.troponin": "Troponin", "lab.hgb": "Haemoglobin", "lab.potassium": "Potassium",
    "lab.ph": "pH", "lab.hco3": "Bicarbonate", "lab.bhb": "Beta-hydroxybutyrate",
    "lab.hcg": "hCG", "lab.ethanol": "Ethanol", "lab.bun": "Urea nitrogen",
    "lab.calcium": "Calcium", "lab.hct": "Haematocrit", "lab.ddimer": "D-dimer",
    "lab.blood_culture_organism": "Blood culture organism",
}  # fmt: skip

_SPACE: Final = re.compile(r"\s+")


def bare(word: str) -> str:
    """A word without punctuation and case."""
    return word.strip(".,;:!?…\"'“”()-").casefold()


def spoken(utterance: Utterance, doubtful_below: float) -> str:
    """What was said: the same words in the same order without fillers, doubtful ones marked."""
    words = []
    for word in utterance.words:
        text = _SPACE.sub(" ", word.text).strip().replace("“", '"').replace("”", '"')
        if not text or bare(text) in FILLERS:
            continue
        words.append(f"{text} {DOUBTFUL}" if word.probability < doubtful_below else text)
    line = " ".join(words)
    return line[:1].upper() + line[1:]


def number(value: float) -> str:
    """A number with as many digits as it has, thousands in groups: 2,000; 38.4."""
    if value == int(value):
        return f"{int(value):,}"
    return f"{value:,.6f}".rstrip("0")


def clock(at_ns: int, zone: tzinfo) -> str:
    """Hours and minutes."""
    return datetime.fromtimestamp(at_ns // 10**9, UTC).astimezone(zone).strftime("%H:%M")


def name(event: ClinicalEvent) -> str:
    """What an event is of."""
    if event.concept in _NAMES:
        return _NAMES[event.concept]
    return event.display or event.concept.split(".")[-1].replace("_", " ") or event.code


def value(event: ClinicalEvent) -> str:
    """Its value with its unit."""
    if isinstance(event.value, bool) or event.value is None:
        return ""
    if isinstance(event.value, str):
        return event.value
    unit = UNITS.get(event.unit, event.unit)
    return f"{number(event.value)}{'' if unit == '%' else ' '}{unit}".strip()


def listed(parts: Iterable[str]) -> str:
    """Parts in one line."""
    return "; ".join(parts)

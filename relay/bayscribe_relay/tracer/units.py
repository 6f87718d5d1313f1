"""Units: what sites send for a concept, brought into the catalogue's unit, or refused.

Molar conversions are by analyte; factors are the catalogue's where it has one (lactate
9.008, creatinine 88.4, bilirubin 17.1, glucose 18.016, urea nitrogen 2.801, beta-hydroxy-
butyrate 0.09605) and molar masses otherwise (calcium 40.08, ethanol 46.07, haemoglobin
monomer 16114 g/mol). Length, mass and pressure: exact definitions of the international
pound and inch, and of the conventional millimetre of mercury (133.322387415 Pa).
"""

import math
from typing import NamedTuple

import msgspec

from bayscribe_relay.tracer.timeline import Event


class Formula(NamedTuple):
    """``(x - subtract) * multiply / divide``, in this order, so that thresholds keep their bits."""

    subtract: float = 0.0
    multiply: float = 1.0
    divide: float = 1.0

    def __call__(self, x: float) -> float:
        """The value in the catalogue's unit."""
        return (x - self.subtract) * self.multiply / self.divide


class Refused(msgspec.Struct, frozen=True):
    """Why a value was not taken in. Names the concept and unit, never the value."""

    concept: str
    unit: str | None
    reason: str


SAME = Formula()
_PER_LITRE = {"meq/L": SAME}
_COUNTS = {
    "10*9/L": SAME,
    "10*3/mm3": SAME,
    "10*6/L": Formula(divide=1000),
    "/uL": Formula(divide=1000),
    "/mm3": Formula(divide=1000),
}
_PRESSURE = {"kPa": Formula(divide=0.133322387415), "Pa": Formula(divide=133.322387415)}
_RATE = {"{beats}/min": SAME, "{breaths}/min": SAME, "/s": Formula(multiply=60)}
_SCORE = {"1": SAME, "{#}": SAME}

_TABLE: dict[str, tuple[str, dict[str, Formula]]] = {
    # concept: (the catalogue's unit, other units)
    "vital.temp_c": ("Cel", {"[degF]": Formula(32, 1, 1.8), "K": Formula(273.15)}),
    "vital.hr": ("/min", _RATE),
    "vital.rr": ("/min", _RATE),
    "vital.sbp": ("mm[Hg]", _PRESSURE),
    "vital.dbp": ("mm[Hg]", _PRESSURE),
    "vital.map": ("mm[Hg]", _PRESSURE),
    "vital.spo2": ("%", {}),
    "vital.weight_kg": (
        "kg",
        {
            "[lb_av]": Formula(multiply=0.45359237),
            "[oz_av]": Formula(multiply=0.028349523125),
            "[stone_av]": Formula(multiply=6.35029318),
            "g": Formula(divide=1000),
        },
    ),
    "vital.height_cm": (
        "cm",
        {
            "[in_i]": Formula(multiply=2.54),
            "[ft_i]": Formula(multiply=30.48),
            "m": Formula(multiply=100),
            "mm": Formula(divide=10),
        },
    ),
    "vital.bmi": ("kg/m2", {}),
    "vital.gcs": ("{score}", _SCORE),
    "vital.pain": ("{score}", _SCORE),
    "vital.nihss": ("{score}", _SCORE),
    "vital.o2_flow_lpm": ("L/min", {"mL/min": Formula(divide=1000)}),
    "vital.uop_ml_kg_h": ("mL/kg/h", {}),
    "lab.lactate": ("mmol/L", {"mg/dL": Formula(divide=9.008), **_PER_LITRE}),
    "lab.wbc": ("10*3/uL", _COUNTS),
    "lab.platelets": ("10*3/uL", _COUNTS),
    "lab.bands_pct": ("%", {}),
    "lab.creatinine": (
        "mg/dL",
        {"umol/L": Formula(divide=88.4), "mmol/L": Formula(multiply=1000, divide=88.4)},
    ),
    "lab.bilirubin": ("mg/dL", {"umol/L": Formula(divide=17.1), "mg/L": Formula(divide=10)}),
    "lab.glucose": ("mg/dL", {"mmol/L": Formula(multiply=18.016), "g/L": Formula(multiply=100)}),
    "lab.bun": ("mg/dL", {"mmol/L": Formula(multiply=2.801)}),
    "lab.calcium": ("mg/dL", {"mmol/L": Formula(multiply=4.008), "meq/L": Formula(multiply=2.004)}),
    "lab.bhb": ("mmol/L", {"mg/dL": Formula(multiply=0.09605), "umol/L": Formula(divide=1000)}),
    "lab.hco3": ("mmol/L", _PER_LITRE),
    "lab.potassium": ("mmol/L", _PER_LITRE),
    "lab.hgb": ("g/dL", {"g/L": Formula(divide=10), "mmol/L": Formula(multiply=1.6114)}),
    "lab.hct": ("%", {"L/L": Formula(multiply=100)}),
    "lab.troponin": (
        "ng/L",
        {
            "pg/mL": SAME,
            "ng/mL": Formula(multiply=1000),
            "ug/L": Formula(multiply=1000),
            "ng/dL": Formula(multiply=10),
        },
    ),
    # Fibrinogen-equivalent and D-dimer units differ by the assay: only the former are taken.
    "lab.ddimer": (
        "ug/L{FEU}",
        {
            "ng/mL{FEU}": SAME,
            "mg/L{FEU}": Formula(multiply=1000),
            "ug/mL{FEU}": Formula(multiply=1000),
        },
    ),
    "lab.ethanol": (
        "mg/dL",
        {
            "g/L": Formula(multiply=100),
            "g/dL": Formula(multiply=1000),
            "%": Formula(multiply=1000),
            "mmol/L": Formula(multiply=4.607),
        },
    ),
    "lab.ph": ("[pH]", {"1": SAME}),
    "lab.inr": ("{INR}", {"1": SAME, "{ratio}": SAME}),
    "lab.aptt": ("s", {"ms": Formula(divide=1000)}),
}

UNITS = {concept: unit for concept, (unit, _) in _TABLE.items()}
"""The catalogue's unit of each measured concept."""

_VOLUME = {"mL": SAME, "L": Formula(multiply=1000), "dL": Formula(multiply=100)}
_MASS = {
    "mg": SAME,
    "g": Formula(multiply=1000),
    "ug": Formula(divide=1000),
    "ng": Formula(divide=1_000_000),
}

_ALIASES = {
    # What devices and laboratories write for UCUM, in lower case.
    **dict.fromkeys(("f", "°f", "degf", "deg f", "fahrenheit"), "[degF]"),
    **dict.fromkeys(("c", "°c", "degc", "deg c", "celsius"), "Cel"),
    **dict.fromkeys(("bpm", "beats/min", "{beats}/min", "/minute"), "/min"),
    **dict.fromkeys(("breaths/min", "br/min", "rpm", "{breaths}/min"), "/min"),
    **dict.fromkeys(("mmhg", "mm hg", "mm[hg]", "torr"), "mm[Hg]"),
    **dict.fromkeys(("percent", "pct"), "%"),
    **dict.fromkeys(("kgs", "kilogram", "kilograms"), "kg"),
    **dict.fromkeys(("lb", "lbs", "pound", "pounds", "[lb_ap]"), "[lb_av]"),
    **dict.fromkeys(("oz", "ounce", "ounces"), "[oz_av]"),
    **dict.fromkeys(("gm", "gram", "grams"), "g"),
    **dict.fromkeys(("in", "inch", "inches", "[in_us]"), "[in_i]"),
    **dict.fromkeys(("ft", "feet", "foot"), "[ft_i]"),
    **dict.fromkeys(("kg/m^2", "kg/m*2", "kg/m²"), "kg/m2"),
    **dict.fromkeys(("score", "{points}", "points"), "{score}"),
    **dict.fromkeys(("lpm", "l/m", "liters/min"), "L/min"),
    **dict.fromkeys(("meq/l", "meq/liter", "[meq]/l"), "meq/L"),
    **dict.fromkeys(("umol/l", "µmol/l", "μmol/l", "mcmol/l"), "umol/L"),
    **dict.fromkeys(
        ("k/ul", "k/µl", "k/mcl", "k/mm3", "10^3/ul", "10e3/ul", "x10e3/ul", "x10^3/ul",
         "x10(3)/ul", "10*3/µl", "10*3/mcl", "thou/ul", "thou/mcl", "th/ul", "10^3/mcl",
         "10^3/mm3"),
        "10*3/uL",
    ),
    **dict.fromkeys(("10^9/l", "x10^9/l", "x10e9/l", "10e9/l", "g/l{count}", "giga/l"), "10*9/L"),
    **dict.fromkeys(("cells/ul", "/mcl", "{cells}/ul", "#/ul"), "/uL"),
    **dict.fromkeys(("/cmm", "cells/mm3", "/cu mm"), "/mm3"),
    **dict.fromkeys(("mcg/l",), "ug/L"),
    **dict.fromkeys(("ng/ml feu", "ng/ml (feu)", "ng{feu}/ml"), "ng/mL{FEU}"),
    **dict.fromkeys(("mcg/ml feu", "ug/ml feu", "ug{feu}/ml", "mcg/ml{feu}"), "ug/mL{FEU}"),
    **dict.fromkeys(("mg/l feu", "mg{feu}/l"), "mg/L{FEU}"),
    **dict.fromkeys(("ug/l feu", "ug{feu}/l", "mcg/l feu"), "ug/L{FEU}"),
    **dict.fromkeys(("ph", "ph units", "{ph}"), "[pH]"),
    **dict.fromkeys(("inr", "ratio"), "{INR}"),
    **dict.fromkeys(("sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("cc", "milliliter", "milliliters", "millilitre"), "mL"),
    **dict.fromkeys(("liter", "liters", "litre", "litres"), "L"),
    **dict.fromkeys(("mcg", "µg", "μg"), "ug"),
}  # fmt: skip

_KNOWN_UNITS = {
    unit.lower(): unit
    for table in (
        *({canonical: SAME, **others} for canonical, others in _TABLE.values()),
        _VOLUME,
        _MASS,
    )
    for unit in table
}

_DIMENSIONLESS = ("{score}", "{INR}", "[pH]")


def ucum(unit: str) -> str:
    """The UCUM code for a unit as written; the text itself if it is not one we know."""
    text = unit.strip()
    low = text.lower()
    return _ALIASES.get(low) or _KNOWN_UNITS.get(low) or text


def normalise(event: Event, *, require_unit: bool = False) -> Event | Refused:
    """The event with its value in the catalogue's unit.

    Observations of unmeasured concepts pass unchanged. Of an order or administration only the
    amount is judged: with an unknown unit the act stands and its amount is left out.
    """
    if event.kind in ("med_order", "med_given", "rx"):
        return _amount(event)
    known = _TABLE.get(event.concept)
    if event.kind != "obs" or known is None:
        return event
    if event.value is None and not event.unit and not require_unit:
        return event  # a case file may say that there is a result without saying which
    canonical, others = known
    value = _number(event.value)
    if value is None:
        return Refused(event.concept, event.unit, f"{event.concept}: the value is not a number")
    if not event.unit:
        if require_unit and canonical not in _DIMENSIONLESS:
            return Refused(event.concept, None, f"{event.concept}: no unit; wanted {canonical}")
        return _with(event, value)
    unit = ucum(event.unit)
    if unit == canonical:
        return _with(event, value)
    formula = others.get(unit)
    if formula is None:
        reason = f"{event.concept}: unit {event.unit[:20]!r} does not convert to {canonical}"
        return Refused(event.concept, event.unit, reason)
    return _with(event, value if formula is SAME else formula(value))


def _amount(event: Event) -> Event:
    """Doses in mg and volumes in mL; an unknown unit leaves the act without an amount."""
    value = _number(event.value)
    if value is None or not event.unit:
        return event
    unit = ucum(event.unit)
    if unit in _VOLUME:
        volume = event.volume_ml or _VOLUME[unit](value)
        return msgspec.structs.replace(
            event, value=_VOLUME[unit](value), unit="mL", volume_ml=volume
        )
    if unit in _MASS:
        return msgspec.structs.replace(event, value=_MASS[unit](value), unit="mg")
    return msgspec.structs.replace(event, value=None)


def _with(event: Event, value: float) -> Event:
    if value is event.value and event.unit is None:
        return event
    return msgspec.structs.replace(event, value=value, unit=None)


def _number(value: object) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    return value if isinstance(value, int | float) and math.isfinite(value) else None

"""Whatever unit a site sends, a rule sees the catalogue's; what is not understood is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayscribe_relay.tracer.catalogue import load
from bayscribe_relay.tracer.network import Network
from bayscribe_relay.tracer.timeline import Event
from bayscribe_relay.tracer.tracer import Tracer
from bayscribe_relay.tracer.units import UNITS, Refused, normalise, ucum


def observation(concept: str, value: object, unit: str | None) -> Event:
    return Event(kind="obs", concept=concept, t=0, received=0, value=value, unit=unit)


@pytest.mark.parametrize(
    ("concept", "value", "unit", "expected"),
    [
        ("vital.temp_c", 101.1, "[degF]", 38.3889),
        ("vital.temp_c", 101.1, "F", 38.3889),
        ("vital.temp_c", 38.4, "°C", 38.4),
        ("vital.temp_c", 311.5, "K", 38.35),
        ("vital.weight_kg", 150, "lbs", 68.0389),
        ("vital.weight_kg", 2400, "[oz_av]", 68.0389),
        ("vital.weight_kg", 3500, "g", 3.5),
        ("vital.height_cm", 70, "in", 177.8),
        ("vital.height_cm", 5.5, "ft", 167.64),
        ("vital.sbp", 12.0, "kPa", 90.0074),
        ("vital.map", 65, "mmHg", 65),
        ("vital.hr", 112, "bpm", 112),
        ("vital.o2_flow_lpm", 4000, "mL/min", 4),
        ("lab.lactate", 37.8, "mg/dL", 4.1963),
        ("lab.lactate", 4.2, "mEq/L", 4.2),
        ("lab.glucose", 26.6, "mmol/L", 479.2256),
        ("lab.glucose", 4.8, "g/L", 480),
        ("lab.bilirubin", 34.2, "umol/L", 2.0),
        ("lab.bilirubin", 34.2, "µmol/L", 2.0),
        ("lab.creatinine", 176.8, "umol/L", 2.0),
        ("lab.creatinine", 0.1768, "mmol/L", 2.0),
        ("lab.calcium", 2.5, "mmol/L", 10.02),
        ("lab.bun", 7.0, "mmol/L", 19.607),
        ("lab.bhb", 52, "mg/dL", 4.9946),
        ("lab.wbc", 17.2, "K/uL", 17.2),
        ("lab.wbc", 17.2, "10*9/L", 17.2),
        ("lab.wbc", 17200, "/uL", 17.2),
        ("lab.platelets", 99, "10^3/uL", 99),
        ("lab.platelets", 99, "x10E9/L", 99),
        ("lab.troponin", 0.04, "ng/mL", 40),
        ("lab.troponin", 40, "pg/mL", 40),
        ("lab.troponin", 0.04, "mcg/L", 40),
        ("lab.hgb", 74, "g/L", 7.4),
        ("lab.hct", 0.24, "L/L", 24),
        ("lab.ddimer", 0.5, "mg/L FEU", 500),
        ("lab.ethanol", 0.08, "%", 80),
        ("lab.ethanol", 0.8, "g/L", 80),
        ("lab.potassium", 5.1, "meq/L", 5.1),
        ("lab.inr", 1.7, None, 1.7),
        ("lab.aptt", 64, "sec", 64),
        ("lab.lactate", "4.2", "mmol/L", 4.2),
    ],
)
def test_conversion(concept: str, value: object, unit: str | None, expected: float) -> None:
    read = normalise(observation(concept, value, unit))
    assert isinstance(read, Event)
    assert read.value == pytest.approx(expected, abs=1e-3)
    assert read.unit is None


@pytest.mark.parametrize(
    ("concept", "value", "unit", "named"),
    [
        ("lab.glucose", 480, "mg%", "mg%"),
        ("lab.ddimer", 500, "ng/mL", "ug/L{FEU}"),
        ("lab.ddimer", 500, "ng/mL DDU", "ug/L{FEU}"),
        ("vital.weight_kg", 68, "m", "kg"),
        ("vital.temp_c", 38.4, "mmHg", "Cel"),
        ("lab.lactate", "hemolyzed", "mmol/L", "not a number"),
        ("lab.lactate", ">20", "mmol/L", "not a number"),
        ("lab.lactate", float("nan"), "mmol/L", "not a number"),
        ("lab.lactate", None, "mmol/L", "not a number"),
        ("vital.hr", True, None, "not a number"),
    ],
)
def test_what_is_not_understood_is_refused_with_its_reason_and_counted(
    concept: str, value: object, unit: str | None, named: str
) -> None:
    tracer = Tracer(Network(load()), {"age_years": 60})
    refused = tracer.add(observation(concept, value, unit))
    assert isinstance(refused, Refused)
    assert refused.concept == concept
    assert named in refused.reason
    assert "480" not in refused.reason
    assert tracer.refused == {refused.reason: 1}
    tracer.advance(1)
    assert tracer.record.facts("obs", concept) == []


def test_a_refused_correction_still_takes_the_wrong_value_away() -> None:
    tracer = Tracer(Network(load()), {"age_years": 60})
    wrong = Event(kind="obs", concept="lab.glucose", t=0, received=0, value=90, id="g")
    tracer.add(wrong)
    tracer.advance(1)
    assert tracer.record.facts("obs", "lab.glucose")
    better = Event(kind="obs", concept="lab.glucose", t=0, received=2, value=5, unit="mg%",
                   id="g2", replaces="g")  # fmt: skip
    assert isinstance(tracer.add(better), Refused)
    tracer.advance(2)
    assert tracer.record.facts("obs", "lab.glucose") == []


def test_a_feed_must_name_its_units_where_a_case_file_need_not() -> None:
    assert isinstance(normalise(observation("lab.glucose", 90, None)), Event)
    refused = normalise(observation("lab.glucose", 5, None), require_unit=True)
    assert isinstance(refused, Refused)
    assert "no unit" in refused.reason
    assert isinstance(normalise(observation("vital.gcs", 14, None), require_unit=True), Event)


def test_doses_and_volumes() -> None:
    def given(value: float, unit: str, concept: str = "med.crystalloid_bolus") -> Event:
        event = Event(kind="med_given", concept=concept, t=0, received=0, value=value, unit=unit)
        read = normalise(event)
        assert isinstance(read, Event)
        return read

    assert given(2, "L").volume_ml == 2000
    assert given(500, "cc").volume_ml == 500
    assert given(100, "mcg", "med.opioid_iv").value == pytest.approx(0.1)
    assert given(2, "g", "med.iv_antibiotic").value == 2000
    assert given(3, "puffs", "med.analgesic").value is None, "the act stands, its amount does not"


def test_fahrenheit_and_celsius_agree_at_the_threshold_of_sirs() -> None:
    for value, unit, expected in ((100.9, "F", 0), (101.0, "F", 1), (38.3, "C", 0), (38.4, "C", 1)):
        tracer = Tracer(Network(load()), {"age_years": 60})
        tracer.add(observation("vital.temp_c", value, unit))
        tracer.advance(0)
        assert len(tracer.record.sirs(0)) == expected


def test_every_measured_concept_takes_its_own_unit_however_it_is_written() -> None:
    for concept, unit in UNITS.items():
        for written in (unit, unit.upper(), f" {unit} "):
            read = normalise(observation(concept, 5.0, written))
            assert isinstance(read, Event), (concept, written)
            assert read.value == 5.0


@given(st.text(max_size=12), st.floats(), st.sampled_from(sorted(UNITS)))
def test_no_unit_text_crashes_it(unit: str, value: float, concept: str) -> None:
    assert isinstance(normalise(observation(concept, value, unit)), Event | Refused)
    assert isinstance(ucum(unit), str)

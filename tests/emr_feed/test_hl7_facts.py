"""Orders, results, administrations and notes as HL7 messages bring them."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import yaml

from bayscribe.errors import ConfigError
from bayscribe_relay.emr_feed.codebook import FOLDER, Codebook, Coding
from bayscribe_relay.tracer.catalogue import FOLDER as CATALOGUE
from emr_feed.hospital import Hospital


@pytest.fixture
def hospital(tmp_path: Path) -> Iterator[Hospital]:
    found = Hospital(tmp_path)
    found.admit()
    yield found
    found.close()


def utc(text: str, zone: str = "UTC") -> int:
    moment = datetime.strptime(text, "%Y%m%d%H%M").replace(tzinfo=ZoneInfo(zone))
    return int(moment.timestamp()) * 10**9


def lactate(value: str, status: str, sent: str, hospital: Hospital, number: str = "F9") -> None:
    hospital.send(
        "ORU^R01",
        f"OBR|1|P9|{number}|2524-7^Lactate^LN|||20261123121000|||||||||||||||{sent}|||{status}",
        f"OBX|1|NM|2524-7^Lactate^LN||{value}|mmol/L|0.5-2.0|HH|||{status}|||20261123121000",
        at=sent,
    )


def test_vitals_of_several_times_are_facts_of_their_own(hospital: Hospital) -> None:
    hospital.send(
        "ORU^R01",
        "OBR|1||VS1|VS^Vitals^L|||202611231200",
        "OBX|1|NM|8310-5^Temp^LN||101.1|[degF]|||||F|||202611231201",
        "OBX|2|NM|8867-4^HR^LN||112|/min|||||F|||202611231201",
        "OBX|3|NM|8867-4^HR^LN||104|/min|||||F|||202611231231",
    )
    events = hospital.store.events(hospital.stay().id)
    rates = {e.clinical_ns: e.value for e in events if e.concept == "vital.hr"}
    assert rates == {utc("202611231201"): 112, utc("202611231231"): 104}
    temperature = hospital.events()["vital.temp_c"]
    assert (temperature.value, temperature.unit, temperature.kind) == (101.1, "[degF]", "obs")


def test_a_result_goes_from_preliminary_to_final_to_corrected_in_any_order(
    hospital: Hospital,
) -> None:
    lactate("4.1", "F", "20261123125300", hospital)
    lactate("3.9", "P", "20261123125000", hospital)
    found = hospital.events()["lab.lactate"]
    assert (found.value, found.status) == (4.1, "final")
    lactate("4.2", "C", "20261123130500", hospital)
    found = hospital.events()["lab.lactate"]
    assert (found.value, found.status, found.unit) == (4.2, "corrected", "mmol/L")
    assert found.collected_ns == utc("202611231210")
    assert found.clinical_ns == utc("202611231305")
    assert hospital.events()["lab.critical_flag"].value == "Lactate"


def test_preliminary_and_final_within_one_second_keep_their_order(hospital: Hospital) -> None:
    lactate("4.1", "F", "20261123125300", hospital)
    lactate("3.9", "P", "20261123125300", hospital)
    assert hospital.events()["lab.lactate"].value == 4.1


@pytest.mark.parametrize(
    ("code", "status"),
    [("D", "entered-in-error"), ("W", "entered-in-error"), ("X", "cancelled")],
)
def test_a_deleted_or_cancelled_result_is_gone(hospital: Hospital, code: str, status: str) -> None:
    lactate("4.1", "F", "20261123125300", hospital)
    lactate("", code, "20261123130000", hospital)
    found = hospital.events()["lab.lactate"]
    assert (found.value, found.status) == (None, status)


def test_a_specimens_collection_is_a_fact(hospital: Hospital) -> None:
    hospital.send(
        "ORM^O01",
        "ORC|SC|P7|F7||IP||||20261123121500",
        "OBR|1|P7|F7|87040^Blood culture^C4|||20261123121200",
        at="20261123121500",
    )
    kinds = {(e.kind, e.concept) for e in hospital.store.events(hospital.stay().id)}
    assert ("collected", "lab.blood_culture") in kinds
    assert ("order", "order.blood_culture") in kinds


def test_an_order_keeps_the_time_at_which_it_was_placed(hospital: Hospital) -> None:
    obr = "OBR|1|P1||2524-7^Lactate^LN"
    hospital.send("ORM^O01", "ORC|SC|P1|F1||IP||||20261123124000", obr, at="20261123124000")
    hospital.send("ORM^O01", "ORC|NW|P1|||||||20261123121500", obr)
    hospital.send("OMG^O19", "ORC|SC|P1|F1||CM||||20261123125000", obr, at="20261123125000")
    found = hospital.events()["order.lactate"]
    assert found.clinical_ns == utc("202611231215")
    assert found.status == "final"


@pytest.mark.parametrize("control", ["CA", "OC", "DC", "RP"])
def test_a_cancelled_order_is_cancelled_even_if_it_is_not_named_again(
    hospital: Hospital, control: str
) -> None:
    hospital.send("ORM^O01", "ORC|NW|P1||||||||", "OBR|1|P1||2524-7^Lactate^LN")
    hospital.send("ORM^O01", f"ORC|{control}|P1", at="20261123123000")
    found = hospital.events()["order.lactate"]
    assert (found.kind, found.status) == ("order", "cancelled")


def test_a_drug_with_two_meanings_is_cancelled_in_both(hospital: Hospital) -> None:
    drug = "RXE|^^^202611231230|5224^heparin^RXNORM|5000||[iU]"
    hospital.send("RDE^O11", "ORC|NW|M1", drug, "RXR|IV")
    assert {"med.anticoagulant", "med.heparin_iv"} <= set(hospital.events())
    hospital.send("RDE^O11", "ORC|CA|M1", at="20261123124000")
    found = hospital.events()
    assert found["med.anticoagulant"].status == found["med.heparin_iv"].status == "cancelled"


def test_an_antibiotic_and_a_bolus_ordered_and_given(hospital: Hospital) -> None:
    hospital.send(
        "RDE^O11",
        "ORC|NW|M1|||||||20261123122200",
        "RXE||ZOS^piperacillin-tazobactam 4.5 g in sodium chloride 0.9%^L|4.5||g",
        "RXR|IV",
        "ORC|NW|M2|||||||20261123122500",
        "RXE||NS^Sodium Chloride 0.9% bolus^L|2||L||||||||||||||||||999|mL/h",
        "RXR|IVPB",
    )
    ordered = hospital.events()
    assert ordered["med.iv_antibiotic"].kind == "med_order"
    assert ordered["med.crystalloid_bolus"].volume_ml == 2000
    hospital.send(
        "RAS^O17",
        "ORC|RE|M1",
        "RXA|0|1|20261123123000|20261123130000|ZOS^piperacillin-tazobactam^L|4.5|g|||||||||||||CP",
        "RXR|IV",
    )
    given = hospital.events()["med.iv_antibiotic"]
    assert (given.kind, given.value, given.unit) == ("med_given", 4.5, "g")
    assert given.clinical_ns == utc("202611231230")
    assert given.end_ns == utc("202611231300")


@pytest.mark.parametrize("completion", ["RE", "NA"])
def test_what_was_refused_or_not_given_is_no_administration(
    hospital: Hospital, completion: str
) -> None:
    rxa = "RXA|0|1|20261123123000||2193^ceftriaxone^RXNORM|1|g|||||||||||||"
    hospital.send("RAS^O17", "ORC|RE|M1", rxa + "CP", "RXR|IV")
    hospital.send("RAS^O17", "ORC|RE|M1", rxa + completion, "RXR|IV", at="20261123124000")
    assert hospital.events()["med.iv_antibiotic"].status == "not-done"


def test_maintenance_fluid_is_no_bolus_and_a_swallowed_drug_is_oral(hospital: Hospital) -> None:
    hospital.send(
        "RAS^O17",
        "ORC|RE|M1",
        "RXA|0|1|20261123123000||NS^Sodium Chloride 0.9%^L|500|mL|||||125 mL/hr||||||||CP",
        "RXR|IV",
        "ORC|RE|M2",
        "RXA|0|1|20261123123500||1191^aspirin^RXNORM|325|mg|||||||||||||CP",
        "RXR|PO",
    )
    found = hospital.events()
    assert "med.crystalloid_bolus" not in found
    assert {"med.aspirin", "med.any_oral"} <= set(found)


def test_a_prescription_to_take_home_is_not_an_order_here(hospital: Hospital) -> None:
    drug = "RXE||OXY^oxycodone 5 mg^L|5||mg"
    hospital.send("RDE^O11", "ORC|NW|M1" + "|" * 27 + "O", drug, "RXR|PO")
    assert {k: e.kind for k, e in hospital.events().items() if k.startswith("rx")} == {
        "rx.opioid": "rx"
    }


def test_a_report_says_that_the_study_was_done_and_is_read(hospital: Hospital) -> None:
    hospital.send(
        "ORU^R01",
        "OBR|1|P3|F3|70450^CT HEAD^C4|||20261123121000|||||||||||||||20261123123500|||F",
        "OBX|1|TX|70450^CT^C4||No hemorrhage.||||||F",
    )
    found = hospital.events()
    assert found["proc.ct_head_done"].clinical_ns == utc("202611231210")
    assert found["doc.ct_head_report"].clinical_ns == utc("202611231235")


def test_notes_of_others_are_kept_and_our_own_are_no_news(hospital: Hospital) -> None:
    txa = "TXA|1|RAD^Radiology report^L||20261123123000||||||||D1|||||LA"
    text = "OBX|1|TX|X||Right lower lobe infiltrate.~Second line"
    hospital.send("MDM^T02", txa, text)
    note = hospital.events()["RAD"]
    assert (note.kind, note.value) == ("doc", "Right lower lobe infiltrate.\nSecond line")
    hospital.send("MDM^T11", txa, at="20261123124000")
    assert hospital.events()["RAD"].status == "entered-in-error"
    hospital.send("MDM^T02", txa.replace("D1", "D2"), text, sender="BAYSCRIBE|GH")
    assert hospital.counts()["ignored"] == 1


def test_troponin_is_told_as_a_multiple_of_its_upper_limit(hospital: Hospital) -> None:
    hospital.send(
        "ORU^R01",
        "OBR|1|P4|F4|89579-7^hs-TnI^LN|||20261123121000",
        "OBX|1|NM|89579-7^hs-TnI^LN||42|ng/L|0-14||||F",
        "OBX|2|SN|2345-7^Glucose^LN||>^500|mg/dL|||||F",
    )
    assert hospital.events()["lab.troponin"].xuln == 3
    assert hospital.events()["lab.glucose"].value == ">500"


def test_times_are_of_the_messages_zone_else_of_the_sites(tmp_path: Path) -> None:
    hospital = Hospital(tmp_path, zone="America/New_York")
    hospital.admit(at="20261123065000")
    assert hospital.stay().arrived_ns == utc("202611230650", "America/New_York")
    obx = "OBX|1|NM|8867-4^HR^LN||88|/min|||||F|||202611230700"
    hospital.send("ORU^R01", obx, at="20261123070100-0800")
    assert hospital.events()["vital.hr"].clinical_ns == utc("202611231500")
    hospital.close()


def test_a_sites_own_codes_win_and_what_is_unmapped_is_counted(tmp_path: Path) -> None:
    mapping = """
[[map]]
system = "L"
code = "TMP"
concept = "vital.temp_c"
unit = "[degF]"

[[map]]
code = "NOISE"
concept = "ignore"
"""
    hospital = Hospital(tmp_path, mapping=mapping)
    hospital.admit()
    hospital.send(
        "ORU^R01",
        "OBR|1||VS1|VS^Vitals^L|||202611231200",
        "OBX|1|NM|TMP^Temp^L||101.1||||||F",
        "OBX|2|NM|NOISE^x^L||1||||||F",
        "OBX|3|NM|ODD^Odd value^L||7||||||F",
        "OBX|4|NM|ODD^Odd value^L|2|8||||||F",
    )
    assert hospital.events()["vital.temp_c"].unit == "[degF]"
    assert hospital.events()["ODD"].concept == ""
    rows = [(u.context, u.system, u.code, u.times) for u in hospital.feed.unmapped()]
    assert rows == [("result", "L", "ODD", 2)]
    hospital.close()


@pytest.mark.parametrize(
    "text",
    [
        "[[map]]\nconcept = 'vital.temp_c'",
        "[[map]]\nconcept = 'nonsense.x'\ncode = 'A'",
        "[[map]]\nconcept = 'vital.temp_c'\ncodex = 'A'",
        "[[map]",
    ],
)
def test_a_wrong_table_is_refused_by_its_name(tmp_path: Path, text: str) -> None:
    (tmp_path / "wrong.toml").write_text(text)
    with pytest.raises(ConfigError, match=r"wrong\.toml"):
        Codebook((str(tmp_path / "wrong.toml"),))


def test_the_built_in_tables_know_the_catalogues_concepts() -> None:
    used: set[str] = set()

    def walk(node: object) -> None:
        if isinstance(node, dict):
            if isinstance(fact := node.get("fact"), dict):
                concept = fact["concept"]
                used.update([concept] if isinstance(concept, str) else concept)
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    for path in CATALOGUE.glob("*.yaml"):
        walk(yaml.safe_load(path.read_text()))
    text = "".join(path.read_text() for path in FOLDER.glob("*.toml"))
    measured = {c for c in used if c.split(".")[0] in ("vital", "lab", "med", "rx")}
    local = {"med.any_oral", "lab.blood_culture", "lab.critical_flag"}
    assert {c for c in measured - local if f'"{c}"' not in text} == set()


def test_lactate_dehydrogenase_is_no_lactate_and_a_diluent_no_bolus() -> None:
    book = Codebook()
    assert book.find("order", [Coding("L", "LDH", "Lactate dehydrogenase")]).meanings == ()
    mixed = book.find("medication", [Coding("L", "V", "vancomycin in sodium chloride 0.9%")], "IV")
    assert [m.concept for m in mixed.meanings] == ["med.iv_antibiotic"]
    assert book.find("medication", [Coding("L", "V", "vancomycin oral")], "PO").meanings == ()


def test_a_note_in_the_wrong_place_breaks_nothing(hospital: Hospital) -> None:
    for kind in ("ORU^R01", "ORM^O01", "RDE^O11", "RAS^O17", "MDM^T02", "ADT^A08", "SIU^S12"):
        hospital.send(kind, "NTE|1||free", "ZXX|1|2|3", "OBX", "OBR", "ORC", "RXA", "RXE", "TXA")
    assert set(hospital.counts()) <= {"done", "ignored"}

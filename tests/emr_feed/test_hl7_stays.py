"""ADT messages and what becomes of stays; whose a message is."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bayscribe_relay.encounters.config import EncountersConfig
from emr_feed.hospital import Hospital, pv1


@pytest.fixture
def hospital(tmp_path: Path) -> Iterator[Hospital]:
    found = Hospital(tmp_path)
    yield found
    found.close()


def test_a_registration_opens_a_stay_with_what_it_says(hospital: Hospital) -> None:
    attending = "1234567893^Lee^Ann^^^^^^NPI"
    place = pv1("ED^12^A", arrived="20261123115000", attending=attending)
    hospital.send("ADT^A04", "EVN||20261123115100", place, "PV2|||^Chest pain since noon")
    stay = hospital.stay()
    assert (stay.state, stay.bay, stay.reason) == ("open", "bay-12", "A04")
    assert stay.patient.mrn == "4711"
    assert (stay.patient.birth_date, stay.patient.sex) == ("1956-04-01", "female")
    assert stay.clinician is not None
    assert stay.clinician.npi == "1234567893"
    assert set(hospital.events()) == {"adt.arrival", "cc.chest_pain"}
    assert hospital.events()["adt.arrival"].clinical_ns == stay.arrived_ns


def test_a_stay_is_moved_discharged_and_taken_back(hospital: Hospital) -> None:
    hospital.admit()
    hospital.send("ADT^A02", "EVN||20261123121000", pv1("ED^14^A"), at="20261123121000")
    assert hospital.stay().bay == "bay-14"
    left = pv1("ED^14^A", left="20261123130000", disposition="02")
    hospital.send("ADT^A03", "EVN||20261123130100", left, at="20261123130100")
    assert hospital.stay().state == "closed"
    assert {"adt.departed", "adt.transfer_acute"} <= set(hospital.events())
    hospital.send("ADT^A13", "EVN||20261123130500", pv1("ED^14^A"), at="20261123130500")
    assert (hospital.stay().state, hospital.stay().bay) == ("open", "bay-14")
    assert hospital.events()["adt.departed"].status == "cancelled"
    hospital.send("ADT^A01", "EVN||20261123133000", pv1("ICU^3^B"), at="20261123133000")
    assert hospital.stay().state == "closed"
    hospital.send("ADT^A11", "EVN||20261123133500", pv1("ED^14^A"), at="20261123133500")
    assert hospital.stay().state == "open"


def test_a_discharge_that_overtakes_its_registration_still_ends_the_stay(
    hospital: Hospital,
) -> None:
    hospital.send("ADT^A03", pv1(left="20261123130000"), at="20261123130000")
    assert hospital.counts() == {"waiting": 1}
    hospital.admit()
    assert hospital.stay().state == "closed"
    assert hospital.counts() == {"done": 2}


def test_patients_elsewhere_are_none_of_ours(hospital: Hospital) -> None:
    hospital.send("ADT^A01", "EVN||20261123120000", pv1("ICU^3^B", patient_class="I"))
    assert hospital.store.stays() == []


def test_an_update_changes_what_it_says_and_nothing_else(hospital: Hospital) -> None:
    hospital.admit()
    weight = "OBX|1|NM|29463-7^Weight^LN||150|[lb_av]|||||F|||20261123115500"
    hospital.send("ADT^A08", "EVN||20261123120500", weight, "DG1|1||K74.60^Cirrhosis^I10")
    assert (hospital.stay().bay, hospital.stay().patient.family) == ("bay-12", "Doe")
    found = hospital.events()
    assert (found["vital.weight_kg"].value, found["vital.weight_kg"].unit) == (150, "[lb_av]")
    assert found["hx.cirrhosis"].kind == "hx"


def test_a_merge_gives_the_stay_its_new_number_and_old_messages_still_find_it(
    hospital: Hospital,
) -> None:
    hospital.admit(mrn="OLD")
    hospital.send("ADT^A40", "MRG|OLD^^^GH^MR", mrn="NEW", visit="")
    assert hospital.stay().patient.mrn == "NEW"
    hospital.send("ORU^R01", *heart_rate("88"), mrn="OLD")
    hospital.send("ORU^R01", *heart_rate("90", "1210"), mrn="NEW")
    assert hospital.parked() == []
    assert hospital.events()["vital.hr"].value == 90


def test_a_merge_of_two_visits_moves_everything_to_the_survivor(hospital: Hospital) -> None:
    hospital.admit(mrn="OLD", visit="V1")
    hospital.send("ORU^R01", *heart_rate("88"), mrn="OLD")
    hospital.admit(mrn="NEW", visit="V2")
    hospital.send("ADT^A40", "MRG|OLD^^^GH^MR||||V1", pv1(visit="V2"), mrn="NEW", visit="V2")
    assert (hospital.stay("V1").state, hospital.stay("V1").merged_into) == (
        "merged",
        hospital.stay("V2").id,
    )
    assert hospital.events("V2")["vital.hr"].value == 88
    hospital.send("ORU^R01", *heart_rate("99", "1215"), mrn="NEW", visit="V1")
    assert hospital.events("V2")["vital.hr"].value == 99


def heart_rate(value: str, at: str = "1200") -> tuple[str, str]:
    time = f"20261123{at}00"
    return (
        f"OBR|1|||VS^Vital signs^L|||{time}|||||||||||||||||F",
        f"OBX|1|NM|8867-4^Heart rate^LN||{value}|/min|||||F|||{time}",
    )


def test_what_names_another_patient_reaches_nobody_and_stops_nobody(hospital: Hospital) -> None:
    hospital.admit()
    hospital.admit(mrn="5000", visit="V2")
    hospital.send("ORU^R01", *heart_rate("200"), mrn="5000", visit="V1")
    hospital.send("ADT^A08", pv1("ED^14^A"), mrn="5000", visit="V1")
    hospital.send("ORU^R01", *heart_rate("88"))
    assert hospital.parked() == ["patient-mismatch", "patient-mismatch"]
    assert hospital.events()["vital.hr"].value == 88
    assert "vital.hr" not in hospital.events("V2")
    assert hospital.stay().bay == "bay-12"


def test_a_message_without_a_visit_or_a_patient_is_parked(hospital: Hospital) -> None:
    hospital.admit()
    hospital.send("ORU^R01", *heart_rate("88"), visit="")
    hospital.send("ORU^R01", *heart_rate("88"), mrn="")
    head = "MSH|^~\\&|EMR|GH|||20261123120000||ORU^R01|X|P|2.5.1"
    hospital.receive("\r".join((head, *heart_rate("88"))))
    hospital.interpret()
    assert hospital.parked() == ["no-visit", "no-patient", "no-patient"]
    assert "vital.hr" not in hospital.events()


def test_results_before_their_stay_wait_for_the_right_patient(hospital: Hospital) -> None:
    hospital.send("ORU^R01", *heart_rate("88"))
    hospital.send("ORU^R01", *heart_rate("200", "1201"), mrn="5000")
    hospital.admit()
    assert hospital.events()["vital.hr"].value == 88
    assert len(hospital.store.unbound_events("V1")) == 1


def test_an_order_number_never_joins_two_patients(hospital: Hospital) -> None:
    hospital.admit()
    hospital.admit(mrn="5000", visit="V2")
    order = ("ORC|NW|O1", "OBR|1|O1||2524-7^Lactate^LN")
    hospital.send("ORM^O01", *order)
    hospital.send("ORM^O01", "ORC|CA|O1", "OBR|1|O1||2524-7^Lactate^LN", mrn="5000", visit="V2")
    assert hospital.events()["order.lactate"].status == "final"
    assert hospital.parked() == ["patient-mismatch"]


def test_a_parked_message_is_applied_when_it_is_replayed_and_right(hospital: Hospital) -> None:
    hospital.admit(mrn="4712")
    hospital.send("ORU^R01", *heart_rate("88"))
    assert hospital.parked() == ["patient-mismatch"]
    hospital.send("ADT^A40", "MRG|4711^^^GH^MR", mrn="4712", visit="")
    assert hospital.feed.inbox.replay() == 1
    hospital.interpret()
    assert hospital.parked() == []
    assert hospital.events()["vital.hr"].value == 88


def test_what_a_crash_left_uninterpreted_is_interpreted_once_at_the_next_start(
    tmp_path: Path,
) -> None:
    first = Hospital(tmp_path)
    first.admit()
    first.receive(
        "\r".join(
            (
                "MSH|^~\\&|EMR|GH|||20261123120000||ORU^R01|L1|P|2.5.1",
                "PID|1||4711^^^GH^MR",
                pv1(),
                *heart_rate("88"),
            )
        )
    )
    first.close()
    again = Hospital(tmp_path)
    again.interpret()
    again.interpret()
    assert again.events()["vital.hr"].value == 88
    assert again.counts() == {"done": 2}
    again.close()


def test_without_a_table_of_bays_only_emergency_visits_open_stays(tmp_path: Path) -> None:
    hospital = Hospital(tmp_path, EncountersConfig())
    hospital.send("ADT^A01", "EVN||20261123120000", pv1("3W^301^A", patient_class="I"))
    hospital.send("ADT^A04", "EVN||20261123120000", pv1("ED^7^", visit="V2"), visit="V2")
    assert [s.bay for s in hospital.store.stays()] == ["7"]
    hospital.close()

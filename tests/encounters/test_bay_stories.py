"""What happens in bays: two patients, transfers, hand-over, corrections, late messages."""

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bayscribe.errors import BadUse
from bayscribe.wire.messages import Command
from bayscribe_relay.clinical import audit
from bayscribe_relay.clinical.events import ClinicalEvent
from bayscribe_relay.clinical.speech import Utterance
from bayscribe_relay.clinical.stays import Clinician, Patient, Stay
from bayscribe_relay.clinical.store import ClinicalStore
from bayscribe_relay.encounters.config import EncountersConfig, Place
from bayscribe_relay.encounters.course import Movement, MovementKind
from bayscribe_relay.encounters.desk import Desk
from bayscribe_relay.encounters.service import Encounters
from bayscribe_relay.store.store import Store
from encounters.bays import MINUTE, NOON, Unit

LEE = Clinician(npi="1234567893", family="Lee", given="Ann")
RAO = Clinician(npi="1245319599", family="Rao", given="Raj")


class Hospital:
    """One relay's tables, with people who do things."""

    def __init__(self, folder: Path) -> None:
        url = f"sqlite:///{folder}/relay.db"
        self.units = Store(url)
        self.store = ClinicalStore(url)
        self.desk = Desk(self.store, "demo")

    def close(self) -> None:
        self.store.close()
        self.units.close()

    def adt(
        self,
        stay: str,
        kind: MovementKind,
        minute: int,
        bay: str | None = None,
        *,
        inside: bool = True,
    ) -> None:
        known = self.store.stay(stay) or Stay(
            id=stay,
            site="demo",
            patient=Patient(mrn=f"M-{stay}"),
            visit_number=f"V-{stay}",
            arrived_ns=0,
        )
        at = NOON + minute * MINUTE
        with self.desk.transaction() as link:
            movement = Movement(kind=kind, at_ns=at, n=0, bay=bay, inside=inside, source=kind)
            self.desk.move(link, known, movement)

    def bind(self) -> None:
        with self.desk.transaction() as link:
            self.desk.take_recordings(link)

    def whose(self, recording: str) -> list[tuple[str, int, int | None, str]]:
        def minute(ns: int | None) -> int | None:
            return None if ns is None else (ns - NOON) // MINUTE

        return [
            (b.stay, minute(b.from_ns) or 0, minute(b.until_ns), b.reason)
            for b in self.store.bindings(recording=recording)
        ]

    def say(self, recording: str, minute: int, stay: str = "") -> str:
        at = NOON + minute * MINUTE
        spoken = Utterance(
            id=f"{recording}/{minute}",
            device="u1",
            recording=recording,
            stay=stay,
            start=0,
            end=1,
            start_ns=at,
            end_ns=at + 1,
            speaker="clinician",
            primary=True,
            confidence=1,
            first_seq=1,
            last_seq=1,
        )
        self.store.put_utterance(spoken)
        return spoken.id

    def heard(self, stay: str) -> list[str]:
        return [u.id for u in self.store.utterances(stay=stay)]


@pytest.fixture
def hospital(tmp_path: Path) -> Iterator[Hospital]:
    found = Hospital(tmp_path)
    yield found
    found.close()


def test_a_patient_moved_between_bays_takes_each_bays_recording_for_its_time(
    hospital: Hospital,
) -> None:
    one, two = Unit(hospital.units, "u1", "b1"), Unit(hospital.units, "u2", "b2")
    first, second = one.open(NOON), two.open(NOON + 5 * MINUTE)
    hospital.bind()
    hospital.adt("A", "register", 0, "b1")
    hospital.adt("A", "transfer", 30, "b2")
    hospital.adt("B", "register", 30, "b1")
    assert hospital.whose(first) == [("A", 0, 30, "adt"), ("B", 30, None, "adt")]
    assert hospital.whose(second) == [("A", 30, None, "adt")]
    one.close(NOON + 50 * MINUTE)
    hospital.bind()
    assert hospital.whose(first) == [("A", 0, 30, "adt"), ("B", 30, 50, "adt")]


def test_two_patients_in_one_bay_share_nothing_until_a_tap_says_whose_it_is(
    hospital: Hospital,
) -> None:
    recording = Unit(hospital.units, "u1", "b1").open(NOON)
    hospital.bind()
    hospital.adt("A", "register", 0, "b1")
    hospital.adt("B", "register", 10, "b1")
    assert hospital.whose(recording) == [("A", 0, 10, "adt")]
    with pytest.raises(BadUse, match="several patients"):
        hospital.desk.tap("b1", NOON + 15 * MINUTE, "lee")
    hospital.desk.tap("b1", NOON + 15 * MINUTE, "lee", stay="B")
    hospital.desk.tap("b1", NOON + 20 * MINUTE, "lee", stay="A")
    assert hospital.whose(recording) == [
        ("A", 0, 10, "adt"),
        ("B", 15, 20, "tap"),
        ("A", 20, None, "tap"),
    ]
    hospital.adt("A", "discharge", 40)
    assert hospital.whose(recording)[-1] == ("B", 40, None, "adt")


def test_a_discharge_that_comes_late_clears_up_whose_the_audio_was(hospital: Hospital) -> None:
    recording = Unit(hospital.units, "u1", "b1").open(NOON)
    hospital.bind()
    hospital.adt("A", "register", 0, "b1")
    hospital.adt("B", "register", 20, "b1")
    spoken = hospital.say(recording, 30)
    assert hospital.heard("B") == []
    hospital.adt("A", "discharge", 15)
    assert hospital.whose(recording) == [("A", 0, 15, "adt"), ("B", 20, None, "adt")]
    assert hospital.heard("B") == [spoken]


def test_a_cancelled_admission_leaves_its_audio_with_nobody(hospital: Hospital) -> None:
    recording = Unit(hospital.units, "u1", "b1").open(NOON)
    hospital.bind()
    hospital.adt("A", "register", 0, "b1")
    hospital.adt("A", "cancel-admit", 5)
    assert hospital.whose(recording) == []
    found = hospital.store.stay("A")
    assert found is not None
    assert found.state == "cancelled"


def test_a_discharge_taken_back_continues_the_stay(hospital: Hospital) -> None:
    recording = Unit(hospital.units, "u1", "b1").open(NOON)
    hospital.bind()
    hospital.adt("A", "register", 0, "b1")
    hospital.adt("A", "discharge", 10)
    hospital.adt("A", "cancel-discharge", 12)
    assert hospital.whose(recording) == [("A", 0, None, "adt")]


def test_a_hand_over_changes_the_clinician_and_is_written_down(hospital: Hospital) -> None:
    hospital.adt("A", "register", 0, "b1")
    hospital.desk.tap("b1", NOON + MINUTE, "lee", clinician=LEE)
    stay = hospital.desk.tap("b1", NOON + 60 * MINUTE, "rao", clinician=RAO)
    assert stay.id == "A"
    assert stay.clinician == RAO
    told = [(e.actor, e.detail) for e in audit.entries(hospital.store) if e.action == "clinician"]
    assert told == [("lee", LEE.npi), ("rao", RAO.npi)]


def event(stay: str, ident: str) -> ClinicalEvent:
    return ClinicalEvent(
        id=ident, version=1, stay=stay, kind="obs", clinical_ns=NOON, received_ns=NOON
    )


def test_a_wrong_patient_is_corrected_for_audio_words_and_events(hospital: Hospital) -> None:
    recording = Unit(hospital.units, "u1", "b1").open(NOON)
    hospital.bind()
    hospital.adt("A", "register", 0, "b1")
    hospital.adt("B", "register", 0, "b2")
    early, late = hospital.say(recording, 1, "A"), hospital.say(recording, 11, "A")
    hospital.store.add_events([event("A", "e1"), event("A", "e2")])
    wrong = [e for e in hospital.store.events("A") if e.id == "e2"]
    hospital.desk.correct(
        recording, "B", NOON + 10 * MINUTE, NOON + 20 * MINUTE, "lee", events=wrong
    )
    assert hospital.whose(recording) == [
        ("A", 0, 10, "adt"),
        ("B", 10, 20, "correction"),
        ("A", 20, None, "adt"),
    ]
    assert (hospital.heard("A"), hospital.heard("B")) == ([early], [late])
    assert [e.id for e in hospital.store.events("B")] == ["e2"]
    assert [e.action for e in audit.entries(hospital.store)] == ["rebound", "events-taken"]
    hospital.adt("A", "discharge", 30)
    assert ("B", 10, 20, "correction") in hospital.whose(recording)


def test_a_correction_must_name_what_there_is(hospital: Hospital) -> None:
    recording = Unit(hospital.units, "u1", "b1").open(NOON)
    hospital.adt("A", "register", 0, "b1")
    for stay, name, until in (("X", recording, None), ("A", "nope", None), ("A", recording, NOON)):
        with pytest.raises(BadUse):
            hospital.desk.correct(name, stay, NOON, until, "lee")
    assert hospital.whose(recording) == []


def test_a_tap_with_nobody_known_opens_a_stay_that_later_gets_its_patient(
    hospital: Hospital,
) -> None:
    recording = Unit(hospital.units, "u1", "b1").open(NOON, "button")
    stay = hospital.desk.tap("b1", NOON + 2 * MINUTE, "lee", clinician=LEE)
    hospital.bind()
    assert hospital.whose(recording)[0][:2] == (stay.id, 0)
    spoken = hospital.say(recording, 5, stay.id)
    hospital.adt("A", "register", 30, "b1")
    survivor = hospital.desk.identify(stay.id, "A", "lee")
    assert survivor.id == "A"
    assert survivor.clinician == LEE
    assert survivor.arrived_ns == NOON
    assert {w[0] for w in hospital.whose(recording)} == {"A"}
    assert hospital.heard("A") == [spoken]
    gone = hospital.store.stay(stay.id)
    assert gone is not None
    assert (gone.state, gone.merged_into) == ("merged", "A")
    with pytest.raises(BadUse):
        hospital.desk.tap("b1", NOON + 40 * MINUTE, "lee", stay=stay.id)


def test_a_tapped_patient_can_be_named_where_no_adt_comes(hospital: Hospital) -> None:
    stay = hospital.desk.tap("b1", NOON, "lee")
    named = hospital.desk.admit(stay.id, Patient(mrn="4711", family="Doe"), "V9", "lee")
    assert named.patient.mrn == "4711"
    assert hospital.store.stay_of_visit("demo", "V9") == named
    with pytest.raises(BadUse):
        hospital.desk.admit(stay.id, Patient(mrn="4712"), "V10", "lee")


def test_a_location_is_the_bay_that_the_site_says() -> None:
    named = EncountersConfig(bays={"ED^12^A": "bay-12"})
    assert named.place("ED", "12", "A") == Place("bay-12", inside=True)
    assert named.place("ED", "WAIT", "") == Place("", inside=True)
    assert named.place("ICU", "3", "") == Place("", inside=False)
    assert named.place("", "", "") is None
    assert EncountersConfig().place("ED", "12", "A") == Place("12-A", inside=True)
    assert EncountersConfig(departments=("ED",)).place("ICU", "3", "") == Place("", inside=False)


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.02)


def test_units_are_told_what_their_bay_wants_also_when_they_come_back(
    hospital: Hospital,
) -> None:
    config = EncountersConfig(units={"u1": "b1", "u2": "b2"})
    told: list[tuple[str, str]] = []
    away = {"u2"}

    def commands(device: str, command: Command) -> bool:
        if device in away:
            return False
        told.append((device, command.name))
        return True

    def now_minute() -> int:
        return (time.time_ns() - NOON) // MINUTE

    async def story() -> None:
        async with Encounters(hospital.store, config).running(commands) as encounters:
            hospital.adt("A", "register", now_minute() - 1, "b1")
            await asyncio.to_thread(until, lambda: ("u1", "open_encounter") in told)
            unit = Unit(hospital.units, "u1", "b1")
            recording = unit.open(time.time_ns())
            encounters.stored("u1")
            await asyncio.to_thread(until, lambda: hospital.store.bindings(stay="A") != [])
            assert hospital.store.bindings(stay="A")[0].recording == recording
            hospital.adt("A", "transfer", now_minute(), "b2")
            await asyncio.to_thread(until, lambda: ("u1", "close_encounter") in told)
            assert not [name for device, name in told if device == "u2"]
            away.clear()
            encounters.joined("u2")
            await asyncio.to_thread(until, lambda: ("u2", "open_encounter") in told)
            told.clear()
            encounters.joined("u2")
            await asyncio.to_thread(until, lambda: told == [("u2", "open_encounter")])
            hospital.desk.end_tap("b2", time.time_ns(), "lee")
            await asyncio.to_thread(until, lambda: told[-1] == ("u2", "close_encounter"))

    asyncio.run(story())


def test_what_a_button_began_is_not_ended_by_an_empty_bay(hospital: Hospital) -> None:
    told: list[str] = []

    def commands(device: str, command: Command) -> bool:
        told.append(f"{device} {command.name}")
        return True

    async def story() -> None:
        async with Encounters(hospital.store, EncountersConfig()).running(commands) as encounters:
            Unit(hospital.units, "u1", "b1").open(time.time_ns(), "button")
            Unit(hospital.units, "u2", "b2").open(time.time_ns(), "adt")
            encounters.joined("u1")
            encounters.joined("u2")
            await asyncio.to_thread(until, lambda: "u2 close_encounter" in told)
            assert told == ["u2 close_encounter"]

    asyncio.run(story())

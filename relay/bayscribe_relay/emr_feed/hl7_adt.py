"""ADT: movements of a stay, merges, complaints, diagnoses, procedures, charted values."""

from typing import Final

from bayscribe_relay.emr_feed.hl7_reading import Reading
from bayscribe_relay.emr_feed.hl7_results import observation
from bayscribe_relay.emr_feed.interpretation import CannotApply, Merge, Movement
from bayscribe_relay.encounters.course import MovementKind

MOVES: Final[dict[str, MovementKind]] = {
    "A01": "admit",
    "A02": "transfer",
    "A03": "discharge",
    "A04": "register",
    "A08": "update",
    "A11": "cancel-admit",
    "A12": "cancel-transfer",
    "A13": "cancel-discharge",
}
MERGES: Final = ("A40",)

TRANSFER_OUT: Final = ("02", "05", "43", "66", "82", "85", "94")
"""UB-04 discharge status codes (National Uniform Billing Committee) of acute-care hospitals."""


def adt(reading: Reading, event: str) -> None:
    """Interpret one ADT message.

    Raises:
        CannotApply: it names no patient.
    """
    result = reading.result
    if event not in MOVES and event not in MERGES:
        result.ignored = "adt-event: nothing follows from this event here"
        return
    result.who = reading.who()
    if event in MERGES:
        result.merge = _merge(reading)
        return
    result.movement = _movement(reading, event)
    _visit_events(reading, event)
    _problems(reading)
    for segment in reading.message.all("OBX"):
        observation(reading, segment, None)


def _merge(reading: Reading) -> Merge:
    mrg = reading.message.first("MRG")
    old = reading.record_number(mrg, 1) if mrg is not None else ""
    if mrg is None or not old:
        raise CannotApply("no-merge: MRG-1 has no record number of this site's kind")
    return Merge(old, mrg.get(5)[:200])


def _movement(reading: Reading, event: str) -> Movement:
    evn, pv1 = reading.message.first("EVN"), reading.message.first("PV1")
    occurred = [evn.get(6), evn.get(2)] if evn is not None else []
    if pv1 is None:
        return Movement(MOVES[event], reading.first_time(*occurred), source=event)
    if event == "A03":
        occurred.insert(0, pv1.get(45))
    return Movement(
        kind=MOVES[event],
        at_ns=reading.first_time(*occurred),
        location=(pv1.get(3, 1), pv1.get(3, 2), pv1.get(3, 3)),
        patient_class=pv1.get(2).upper(),
        arrived_ns=reading.time(pv1.get(44)),
        clinician=reading.clinician(pv1, 7),
        source=event,
    )


def _visit_events(reading: Reading, event: str) -> None:
    who, movement, pv1 = reading.result.who, reading.result.movement, reading.message.first("PV1")
    if who is None or movement is None or pv1 is None:
        return
    if event in ("A01", "A04"):
        arrived = movement.arrived_ns or movement.at_ns
        ident = reading.event_id(who.visit, "arrival")
        reading.add("adt.arrival", ident, clinical_ns=min(arrived, movement.at_ns))
    if event in ("A03", "A13"):
        status = "final" if event == "A03" else "cancelled"
        ident = reading.event_id(who.visit, "departed")
        disposition = pv1.get(36)
        reading.add(
            "adt.departed", ident, clinical_ns=movement.at_ns, code=disposition, status=status
        )
        if disposition in TRANSFER_OUT or event == "A13":
            reading.add(
                "adt.transfer_acute",
                reading.event_id(who.visit, "transferred"),
                clinical_ns=movement.at_ns,
                code=disposition,
                status=status,
            )


def _problems(reading: Reading) -> None:
    who, movement = reading.result.who, reading.result.movement
    assert who is not None  # noqa: S101 - set by the caller
    assert movement is not None  # noqa: S101 - likewise
    at = movement.arrived_ns or movement.at_ns
    for segment in reading.message.all("PV2"):
        reading.coded("reason", "cc", segment, 3, (who.visit, "PV2"), clinical_ns=at)
    for segment in reading.message.all("DG1"):
        when = reading.time(segment.get(5)) or at
        reading.coded("diagnosis", "hx", segment, 3, (who.visit, "DG1"), clinical_ns=when)
    for segment in reading.message.all("PR1"):
        when = reading.first_time(segment.get(5))
        ident = (who.visit, "PR1", segment.get(5))
        reading.coded("procedure", "proc", segment, 3, ident, clinical_ns=when)

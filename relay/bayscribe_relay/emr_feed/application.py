"""Applying what a message says: held against the stays, or kept out of every record.

No event reaches a stay unless the record number (PID-3) and the visit number (PV1-19) of its
message both are that stay's. What names a visit that is not known yet waits for it; what
contradicts itself is parked for a person.
"""

import hashlib
import time
from typing import Final

import msgspec
import sqlalchemy as sa

from bayscribe_relay.clinical import audit
from bayscribe_relay.clinical.events import ClinicalEvent
from bayscribe_relay.clinical.stays import Patient, Stay
from bayscribe_relay.clinical.store import ClinicalStore, insert_new
from bayscribe_relay.emr_feed import tables
from bayscribe_relay.emr_feed.interpretation import (
    CannotApply,
    Interpretation,
    Merge,
    Movement,
    Unmapped,
    Who,
)
from bayscribe_relay.encounters import ledger
from bayscribe_relay.encounters.config import EncountersConfig
from bayscribe_relay.encounters.course import Movement as StayMovement
from bayscribe_relay.encounters.desk import Desk

ACTOR: Final = "emr-feed"
_OPENS: Final = ("register", "admit", "transfer", "update")
_ORDERS: Final = ("order", "med_order", "rx")
_VOID: Final = ("cancelled", "entered-in-error", "not-done")
_EXTRAS: Final = 4


class Waits(Exception):  # noqa: N818 - not an error: the message's visit has no stay yet
    """The message is kept until a stay of its visit opens."""

    def __init__(self, visit: str) -> None:
        super().__init__()
        self.visit = visit


def stay_id(site: str, visit: str) -> str:
    """Our id of an EMR's visit: the same whichever message of it comes first."""
    return hashlib.sha256(f"{len(site)}:{site}:{visit}".encode()).hexdigest()[:32]


class Application:
    """Applies interpretations, each inside the caller's transaction.

    Args:
        desk: changes stays.
        config: where the bays are.
        site: whose EMR it is.
    """

    def __init__(self, desk: Desk, config: EncountersConfig, site: str) -> None:
        self._desk = desk
        self._store: ClinicalStore = desk.store
        self._config = config
        self._site = site
        self._merged: dict[str, str] = {}
        self._owners: dict[str, str] = {}

    def refresh(self, link: sa.Connection) -> None:
        """Read anew what every message is held against; at the begin of a transaction."""
        t = tables.merged
        query = sa.select(t.c.old, t.c.new).where(t.c.site == self._site)
        self._merged = {str(row.old): str(row.new) for row in link.execute(query)}
        self._owners = ledger.owners_of_events(link)

    def apply(self, link: sa.Connection, said: Interpretation) -> str:
        """Apply one message.

        Returns:
            empty, or why there was nothing to do.

        Raises:
            CannotApply: it is to be parked; nothing was written.
            Waits: its visit has no stay yet; nothing was written.
        """
        if said.who is None:
            return said.ignored
        who = said.who._replace(mrn=self.current_mrn(said.who.mrn))
        if said.merge is not None:
            return self._merge(link, who, said.merge)
        if said.patient_only:
            return self._demographics(link, who)
        stay = self._stay(link, who)
        if said.movement is not None:
            stay = self._move(link, who, stay, said.movement)
        for unmapped in said.unmapped:
            self._note(link, unmapped)
        self._add(link, stay.id if stay is not None else "", said.events)
        return "" if said.events or said.movement else said.ignored or "nothing: no fact in it"

    def _demographics(self, link: sa.Connection, who: Who) -> str:
        """What is new of a patient, into the stays that are his."""
        mine = [
            stay
            for stay in self._store.stays(mrn=who.mrn, connection=link)
            if stay.site == self._site
        ]
        for stay in mine:
            patient = _newer(stay.patient, who.patient, who.mrn)
            if patient != stay.patient:
                self._store.put_stay(msgspec.structs.replace(stay, patient=patient), link)
        return "" if mine else "not-ours: the patient has no stay here"

    # -- whose it is

    def current_mrn(self, mrn: str) -> str:
        """The record number that stands in the place of one given up in a merge."""
        return self._merged.get(mrn, mrn)

    def _stay(self, link: sa.Connection, who: Who) -> Stay | None:
        if not who.visit:
            raise CannotApply("no-visit: the message names no visit")
        stay = self._store.stay_of_visit(self._site, who.visit, link)
        for _ in range(8):
            if stay is None or stay.state != "merged":
                break
            stay = self._store.stay(stay.merged_into, link)
        if stay is None:
            return None
        if self.current_mrn(stay.patient.mrn) != who.mrn:
            raise CannotApply("patient-mismatch: record number and visit are of two patients")
        return stay

    # -- movements

    def _move(
        self, link: sa.Connection, who: Who, stay: Stay | None, moved: Movement
    ) -> Stay | None:
        place = self._config.place(*moved.location)
        known = stay or Stay(
            id=stay_id(self._site, who.visit),
            site=self._site,
            patient=who.patient,
            visit_number=who.visit,
            arrived_ns=moved.at_ns,
        )
        inside = place is None or place.inside
        anywhere = not (self._config.departments or self._config.bays)
        emergency = moved.patient_class in ("E", "") or not anywhere
        if stay is None and not (
            moved.kind in _OPENS and inside and emergency and place is not None
        ):
            raise Waits(who.visit)
        renewed = msgspec.structs.replace(
            known,
            patient=_newer(known.patient, who.patient, who.mrn),
            clinician=known.clinician or moved.clinician,
            fhir_id=moved.fhir_id or known.fhir_id,
        )
        if moved.kind is None:
            if renewed != stay:
                self._store.put_stay(renewed, link)
            return renewed
        movement = StayMovement(
            kind=moved.kind,
            at_ns=moved.at_ns,
            n=0,
            bay=place.bay if place is not None else None,
            inside=inside,
            arrived_ns=moved.arrived_ns,
            source=moved.source,
        )
        settled = self._desk.move(link, renewed, movement)
        if stay is None and settled is not None:
            self._opened(link, settled)
        return settled

    def _opened(self, link: sa.Connection, stay: Stay) -> None:
        """What came before its stay was known belongs to it now."""
        early = [
            event
            for event in self._store.unbound_events(stay.visit_number, link)
            if self.current_mrn(event.mrn) == stay.patient.mrn
        ]
        if early:
            self._store.move_events(early, stay.id, link)
        c = tables.messages.c
        link.execute(
            sa.update(tables.messages)
            .where(c.state == "waiting", c.visit == stay.visit_number)
            .values(state="received")
        )

    def _merge(self, link: sa.Connection, who: Who, merge: Merge) -> str:
        old = self.current_mrn(merge.old_mrn)
        if old != who.mrn:
            c = tables.merged.c
            link.execute(
                sa.update(tables.merged)
                .where(c.site == self._site, c.new == old)
                .values(new=who.mrn)
            )
            row = {"site": self._site, "old": old, "new": who.mrn}
            link.execute(sa.delete(tables.merged).where(c.site == self._site, c.old == who.mrn))
            insert_new(link, tables.merged, row)
            self.refresh(link)
            for stay in self._store.stays(mrn=old, connection=link):
                if stay.site == self._site:
                    patient = _newer(stay.patient, who.patient, who.mrn)
                    self._store.put_stay(msgspec.structs.replace(stay, patient=patient), link)
                    audit.record(self._store, ACTOR, "patient-merged", stay.id, "", link)
        if merge.old_visit and who.visit and merge.old_visit != who.visit:
            gone = self._store.stay_of_visit(self._site, merge.old_visit, link)
            survivor = self._store.stay_of_visit(self._site, who.visit, link)
            same = gone is not None and gone.patient.mrn == who.mrn
            if gone is not None and survivor is not None and same and gone.state != "merged":
                if survivor.patient.mrn != who.mrn:
                    raise CannotApply("patient-mismatch: the visits are of two patients")
                self._desk.merge(link, gone, survivor, ACTOR)
        return ""

    # -- events

    def _add(self, link: sa.Connection, stay: str, events: list[ClinicalEvent]) -> None:
        if not events:
            return
        known = self._store.event_versions({event.id for event in events}, link)
        ready: list[ClinicalEvent] = []
        for event in events:
            mine = msgspec.structs.replace(event, stay=self._owners.get(event.id, stay))
            before = known.get(event.id, [])
            numbers = {self.current_mrn(e.mrn) for e in (*before, mine)}
            if len(numbers) > 1:
                # One order number, two patients: never one chain of versions.
                raise CannotApply("patient-mismatch: this order is another patient's")
            ready += _versions(mine, before)
            if mine.status in _VOID and not mine.concept:
                ready += self._others(link, mine)
        self._store.add_events(ready, link)

    def _others(self, link: sa.Connection, void: ClinicalEvent) -> list[ClinicalEvent]:
        """The other meanings of an order that was cancelled without repeating what it is."""
        known = self._store.event_versions([f"{void.id}+{n}" for n in range(1, _EXTRAS)], link)
        return [
            msgspec.structs.replace(
                versions[-1],
                version=max(void.version, versions[-1].version + 1),
                status=void.status,
                received_ns=void.received_ns,
                message=void.message,
            )
            for versions in known.values()
        ]

    def _note(self, link: sa.Connection, one: Unmapped) -> None:
        t, now = tables.unmapped, time.time_ns()
        key = {
            "site": self._site,
            "context": one.context,
            "system": one.coding.system[:100],
            "code": (one.coding.code or one.coding.display)[:200],
        }
        where = sa.and_(*(t.c[name] == value for name, value in key.items()))
        changed = link.execute(
            sa.update(t).where(where).values(times=t.c.times + 1, last_ns=now, by_name=one.by_name)
        )
        if changed.rowcount == 0:
            display = one.coding.display[:200] if one.coding.code else ""
            row = {**key, "display": display, "times": 1, "first_ns": now, "last_ns": now}
            link.execute(sa.insert(t).values(**row, by_name=one.by_name))


def _newer(known: Patient, said: Patient, mrn: str) -> Patient:
    """A patient with what a message says, and what it leaves out as it was.

    The EMR's id is of one record number: after a merge the old one's is no longer right.
    """
    return Patient(
        mrn=mrn,
        id=said.id or (known.id if known.mrn == mrn else ""),
        family=said.family or known.family,
        given=said.given or known.given,
        birth_date=said.birth_date or known.birth_date,
        sex=said.sex if said.sex != "unknown" else known.sex,
    )


def _versions(event: ClinicalEvent, before: list[ClinicalEvent]) -> list[ClinicalEvent]:
    """A new version as it is to be stored, beside those that are.

    An order was placed when it was first said to be: a later status message does not move it,
    and a placing message that comes late moves what came before it.
    """
    if not before:
        return [event]
    known = before[-1]
    stated = event
    if not event.concept and event.status in _VOID:
        stated = msgspec.structs.replace(
            known,
            version=event.version,
            status=event.status,
            received_ns=event.received_ns,
            message=event.message,
        )
    if event.kind not in _ORDERS:
        return [stated]
    earliest = min(e.clinical_ns for e in (*before, event))
    found = [msgspec.structs.replace(stated, clinical_ns=earliest)]
    if event.version < known.version and known.clinical_ns > earliest:
        found.append(
            msgspec.structs.replace(known, version=known.version + 1, clinical_ns=earliest)
        )
    return found

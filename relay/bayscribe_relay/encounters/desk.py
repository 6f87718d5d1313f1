"""The desk: every change of a stay's whereabouts, each in one transaction.

What is derived (the stay's state, its presences, the bindings of recordings, the stay that
an utterance belongs to) is made anew from what was heard, inside the same transaction; so
whatever order things come in, the tables agree with each other and with the course of events.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError
from uuid_utils import uuid7

from bayscribe.errors import BadUse
from bayscribe_relay.clinical import audit
from bayscribe_relay.clinical.events import ClinicalEvent
from bayscribe_relay.clinical.stays import Clinician, Patient, Stay
from bayscribe_relay.clinical.store import ClinicalStore
from bayscribe_relay.encounters import ledger, tables
from bayscribe_relay.encounters.binding import Recording, bind, chosen
from bayscribe_relay.encounters.course import Movement, course
from bayscribe_relay.store.database import make_tables, storage_error

UNKNOWN = Patient(mrn="")
"""The patient of a stay that was opened by a tap, until somebody says who it is."""

LEAD_NS = 10 * 60 * 10**9
"""A recording that began at most this long before a tap belongs to the tap's patient."""


STAYS_LOCK = 0x42415953
"""Key of PostgreSQL's advisory lock on the stays: any number that nobody else uses."""


def new_id() -> str:
    """An id for a stay: UUID v7, 32 hex digits."""
    return uuid7().hex


class Desk:
    """Changes stays and what hangs on them.

    Args:
        store: the relay's clinical store.
        site: of stays that a tap opens.
    """

    def __init__(self, store: ClinicalStore, site: str = "") -> None:
        self.store = store
        self._site = site
        try:
            make_tables(store.engine, tables.metadata)
        except SQLAlchemyError as error:
            raise storage_error(error) from None

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """A transaction that no other change of any stay runs beside, on any relay."""
        with self.store.transaction() as link:
            if link.dialect.name == "postgresql":
                link.execute(sa.select(sa.func.pg_advisory_xact_lock(STAYS_LOCK)))
            else:
                # SQLite locks with the first write; what is read before it may be old.
                link.execute(sa.delete(tables.taps).where(tables.taps.c.n < 0))
            yield link

    # -- movements

    def move(self, link: sa.Connection, stay: Stay, movement: Movement) -> Stay | None:
        """A movement of a stay, which need not exist yet.

        Args:
            link: the transaction.
            stay: as known, or with what is known of the patient if it is new.
            movement: what happened.

        Returns:
            the stay as it now is; None if nothing ever opened it.
        """
        if not ledger.has_movement(link, stay.id, movement):
            ledger.add_movement(link, stay.id, movement)
        return self.settle(link, stay)

    def settle(self, link: sa.Connection, stay: Stay) -> Stay | None:
        """Make a stay, its presences and the bindings in its bays anew."""
        before = ledger.presences(link, stay=stay.id)
        now = course(stay.id, ledger.movements(link, stay.id))
        if now is None:
            return None
        settled = stay
        if stay.state != "merged":
            settled = msgspec.structs.replace(
                stay,
                state=now.state,
                bay=now.bay,
                arrived_ns=now.arrived_ns,
                closed_ns=now.closed_ns,
                reason=now.reason,
            )
        if settled != self.store.stay(stay.id, link):
            self.store.put_stay(settled, link)
        presences = () if stay.state == "merged" else now.presences
        ledger.set_presences(link, stay.id, presences)
        changed = set(before) ^ set(presences)
        for bay in sorted({p.bay for p in changed}):
            self.rebind_bay(link, bay, min(p.from_ns for p in changed if p.bay == bay))
        return settled

    def merge(self, link: sa.Connection, stay: Stay, into: Stay, actor: str) -> Stay:
        """One visit turns out to be another (A40 with visits, or a tap's patient identified).

        Returns:
            the survivor.
        """
        events = self.store.events(stay.id, link)
        before = ledger.presences(link, stay=stay.id)
        ledger.give_movements(link, stay.id, into.id)
        gone = msgspec.structs.replace(stay, state="merged", merged_into=into.id, bay="")
        self.store.put_stay(gone, link)
        ledger.set_presences(link, stay.id, ())
        clinician = into.clinician or stay.clinician
        survivor = self.settle(link, msgspec.structs.replace(into, clinician=clinician)) or into
        for bay in sorted({p.bay for p in before}):
            self.rebind_bay(link, bay, min(p.from_ns for p in before))
        self.store.move_events(events, into.id, link)
        audit.record(self.store, actor, "stay-merged", into.id, f"{stay.id}", link)
        return survivor

    # -- the clinician's tap

    def tap(
        self, bay: str, at_ns: int, actor: str, stay: str = "", clinician: Clinician | None = None
    ) -> Stay:
        """The clinician begins (or takes over) in a bay.

        Args:
            bay: where.
            at_ns: when.
            actor: who, for the audit log.
            stay: whom; if empty, the one patient there, or a new stay of nobody known yet.
            clinician: whose note it will be from now on, if that is said.

        Raises:
            BadUse: ``choose-patient``: several are there and none was chosen; or the stay is
                not known or over.
        """
        with self.transaction() as link:
            found = self._whom(link, bay, stay) or self._provisional(link, bay, at_ns)
            if clinician is not None and clinician != found.clinician:
                found = msgspec.structs.replace(found, clinician=clinician)
                self.store.put_stay(found, link)
                audit.record(self.store, actor, "clinician", found.id, clinician.npi, link)
            if found.bay != bay or found.state != "open":
                movement = Movement(kind="tap-open", at_ns=at_ns, n=0, bay=bay, source="tap")
                found = self.move(link, found, movement) or found
            ledger.add_tap(link, bay, found.id, "open", at_ns)
            audit.record(self.store, actor, "tap-open", found.id, bay, link)
            self.rebind_bay(link, bay, at_ns - LEAD_NS)
            self._announce(link, found)
            return found

    def end_tap(self, bay: str, at_ns: int, actor: str, stay: str = "") -> None:
        """The clinician is done in a bay: its recording is to end.

        A stay that a tap had opened is closed by it; one of the EMR's stays open there.
        """
        with self.transaction() as link:
            here = [s for s in self.store.stays(bay=bay, connection=link) if s.state == "open"]
            for found in (s for s in here if stay in ("", s.id)):
                ledger.add_tap(link, bay, found.id, "close", at_ns)
                audit.record(self.store, actor, "tap-close", found.id, bay, link)
                if found.visit_number.startswith("tap-"):
                    end = Movement(kind="tap-close", at_ns=at_ns, n=0, source="tap")
                    self.move(link, found, end)
                else:
                    self._announce(link, found)
            self.rebind_bay(link, bay, at_ns)

    def identify(self, provisional: str, stay: str, actor: str) -> Stay:
        """Say who the patient of a tapped stay is.

        Raises:
            BadUse: one of them is not known, or the first is not a tap's.
        """
        with self.transaction() as link:
            unknown, known = self._existing(link, provisional), self._existing(link, stay)
            if unknown.patient != UNKNOWN or unknown.state == "merged":
                raise BadUse("this stay has a patient already", "correct the recording instead")
            return self.merge(link, unknown, known, actor)

    def admit(self, stay: str, patient: Patient, visit_number: str, actor: str) -> Stay:
        """Say who the patient of a tapped stay is where the EMR sends no ADT.

        Raises:
            BadUse: the stay has a patient already, or the visit is another stay's.
        """
        with self.transaction() as link:
            found = self._existing(link, stay)
            if found.patient != UNKNOWN:
                raise BadUse("this stay has a patient already", "correct the recording instead")
            if self.store.stay_of_visit(found.site, visit_number, link) is not None:
                raise BadUse("this visit has a stay already", "identify the one by the other")
            known = msgspec.structs.replace(found, patient=patient, visit_number=visit_number)
            self.store.put_stay(known, link)
            audit.record(self.store, actor, "patient-named", stay, "", link)
            return known

    # -- corrections

    def correct(
        self,
        recording: str,
        stay: str,
        from_ns: int,
        until_ns: int | None,
        actor: str,
        events: Iterable[ClinicalEvent] = (),
    ) -> None:
        """Give a stretch of a recording, and events, to the stay that they are really of.

        Args:
            recording: the appliance's.
            stay: the right stay; empty to take it away from all.
            from_ns: beginning of the stretch.
            until_ns: its end, None for all that follows.
            actor: who, for the audit log.
            events: that were charted for the wrong patient; later versions follow them.

        Raises:
            BadUse: the recording or the stay is not known, or the stretch is empty.
        """
        with self.transaction() as link:
            self.take_recordings(link)
            found = ledger.recording(link, recording)
            if found is None:
                raise BadUse("no such recording", "choose one of the stay's recordings")
            if until_ns is not None and until_ns <= from_ns:
                raise BadUse("the stretch is empty", "let it end after it begins")
            if stay:
                self._existing(link, stay)
            ledger.add_correction(link, recording, stay, from_ns, until_ns)
            self.rebind(link, found)
            moved = list(events)
            for ident in {event.id for event in moved}:
                ledger.own_event(link, ident, stay)
            self.store.move_events(moved, stay, link)
            detail = f"recording {recording} from {from_ns} to {until_ns or 'its end'}"
            audit.record(self.store, actor, "rebound", stay, f"{detail}; {len(moved)} events", link)
            for wrong in sorted({event.stay for event in moved} - {stay, ""}):
                audit.record(self.store, actor, "events-taken", wrong, f"to {stay}", link)

    # -- bindings

    def take_recordings(self, link: sa.Connection) -> int:
        """Bind recordings that have begun or ended since the last look; how many."""
        found = ledger.note_recordings(link)
        for recording in found:
            self.rebind(link, recording)
        return len(found)

    def rebind_bay(self, link: sa.Connection, bay: str, since_ns: int) -> None:
        """Bind a bay's recordings anew that go on beyond an instant."""
        for recording in ledger.recordings(link, bay, since_ns):
            self.rebind(link, recording)

    def rebind(self, link: sa.Connection, recording: Recording) -> None:
        """Bind one recording anew; its utterances follow."""
        there = ledger.presences(link, bay=recording.bay, since_ns=recording.from_ns)
        since = min([p.from_ns for p in there], default=recording.from_ns)
        now = bind(
            recording,
            there,
            ledger.taps(link, recording.bay, since),
            ledger.corrections(link, recording.recording),
        )
        ident = recording.recording
        if now == self.store.bindings(recording=ident, connection=link):
            return
        self.store.replace_bindings(ident, now, link)
        for utterance in self.store.utterances(recording=ident, connection=link):
            at = utterance.start_ns
            stay = next(
                (
                    b.stay
                    for b in now
                    if b.from_ns <= at and (b.until_ns is None or at < b.until_ns)
                ),
                "",
            )
            if stay != utterance.stay:
                self.store.put_utterance(msgspec.structs.replace(utterance, stay=stay), link)

    # -- what is wanted of the bays

    def wanted(self, link: sa.Connection, bay: str, now_ns: int, *, tapped: bool) -> bool:
        """Whether a bay should record: somebody is there, and nobody tapped to end it.

        Args:
            link: the transaction.
            bay: which.
            now_ns: the present.
            tapped: whether a tap is needed to begin.
        """
        there = ledger.presences(link, bay=bay, since_ns=now_ns)
        there = [p for p in there if p.from_ns <= now_ns]
        if not there:
            return False
        taps = ledger.taps(link, bay, min(p.from_ns for p in there))
        if tapped:
            return bool(chosen(now_ns, {p.stay for p in there}, taps))
        for presence in there:
            own = [t for t in taps if t.stay == presence.stay and t.at_ns >= presence.from_ns]
            if not own or own[-1].action == "open":
                return True
        return False

    # -- inside

    def _whom(self, link: sa.Connection, bay: str, stay: str) -> Stay | None:
        if stay:
            return self._existing(link, stay)
        here = [s for s in self.store.stays(bay=bay, connection=link) if s.state == "open"]
        if len(here) > 1:
            raise BadUse(
                "several patients are in this bay", "choose the patient", code="choose-patient"
            )
        return here[0] if here else None

    def _provisional(self, link: sa.Connection, bay: str, at_ns: int) -> Stay:
        """A stay of nobody known yet; it has what the bay recorded just before, if nobody was."""
        self.take_recordings(link)
        start = at_ns
        for recording in ledger.recordings(link, bay, at_ns):
            begun = recording.from_ns
            goes_on = recording.until_ns is None and at_ns - LEAD_NS <= begun < at_ns
            if goes_on and not ledger.presences(link, bay=bay, since_ns=begun):
                start = begun
        stay = Stay(
            id=new_id(), site=self._site, patient=UNKNOWN, visit_number="", arrived_ns=start, bay=""
        )
        stay = msgspec.structs.replace(stay, visit_number=f"tap-{stay.id}")
        movement = Movement(kind="tap-open", at_ns=start, n=0, bay=bay, source="tap")
        moved = self.move(link, stay, movement)
        assert moved is not None  # noqa: S101 - a tap opens
        return moved

    def _existing(self, link: sa.Connection, ident: str) -> Stay:
        stay = self.store.stay(ident, link)
        if stay is None:
            raise BadUse("no such stay", "choose a stay of the list")
        if stay.state in ("merged", "cancelled"):
            raise BadUse("this stay was merged or cancelled", "choose the one in its place")
        return stay

    def _announce(self, link: sa.Connection, stay: Stay) -> None:
        """Tell those who follow the changes that something of a stay's bay is different."""
        current = self.store.stay(stay.id, link)
        if current is not None:
            self.store.put_stay(current, link)

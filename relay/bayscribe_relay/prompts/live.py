"""One open stay under the tracer's eye, followed through the clinical store."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from bayscribe_relay.clinical.events import ClinicalEvent
from bayscribe_relay.clinical.speech import Utterance
from bayscribe_relay.clinical.stays import Stay
from bayscribe_relay.clinical.store import ClinicalStore


@dataclass(frozen=True, slots=True)
class Fired:
    """A gap that is to be put to the clinician.

    Attributes:
        gap: the catalogue's id.
        title: the gap in a few words.
        text: the prompt.
        minute: of the stay.
        due_ns: the deadline that it is about.
        explanation: why, in lines.
        events: ids of the events that led to it.
    """

    gap: str
    title: str
    text: str
    minute: int
    due_ns: int | None
    explanation: tuple[str, ...]
    events: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Closed:
    """A gap that is none any more: it was said, or the record closed it."""

    gap: str
    said: bool
    answer: str


class StayTracer(Protocol):
    """A tracer of one stay."""

    def take(self, events: Iterable[ClinicalEvent], utterances: Iterable[Utterance]) -> None:
        """Take in what is new; each event's version and each utterance once."""
        ...

    def advance(self, now_ns: int) -> tuple[list[Fired], list[Closed]]:
        """Judge up to an instant; may be asked again within one minute."""
        ...


class TracerMaker(Protocol):
    """Makes a tracer for a stay."""

    def __call__(self, stay: Stay) -> StayTracer:
        """A tracer that knows nothing but the stay yet."""
        ...


class LiveStay:
    """A stay, its tracer, and how much of the store the tracer has seen.

    What only adds is given to the tracer as it comes. What changes the past (an event given
    to another stay, a turn re-attributed, a corrected arrival) makes a new tracer that sees
    the whole record again: cards that exist are not made twice, and those whose gap the
    record no longer has are found by :attr:`fired`.
    """

    def __init__(self, store: ClinicalStore, make: TracerMaker, stay: Stay) -> None:
        self.stay = stay
        self.fired: set[str] = set()
        self._store = store
        self._make = make
        self._last = 0
        self._start_anew()

    def renew(self, stay: Stay) -> None:
        """The stay itself was changed."""
        before, self.stay = self.stay, stay
        if (before.patient, before.arrived_ns) != (stay.patient, stay.arrived_ns):
            self._start_anew()

    def follow(self, refs: Iterable[tuple[str, str]]) -> list[Utterance]:
        """Take in what changed.

        Args:
            refs: (what, id) of each change: ``event`` or ``utterance``.

        Returns:
            utterances that are new.
        """
        wanted = set(refs)
        events, last = self._store.events_after(self.stay.id, self._last)
        spoken = [
            found
            for what, ref in sorted(wanted)
            if what == "utterance" and (found := self._store.utterance(ref)) is not None
        ]
        fresh = {("event", event.id) for event in events}
        moved = any(item[0] == "event" and item not in fresh for item in wanted)
        revised = any(
            u.withdrawn or u.stay != self.stay.id or self._seen.get(u.id, u) != u for u in spoken
        )
        if moved or revised:
            known = set(self._seen)
            self._start_anew()
            return [u for u in spoken if u.id in self._seen and u.id not in known]
        self._last = last
        new = [u for u in spoken if u.id not in self._seen and u.final]
        self._take(events, new)
        return new

    def advance(self, now_ns: int) -> tuple[list[Fired], list[Closed]]:
        """Judge up to an instant."""
        fired, closed = self._tracer.advance(now_ns)
        self.fired.update(one.gap for one in fired)
        return fired, closed

    def _start_anew(self) -> None:
        self._tracer = self._make(self.stay)
        self._seen: dict[str, Utterance] = {}
        self.fired = set()
        events, self._last = self._store.events_after(self.stay.id, 0)
        spoken = self._store.utterances(stay=self.stay.id)
        self._take(events, [u for u in spoken if u.final and not u.withdrawn])

    def _take(self, events: list[ClinicalEvent], utterances: list[Utterance]) -> None:
        self._seen.update({utterance.id: utterance for utterance in utterances})
        self._tracer.take(events, utterances)

"""The tracer of one encounter: told events and words, it says which gaps open and close.

Pure: no clock and no I/O. The host adds what it hears, in any order, and moves the tracer
forward minute by minute or straight to ``wakes_at``. What is added counts from the minute in
which it was received; what comes late counts from the first minute that is not judged yet
(or from the present one, when that is judged again).
"""

import heapq
from collections import Counter
from typing import Any

import msgspec

from bayscribe_relay.tracer.criteria import WINDOW_MIN
from bayscribe_relay.tracer.explain import Reason, spoken, why, why_not
from bayscribe_relay.tracer.gap import Gap
from bayscribe_relay.tracer.network import ANY_POLARITY, Network
from bayscribe_relay.tracer.record import Record
from bayscribe_relay.tracer.rules import AtLeast, Rule, in_words
from bayscribe_relay.tracer.texts import prompt_text
from bayscribe_relay.tracer.timeline import VOID, Event, Utterance
from bayscribe_relay.tracer.units import Refused, normalise

_NEVER = 1 << 62


class Fired(msgspec.Struct, frozen=True):
    """A gap is put to the clinician.

    Attributes:
        gap: what is missing.
        minute: of the encounter.
        text: the recommendation.
        rule: the condition, in words.
        because: the events, words, figures and times that made it hold.
        due: minute of the deadline that it is about, if it has one.
    """

    gap: Gap
    minute: int
    text: str
    rule: str
    because: tuple[Reason, ...]
    due: int | None = None


class Closed(msgspec.Struct, frozen=True):
    """A prompted gap is no gap any more.

    Attributes:
        gap: the same as in ``Fired``.
        minute: of the encounter.
        by: ``said`` when the answer was spoken, ``record`` when the record closed it.
        because: what closed it.
    """

    gap: Gap
    minute: int
    by: str
    because: tuple[Reason, ...]


class Tracer:
    """The evaluator of one encounter.

    Args:
        network: the compiled catalogue; all encounters share it.
        patient: attributes known at the start (``age_years``, ``sex``, ...).
        start: arrival in minutes after midnight, if known: texts then give clock times.
        require_units: refuse numbers without a unit (a live feed) instead of taking them in
            the catalogue's own (a case file).

    Attributes:
        refused: observations that were not taken in, by reason.
    """

    def __init__(
        self,
        network: Network,
        patient: dict[str, Any] | None = None,
        *,
        start: int | None = None,
        require_units: bool = False,
    ) -> None:
        self.record = Record(dict(patient or {}), start)
        self.values: list[Any] = [None] * network.base
        self.refused: Counter[str] = Counter()
        self._network = network
        self._require_units = require_units
        self._departed = _NEVER
        self._wakes: list[tuple[int, int, int | Event | Utterance]] = []
        self._sequence = 0
        self._known: dict[str, list[Event]] = {}
        self._replaced: set[str] = set()
        self._versions: dict[tuple[str, str], int] = {}
        self._spoken: dict[str, Utterance] = {}
        self._onsets: dict[int, int] = {}
        self._due: dict[int, int] = {}
        self._open: dict[int, bool] = {}
        self._answered: set[int] = set()
        self._decisions: list[Fired | Closed] = []
        self.wake(0, network.everything)

    @property
    def minute(self) -> int:
        """The minute last judged; -1 before the first."""
        return self.record.now

    @property
    def wakes_at(self) -> int | None:
        """The next minute at which something may change by itself, or None."""
        return self._wakes[0][0] if self._wakes else None

    def add(self, event: Event) -> Refused | None:
        """Take in an event; if its value cannot be read, say why and leave it out."""
        read = normalise(event, require_unit=self._require_units)
        if isinstance(read, Refused):
            self.refused[read.reason] += 1
            if event.replaces is None and event.version == 0:
                return read
            # What it corrects is known to be wrong, whatever the new value means.
            self._push(event.received, msgspec.structs.replace(event, status=VOID[0]))
            return read
        self._push(event.received, read)
        return None

    def add_utterance(self, utterance: Utterance) -> None:
        """Take in what was said; a higher version of the same id takes its place."""
        self._push(utterance.received, utterance)

    def set_patient(self, **attributes: Any) -> None:  # noqa: ANN401 - attributes are of any type
        """Change attributes of the patient, from the next minute judged on."""
        mask = 0
        for name, value in attributes.items():
            if self.record.patient.get(name) != value:
                self.record.patient[name] = value
                mask |= self._network.readers.get(("patient", name), 0)
        self.wake(self.record.now, mask)

    def depart(self, minute: int | None) -> None:
        """The patient leaves at ``minute``: nothing is prompted from then on. None undoes it."""
        self._departed = _NEVER if minute is None else minute
        first_gap = self._network.base
        self.wake(self.record.now, (self._network.everything >> first_gap) << first_gap)

    def advance(self, minute: int) -> list[Fired | Closed]:
        """Judge everything up to ``minute``.

        Raises:
            ValueError: ``minute`` is before the one last judged.
        """
        if minute < self.record.now:
            raise ValueError(f"minute {minute} is before {self.record.now}, which is judged")
        floor = min(self.record.now + 1, minute)
        while self._wakes and self._wakes[0][0] <= minute:
            now = self.record.now = max(self._wakes[0][0], floor)
            changed = 0
            while self._wakes and self._wakes[0][0] <= now:
                what = heapq.heappop(self._wakes)[2]
                if isinstance(what, int):
                    changed |= what
                elif isinstance(what, Event):
                    changed |= self._receive(what)
                else:
                    changed |= self._hear(what)
            self._settle(changed)
        self.record.now = minute
        decisions, self._decisions = self._decisions, []
        return decisions

    def wake(self, minute: int, mask: int) -> None:
        """Have the nodes of ``mask`` computed again at ``minute``."""
        if mask:
            self._push(minute, mask)

    def _push(self, minute: int, what: int | Event | Utterance) -> None:
        self._sequence += 1
        heapq.heappush(self._wakes, (minute, self._sequence, what))

    # Events and words begin and cease to count.

    def _receive(self, event: Event) -> int:
        changed = 0
        if event.replaces and event.replaces not in self._replaced:
            self._replaced.add(event.replaces)
            changed |= self._drop(event.replaces, None)
        if event.id is not None:
            latest = self._versions.get(("event", event.id), 0)
            again = event.version == latest > 0 and event.id in self._known
            if event.version < latest or again:
                return changed
            if event.version > latest:
                self._versions["event", event.id] = event.version
                changed |= self._drop(event.id, event.version)
        if event.status in VOID or (event.id is not None and event.id in self._replaced):
            return changed
        if event.t > self.record.now:
            self._push(event.t, event)
            return changed
        if event.id is not None:
            self._known.setdefault(event.id, []).append(event)
        return changed | self._count(event)

    def _drop(self, name: str, version: int | None) -> int:
        """Events of an id (of versions before one, if given) count no longer."""
        events = self._known.pop(name, ())
        changed = 0
        for event in events:
            if version is not None and event.version >= version:
                self._known.setdefault(name, []).append(event)
                continue
            changed |= self._network.readers.get((event.kind, event.concept), 0)
            changed |= self._touched(self.record.remove(event))
        return changed

    def _count(self, event: Event) -> int:
        readers = self._network.readers.get((event.kind, event.concept), 0)
        now = self.record.now
        criteria = self._touched(self.record.insert(event))
        if event.end is not None and event.end > now:
            self.wake(event.end, readers)
        if event.t + WINDOW_MIN >= now:
            self.wake(event.t + WINDOW_MIN + 1, criteria)
        return readers | criteria

    def _touched(self, criteria: list[tuple[str, str]]) -> int:
        mask = 0
        for group, _ in criteria:
            mask |= self._network.readers.get(("met", group), 0)
        return mask

    def _hear(self, utterance: Utterance) -> int:
        mentions: tuple[tuple[bool, Any], ...] = tuple((True, m) for m in utterance.mentions)
        if utterance.id is not None:
            before = self._spoken.get(utterance.id)
            if before is not None and before.version >= utterance.version:
                return 0
            if before is not None and not before.withdrawn:
                mentions = (*((False, m) for m in before.mentions), *mentions)
            self._spoken[utterance.id] = utterance
        changed = 0
        for counts, mention in mentions:
            mask = self._network.readers.get(("said", mention.concept), 0)
            if not counts:
                self.record.unhear(mention)
            elif not utterance.withdrawn:
                self.record.hear(mention)
                if mention.t > self.record.now:
                    self.wake(mention.t, mask)
            changed |= mask
        return changed

    # Gaps are judged.

    def _settle(self, changed: int) -> None:
        network, values = self._network, self.values
        nodes, dependents, base = network.nodes, network.dependents, network.base
        while changed:
            lowest = changed & -changed
            changed ^= lowest
            index = lowest.bit_length() - 1
            if index >= base:
                changed |= self._judge(index - base)
                continue
            value = nodes[index](self)
            if value != values[index]:
                values[index] = value
                changed |= dependents[index]

    def _judge(self, position: int) -> int:
        """Judge one gap; the mask of gaps to be judged after it in the same minute."""
        network, now = self._network, self.record.now
        if not self.values[network.trigger[position]]:
            self._onsets.pop(position, None)
            self._close(position, "record")
            return 0
        onset = self._onsets.setdefault(position, now)
        if self.values[network.answered[position]]:
            if position in self._open and position not in self._answered:
                self._answered.add(position)
                self._close(position, "said")
                return self._release(position)
            return 0
        if position in self._open:
            return 0
        due = self._due_at(position, onset)
        if due is None or now >= self._departed:
            return 0
        if now < due:
            if self._due.get(position) != due:
                self._due[position] = due
                self.wake(due, 1 << (network.base + position))
            return 0
        waits_for = network.defers[position]
        if any(p in self._open and p not in self._answered for p in waits_for):
            return 0
        self._fire(position)
        return 0

    def _due_at(self, position: int, onset: int) -> int | None:
        gap = self._network.gaps[position]
        if not gap.before_deadline:
            return onset + gap.grace_min
        deadline = self.deadline(position)
        return None if deadline is None else max(onset, deadline - gap.lead_min)

    def deadline(self, position: int) -> int | None:
        """Minute of the deadline of a gap, by its position in the catalogue."""
        node = self._network.deadline[position]
        start = None if node < 0 else self.values[node]
        if start is None:
            return None
        return int(start) + self._network.gaps[position].offset(self.record.patient)

    def _release(self, position: int) -> int:
        """Gaps that waited for this one: later ones are judged now, earlier ones next minute."""
        mask = 0
        for waiting in self._network.deferring[position]:
            bit = 1 << (self._network.base + waiting)
            if waiting > position:
                mask |= bit
            else:
                self.wake(self.record.now + 1, bit)
        return mask

    def _fire(self, position: int) -> None:
        gap, record = self._network.gaps[position], self.record
        due = self.deadline(position)
        self._open[position] = True
        self._decisions.append(
            Fired(
                gap=gap,
                minute=record.now,
                text=prompt_text(gap, record, due),
                rule=in_words(gap.trigger),
                because=why(gap.trigger, record),
                due=due,
            )
        )

    def _close(self, position: int, by: str) -> None:
        if not self._open.get(position):
            return
        self._open[position] = False
        gap, record = self._network.gaps[position], self.record
        if by == "said":
            polarity = "any" if gap.id in ANY_POLARITY else "affirmed"
            because = spoken(record, record.said(gap.attestation, polarity, gap.roles))
        else:
            excluded: Rule = AtLeast(1, gap.exclusions)
            because = why(excluded, record) or why_not(gap.trigger, record)
        self._decisions.append(Closed(gap=gap, minute=record.now, by=by, because=because))

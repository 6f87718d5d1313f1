"""One open stay's tracer, fed from the clinical store's events and utterances."""

from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from bayscribe_relay.clinical.events import ClinicalEvent
from bayscribe_relay.clinical.speech import Utterance
from bayscribe_relay.clinical.stays import Stay
from bayscribe_relay.prompts.live import Closed, Fired, StayTracer, TracerMaker
from bayscribe_relay.tracer.config import TracerConfig, site_lexicon, site_network
from bayscribe_relay.tracer.explain import Reason
from bayscribe_relay.tracer.lexicon import Lexicon
from bayscribe_relay.tracer.network import Network
from bayscribe_relay.tracer.speech import SURE, listen, role_of
from bayscribe_relay.tracer.timeline import Event
from bayscribe_relay.tracer.tracer import Fired as TracerFired
from bayscribe_relay.tracer.tracer import Tracer

_NS_MINUTE: Final = 60 * 10**9
_GOES_ON_NS: Final = 30 * 10**9
"""A voice that is silent for longer than this begins another statement."""

_ANSWER_NS: Final = 10 * 10**9
"""An answer begins at most this long after its question."""

_OVERLAP_NS: Final = 2 * 10**9
"""An answer may begin this long before its question's turn has ended."""

_SEXES: Final = {"male": "M", "female": "F"}


class RecordTracer:
    """The tracer behind :class:`~bayscribe_relay.prompts.live.LiveStay`.

    Args:
        network: the site's compiled catalogue.
        lexicon: the site's word lists.
        stay: whose.
        zone: the site's, in which its clock times are told.
        require_units: refuse numbers without a unit.
    """

    def __init__(
        self,
        network: Network,
        lexicon: Lexicon,
        stay: Stay,
        zone: ZoneInfo,
        *,
        require_units: bool = True,
    ) -> None:
        arrived = datetime.fromtimestamp(stay.arrived_ns / 1e9, UTC).astimezone(zone)
        self._start = 60 * arrived.hour + arrived.minute
        self._arrived_ns = stay.arrived_ns
        self._lexicon = lexicon
        self._last: Utterance | None = None
        self._own: dict[tuple[str, str], Utterance] = {}
        self._tracer = Tracer(
            network, _patient(stay, arrived.date()), start=self._start, require_units=require_units
        )

    def take(self, events: Iterable[ClinicalEvent], utterances: Iterable[Utterance]) -> None:
        """Take in what is new; what has no place in the catalogue is left out."""
        for event in events:
            if event.concept:
                self._tracer.add(self._event(event))
        for said in sorted(utterances, key=lambda one: one.start_ns):
            if said.words:
                self._hear(said)

    def _hear(self, said: Utterance) -> None:
        """An utterance with what was said just before it: by the same voice, and to it."""
        own, last = self._own.get((said.recording, said.speaker)), self._last
        asked = last if last is not None and last.speaker != said.speaker else None
        self._tracer.add_utterance(
            listen(
                [(word.text, word.probability) for word in said.words],
                speaker=said.speaker,
                primary=said.primary,
                t=self._minute(said.start_ns),
                start=self._start,
                utterance=said.id,
                before=_words(own) if _follows(said, own, _GOES_ON_NS) else "",
                asked=_words(asked) if _follows(said, asked, _ANSWER_NS) else "",
                asked_by=role_of(asked.speaker, primary=asked.primary) if asked else "",
                lexicon=self._lexicon,
            )
        )
        if last is None or said.start_ns >= last.start_ns:
            self._last = said
        if own is None or said.start_ns >= own.start_ns:
            self._own[said.recording, said.speaker] = said

    def advance(self, now_ns: int) -> tuple[list[Fired], list[Closed]]:
        """Judge up to an instant."""
        minute = max(self._minute(now_ns), self._tracer.minute)
        fired, closed = list[Fired](), list[Closed]()
        for decision in self._tracer.advance(minute):
            if isinstance(decision, TracerFired):
                fired.append(self._fired(decision))
            else:
                said = decision.by == "said"
                closed.append(Closed(decision.gap.id, said, _answer(decision.because)))
        return fired, closed

    def _fired(self, decision: TracerFired) -> Fired:
        due = decision.due
        return Fired(
            gap=decision.gap.id,
            title=decision.gap.title,
            text=decision.text,
            minute=decision.minute,
            due_ns=None if due is None else self._arrived_ns + due * _NS_MINUTE,
            explanation=(decision.rule, *(reason.text for reason in decision.because)),
            events=tuple(reason.event for reason in decision.because if reason.event),
        )

    def _minute(self, at_ns: int) -> int:
        return (at_ns - self._arrived_ns) // _NS_MINUTE

    def _event(self, event: ClinicalEvent) -> Event:
        return Event(
            kind=event.kind,
            concept=event.concept,
            t=self._minute(event.clinical_ns),
            received=self._minute(event.received_ns),
            value=event.value,
            unit=event.unit or None,
            id=event.id,
            version=event.version,
            replaces=event.replaces or None,
            status=event.status,
            collected=None if event.collected_ns is None else self._minute(event.collected_ns),
            end=None if event.end_ns is None else self._minute(event.end_ns),
            volume_ml=event.volume_ml,
            xuln=event.xuln,
            name=event.display or None,
        )


def tracer_maker(config: TracerConfig, zone: ZoneInfo) -> TracerMaker:
    """Makes tracers as a site has configured them; the catalogue is compiled once.

    Raises:
        ConfigError: the configuration names what the catalogue has not.
    """
    network, lexicon = site_network(config), site_lexicon(config)

    def make(stay: Stay) -> StayTracer:
        return RecordTracer(network, lexicon, stay, zone, require_units=config.require_units)

    return make


def _follows(said: Utterance, before: Utterance | None, most_ns: int) -> bool:
    """Whether an utterance comes right after another of its recording."""
    return (
        before is not None
        and before.recording == said.recording
        and before.start_ns <= said.start_ns
        and -_OVERLAP_NS <= said.start_ns - before.end_ns <= most_ns
    )


def _words(said: Utterance | None) -> str:
    """An utterance's words, if the recogniser was sure of each: no statement rests on a guess."""
    if said is None or any(word.probability < SURE for word in said.words):
        return ""
    return said.text


def _patient(stay: Stay, today: date) -> dict[str, Any]:
    patient: dict[str, Any] = {"sex": _SEXES.get(stay.patient.sex, "U")}
    try:
        born = date.fromisoformat(stay.patient.birth_date)
    except ValueError:
        return patient
    before = (today.month, today.day) < (born.month, born.day)
    return {**patient, "age_years": today.year - born.year - before}


def _answer(because: tuple[Reason, ...]) -> str:
    """The utterance, or else the event, that closed the gap."""
    spoken = next((reason.utterance for reason in because if reason.utterance), "")
    return spoken or next((reason.event for reason in because if reason.event), "")

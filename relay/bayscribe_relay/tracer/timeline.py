"""What is known of a patient: events, attributed utterances, and what of it counts when."""

from dataclasses import dataclass, field, replace
from typing import Any

from bayscribe.errors import BadUse

CLINICIANS = ("attending", "resident", "app")
VOID = ("cancelled", "entered-in-error", "not-done")
_CONVERSIONS: dict[tuple[str, str], tuple[float, float]] = {
    # (concept, UCUM unit): (subtract, multiply)
    ("vital.temp_c", "[degF]"): (32, 1 / 1.8),
    ("vital.weight_kg", "[lb_av]"): (0, 0.45359237),
    ("lab.lactate", "mg/dL"): (0, 1 / 9.008),
    ("lab.creatinine", "umol/L"): (0, 1 / 88.4),
    ("lab.glucose", "mmol/L"): (0, 18.016),
    ("lab.bilirubin", "umol/L"): (0, 1 / 17.1),
}


@dataclass(frozen=True)
class Event:
    """One fact of the record. Times are minutes from arrival; ``received`` is when it came."""

    kind: str
    concept: str
    t: int
    received: int
    value: Any = None
    unit: str | None = None
    id: str | None = None
    replaces: str | None = None
    status: str = "final"
    collected: int | None = None
    end: int | None = None
    volume_ml: float = 0.0
    xuln: float = 0.0

    @property
    def sampled(self) -> int:
        """When the specimen was taken, as far as known."""
        return self.t if self.collected is None else self.collected

    def normalised(self) -> "Event":
        """The same in the catalogue's unit."""
        scale = _CONVERSIONS.get((self.concept, self.unit or ""))
        if scale is None or self.value is None:
            return self
        offset, factor = scale
        # Divide where the definition divides: 1/x would move the last bit over a threshold.
        divisor = round(1 / factor, 6)
        exact = (self.value - offset) / divisor if factor < 0.2 or offset else self.value * factor
        return replace(self, value=exact, unit=None)


@dataclass(frozen=True)
class Mention:
    """A concept in an utterance."""

    t: int
    received: int
    speaker: str
    text: str
    concept: str
    polarity: str
    criterion: str | None = None
    value: Any = None
    stated: int | None = None
    about: int | None = None


@dataclass
class Record:
    """The timeline of one encounter, in any order of arrival."""

    patient: dict[str, Any]
    events: list[Event] = field(default_factory=list)
    mentions: list[Mention] = field(default_factory=list)

    def add(self, event: Event) -> None:
        """Take in an event."""
        self.events.append(event.normalised())

    def visible(self, now: int) -> list[Event]:
        """What had been received by minute ``now`` and was not replaced, cancelled or in error."""
        come = [event for event in self.events if event.received <= now]
        dead = {event.replaces for event in come if event.replaces}
        return [e for e in come if e.status not in VOID and (e.id is None or e.id not in dead)]


def event_of(raw: dict[str, Any]) -> Event:
    """An event of a case file."""
    try:
        return Event(
            kind=raw["kind"],
            concept=raw["concept"],
            t=int(raw["t"]),
            received=int(raw.get("t_recv", raw["t"])),
            value=raw.get("value"),
            unit=raw.get("unit"),
            id=raw.get("id"),
            replaces=raw.get("replaces"),
            status=raw.get("status", "final"),
            collected=raw.get("collected_t"),
            end=raw.get("end_t"),
            volume_ml=float(raw.get("volume_ml", 0)),
            xuln=float(raw.get("xuln", 0)),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BadUse(f"an event of the case is wrong: {error!r}", "correct the case") from None


def mentions_of(raw: dict[str, Any]) -> list[Mention]:
    """The concepts of an utterance of a case file."""
    try:
        return [
            Mention(
                t=int(raw["t"]),
                received=int(raw.get("t_recv", raw["t"])),
                speaker=raw["speaker"],
                text=raw.get("text", ""),
                concept=said["concept"],
                polarity=said.get("polarity", "affirmed"),
                criterion=said.get("criterion"),
                value=said.get("value"),
                stated=said.get("stated_t"),
                about=said.get("t"),
            )
            for said in raw.get("concepts", [])
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise BadUse(f"an utterance of the case is wrong: {error!r}", "correct the case") from None

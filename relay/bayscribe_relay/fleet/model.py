"""What the fleet knows of its units: applied message by message, asked at any time.

A pure model: time is handed in. A unit's own problems come with hysteresis from the unit
and are shown as they are. What only the fleet can know, that a unit is away or silent, is
an alarm when it has lasted, and is over when the unit has been back for a while.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from bayscribe.wire.fleet import (
    Alarm,
    Answer,
    Buffer,
    FromUnit,
    Health,
    Levels,
    ProblemLine,
    Status,
    Topic,
    decode,
    parse_topic,
)

BACK_FOR_S = 10.0
"""Seconds that a unit must be back before its absence is over."""

FLAPPING_S = 600.0
FLAPS = 4
"""Reconnections within FLAPPING_S from which the connection itself is what is wrong."""

SEVERITIES = ("ok", "notice", "warning", "alarm")

AWAY = "unit-away"
SILENT = "unit-silent"
FLAPPING = "unit-flapping"


@dataclass(slots=True)
class Unit:
    """One unit.

    Attributes:
        site: of the hospital.
        bay: where it hangs.
        device: its name.
        status: last one.
        health: last one.
        levels: last one.
        buffer: last one.
        heard_s: when it last said anything.
        changed_s: when it came or went.
        away_raised: whether its absence is an alarm.
        came: when it came online, lately.
    """

    site: str
    bay: str
    device: str
    status: Status = field(default_factory=lambda: Status(state="offline"))
    health: Health | None = None
    levels: Levels | None = None
    buffer: Buffer | None = None
    heard_s: float = 0.0
    changed_s: float = 0.0
    away_raised: bool = False
    came: list[float] = field(default_factory=list)

    @property
    def online(self) -> bool:
        """Whether the broker has it."""
        return self.status.state == "online"


@dataclass(frozen=True, slots=True)
class Row:
    """A unit as the page shows it.

    Attributes:
        site: of the hospital.
        bay: where it hangs.
        device: its name.
        online: whether the broker has it.
        activity: what it does, ``offline`` while it is away.
        severity: the worst of its own problems and of what the fleet knows.
        may_go_live: as the unit says.
        problems: all that stands, the worst first.
        loudest_db_spl: of its microphones.
        db_spl: of each.
        pending: records that wait for the relay.
        pending_mib: what they take.
        celsius: hottest sensor.
        software: version.
        heard_ago_s: seconds since its last word.
    """

    site: str
    bay: str
    device: str
    online: bool
    activity: str
    severity: str
    may_go_live: bool
    problems: tuple[ProblemLine, ...]
    loudest_db_spl: float | None
    db_spl: tuple[float, ...]
    pending: int
    pending_mib: float
    celsius: float | None
    software: str
    heard_ago_s: float


class FleetModel:
    """All units.

    Args:
        offline_after_s: absence from which it is an alarm.
        silent_after_s: silence of an online unit from which it is one.
    """

    def __init__(self, offline_after_s: float = 30.0, silent_after_s: float = 45.0) -> None:
        self._offline_after_s = offline_after_s
        self._silent_after_s = silent_after_s
        self._units: dict[str, Unit] = {}
        self.messages = 0
        self.ignored = 0
        """Messages that were not ours, malformed, or of a version to come."""

    def apply(self, topic: str, payload: bytes, now_s: float) -> tuple[Topic, FromUnit] | None:
        """Take a message; what it was, or None if it was ignored."""
        self.messages += 1
        place = parse_topic(topic)
        message = decode(place.channel, payload) if place is not None else None
        if place is None or message is None:
            self.ignored += 1
            return None
        unit = self._units.get(place.device)
        if unit is None or (unit.site, unit.bay) != (place.site, place.bay):
            unit = Unit(place.site, place.bay, place.device, changed_s=now_s)
            self._units[place.device] = unit
        self._note(unit, message, now_s)
        return place, message

    def _note(self, unit: Unit, message: FromUnit, now_s: float) -> None:
        match message:
            case Status():
                self._come_or_go(unit, message, now_s)
                unit.status = message
            case Health():
                unit.health = message
            case Levels():
                unit.levels = message
            case Buffer():
                unit.buffer = message
            case Alarm() | Answer():
                pass  # health says what stands; these are for those who write a log
        unit.heard_s = now_s

    def _come_or_go(self, unit: Unit, status: Status, now_s: float) -> None:
        if (status.state == "online") == unit.online:
            return
        unit.changed_s = now_s
        if status.state == "online":
            unit.came = [at for at in unit.came if now_s - at < FLAPPING_S] + [now_s]

    def unit(self, device: str) -> Unit | None:
        """One unit by its name."""
        return self._units.get(device)

    def rows(self, now_s: float) -> list[Row]:
        """All units as the page shows them, by site, bay and name."""
        units = sorted(self._units.values(), key=lambda unit: (unit.site, unit.bay, unit.device))
        return [self._row(unit, now_s) for unit in units]

    def _row(self, unit: Unit, now_s: float) -> Row:
        own = unit.health.problems if unit.health is not None else ()
        problems = sorted(
            (*self._of_the_fleet(unit, now_s), *own),
            key=lambda one: -SEVERITIES.index(one.severity),
        )
        levels = unit.levels.db_spl if unit.levels is not None and unit.online else ()
        buffer, health = unit.buffer, unit.health
        worst = problems[0].severity if problems else unit.status.severity
        return Row(
            site=unit.site,
            bay=unit.bay,
            device=unit.device,
            online=unit.online,
            activity=unit.status.activity if unit.online else "offline",
            severity=worst,
            may_go_live=unit.online and unit.status.may_go_live,
            problems=tuple(problems),
            loudest_db_spl=max(levels, default=None),
            db_spl=levels,
            pending=buffer.pending if buffer is not None else 0,
            pending_mib=buffer.pending_mib if buffer is not None else 0.0,
            celsius=health.celsius if health is not None else None,
            software=unit.status.software,
            heard_ago_s=round(max(0.0, now_s - unit.heard_s), 1),
        )

    def _of_the_fleet(self, unit: Unit, now_s: float) -> Iterator[ProblemLine]:
        self._settle_absence(unit, now_s)
        if unit.away_raised:
            away = now_s - unit.changed_s
            words = "back, not yet for long" if unit.online else f"away for {away:.0f} s"
            yield ProblemLine(code=AWAY, check="fleet", severity="alarm", words=words)
        silent = now_s - unit.heard_s
        if unit.online and silent > self._silent_after_s:
            words = f"online, and silent for {silent:.0f} s"
            yield ProblemLine(code=SILENT, check="fleet", severity="alarm", words=words)
        flaps = sum(1 for at in unit.came if now_s - at < FLAPPING_S)
        if flaps >= FLAPS:
            words = f"connected {flaps} times in ten minutes"
            yield ProblemLine(code=FLAPPING, check="fleet", severity="warning", words=words)

    def _settle_absence(self, unit: Unit, now_s: float) -> None:
        lasted = now_s - unit.changed_s
        if unit.online and unit.away_raised and lasted >= BACK_FOR_S:
            unit.away_raised = False
        elif not unit.online and lasted >= self._offline_after_s:
            unit.away_raised = True

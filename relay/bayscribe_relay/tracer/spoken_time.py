"""Times of day and spans as spoken: "8:15 this morning", "eleven last night", "two hours ago"."""

import re
from typing import NamedTuple

_AGO = re.compile(
    r"(?:(\d+(?:\.\d+)?)|(an?)|(half an|0\.5)) (minutes?|mins?|hours?|hrs?) (?:ago|back|before)\b"
)
_CLOCK = re.compile(
    r"\b(?:(\d{1,2}):(\d{2})|(\d{3,4})|(\d{1,2})"
    r"(?= (?:am|pm|a m|p m|o clock|oclock|this|last|in the|tonight|yesterday|today)\b))"
)
_AT = re.compile(
    r"\b(?:at|around|about|since|by) (\d{1,2})\b"
    r"(?! (?:minutes?|hours?|percent|kilo|mg|milli))"
)
_NAMED = {"noon": 720, "midday": 720, "midnight": 0}
_AFTERNOON = re.compile(
    r"\b(?:pm|p m|this afternoon|in the afternoon|this evening|in the evening|tonight"
    r"|last night|last evening)\b"
)
_MORNING = re.compile(r"\b(?:am|a m|this morning|in the morning)\b")
_BEFORE = re.compile(r"\b(?:last night|last evening|yesterday)\b")


class When(NamedTuple):
    """A spoken time.

    Attributes:
        ago: minutes before it was said, if it was said so.
        clock: minutes after midnight otherwise.
        half: True if it may be either half of the day.
        before: of the day before.
    """

    ago: int | None = None
    clock: int = 0
    half: bool = False
    before: bool = False


def read_time(text: str) -> When | None:
    """The first time told in a normalised text."""
    if found := _AGO.search(text):
        many = float(found[1]) if found[1] else 0.5 if found[3] else 1.0
        return When(ago=round(many * (60 if found[4].startswith("h") else 1)))
    for name, clock in _NAMED.items():
        if re.search(rf"\b{name}\b", text):
            return When(clock=clock, before=bool(_BEFORE.search(text)))
    if found := _CLOCK.search(text):
        packed = int(found[3] or 0)
        hour = int(found[1] or found[4] or packed // 100)
        minute = int(found[2] or (packed % 100 if found[3] else 0))
    elif found := _AT.search(text):
        hour, minute = int(found[1]), 0
    else:
        return None
    if hour > 23 or minute > 59:
        return None
    late, early = _AFTERNOON.search(text), _MORNING.search(text)
    if late and hour < 12:
        hour += 12
    if early and hour == 12:
        hour = 0
    half = not (late or early) and 1 <= hour <= 12
    return When(clock=hour * 60 + minute, half=half, before=bool(_BEFORE.search(text)))


def minute_of(when: When, t: int, start: int | None) -> int | None:
    """Minutes from arrival; the latest fitting time not after ``t``. None if it cannot be told.

    Args:
        when: as spoken.
        t: when it was said, in minutes from arrival.
        start: arrival in minutes after midnight.
    """
    if when.ago is not None:
        return t - when.ago
    if start is None:
        return None
    clocks = (when.clock, (when.clock + 720) % 1440) if when.half else (when.clock,)
    today = (start + t) // 1440
    days = (today - 1,) if when.before else (today, today - 1)
    minutes = [clock + 1440 * day - start for clock in clocks for day in days]
    return max((minute for minute in minutes if minute <= t), default=None)

"""HL7 timestamps (TS, DTM): precision and time zone.

HL7 v2.5.1 2.A.22: ``YYYY[MM[DD[HH[MM[SS[.S[S[S[S]]]]]]]]][+/-ZZZZ]``.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Final, Literal

Precision = Literal["year", "month", "day", "hour", "minute", "second", "fraction"]

_FORM: Final = re.compile(
    r"(?P<year>\d{4})(?:(?P<month>\d\d)(?:(?P<day>\d\d)(?:(?P<hour>\d\d)(?:(?P<minute>\d\d)"
    r"(?:(?P<second>\d\d)(?:\.(?P<fraction>\d{1,9}))?)?)?)?)?)?(?P<zone>[+-]\d{4}|Z)?"
)
_PRECISIONS: Final[tuple[Precision, ...]] = (
    "fraction",
    "second",
    "minute",
    "hour",
    "day",
    "month",
    "year",
)
_FIRST_YEAR: Final = 1880
_LAST_YEAR: Final = 2199
"""Nobody's record is of another time; and nanoseconds of it fit 64 bits."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Instant:
    """A point in time as far as its sender said.

    Attributes:
        ns: CLOCK_REALTIME, UTC, of the beginning of what was said.
        precision: the finest part that was given.
        zoned: whether the offset stood in the timestamp itself.
    """

    ns: int
    precision: Precision
    zoned: bool

    @property
    def of_clock(self) -> bool:
        """Whether it names a time of day to the minute."""
        return self.precision in ("minute", "second", "fraction")


def offset_of(text: str) -> tzinfo | None:
    """The UTC offset that stands in a timestamp, such as MSH-7's."""
    match = _FORM.fullmatch(text.strip())
    return _zone(match["zone"]) if match and match["zone"] else None


def instant(text: str, zone: tzinfo) -> Instant | None:
    """Read a timestamp; None if it is none.

    Args:
        text: as received, without a degree-of-precision component.
        zone: where it carries no offset of its own: the message's, else the site's.
    """
    match = _FORM.fullmatch(text.strip())
    if match is None:
        return None
    own = _zone(match["zone"]) if match["zone"] else None
    if match["zone"] and own is None:
        return None
    if not _FIRST_YEAR <= int(match["year"]) <= _LAST_YEAR:
        return None
    second = match["second"] or "0"
    if second == "60":  # a leap second: the one before it
        second = "59"
    try:
        local = datetime(
            int(match["year"]),
            int(match["month"] or 1),
            int(match["day"] or 1),
            int(match["hour"] or 0),
            int(match["minute"] or 0),
            int(second),
            tzinfo=own or zone,
        )
        whole = local.astimezone(UTC) - _EPOCH
    except (ValueError, OverflowError):
        return None
    fraction = int((match["fraction"] or "0").ljust(9, "0"))
    ns = (whole.days * 86_400 + whole.seconds) * 10**9 + fraction
    precision = next(p for p in _PRECISIONS if match[p] is not None)
    return Instant(ns, precision, own is not None)


def stamp(ns: int) -> str:
    """A timestamp of an instant, in UTC, to the millisecond."""
    moment = _EPOCH + timedelta(microseconds=ns // 1_000)
    return moment.strftime("%Y%m%d%H%M%S.") + f"{moment.microsecond // 1000:03d}+0000"


def _zone(text: str) -> tzinfo | None:
    if text == "Z":
        return UTC
    hours, minutes = int(text[1:3]), int(text[3:5])
    if hours > 14 or minutes > 59:
        return None
    offset = timedelta(hours=hours, minutes=minutes)
    return timezone(-offset if text[0] == "-" else offset)

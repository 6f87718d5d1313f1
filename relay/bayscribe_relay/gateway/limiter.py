"""One rate limit for each EMR, shared by every encounter that writes to it.

A generic cell rate algorithm (ITU-T I.371) paces the requests. When the EMR turns one
away, all wait together, and come back spread over time (full jitter), not as a herd.
"""

import asyncio
import random
import time
from email.utils import parsedate_to_datetime
from typing import Final

WAIT_MAX_S: Final = 120.0
"""A longer Retry-After is looked at again after this."""

SPREAD_S: Final = 0.25
"""Spread of the first requests after a pause, at least; more when many wait."""

SPREAD_EACH_S: Final = 0.005
"""What each of those who wait adds to the spread, where no rate is configured."""


def retry_after(value: str | None, date: str | None = None) -> float | None:
    """Seconds that a Retry-After header asks for (RFC 9110, 10.2.3), at most ``WAIT_MAX_S``.

    Args:
        value: delta seconds or an HTTP date.
        date: the answer's own Date header: a date is read by the sender's clock, not ours.

    Returns:
        seconds from now, or None if there is nothing usable.
    """
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), WAIT_MAX_S)
    try:
        until = parsedate_to_datetime(text).timestamp()
        now = parsedate_to_datetime(date).timestamp() if date else time.time()
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(until - now, 0.0), WAIT_MAX_S)


ROW: Final = 2
"""Refusals in a row after which everybody waits."""


class RateLimiter:
    """Admits requests to one EMR.

    Args:
        per_second: sustained rate; 0 for none. Bursts of one second's worth pass at once.
    """

    def __init__(self, per_second: float) -> None:
        self._interval = 1.0 / per_second if per_second > 0 else 0.0
        self._tolerance = 1.0 if per_second > 0 else 0.0
        self._arrival = 0.0
        self._closed_until = 0.0
        self._waiting = 0
        self._refused_in_a_row = 0

    async def admit(self) -> None:
        """Wait for this request's turn."""
        self._waiting += 1
        try:
            while (pause := self._closed_until - time.monotonic()) > 0:
                spread = max(SPREAD_S, self._waiting * max(self._interval, SPREAD_EACH_S))
                await asyncio.sleep(pause + random.uniform(0, spread))
            now = time.monotonic()
            self._arrival = max(self._arrival, now) + self._interval
            turn = self._arrival - self._interval - self._tolerance - now
            if turn > 0:
                await asyncio.sleep(turn)
        finally:
            self._waiting -= 1

    def answered(self) -> None:
        """The EMR took a request."""
        self._refused_in_a_row = 0

    def turned_away(self, wait_s: float) -> None:
        """The EMR said 429 or 503: the one who asked waits; from the second in a row, all do.

        One refusal among answers is that request's bad luck. Two without an answer
        between them are an EMR that is full.
        """
        self._refused_in_a_row += 1
        if self._refused_in_a_row >= ROW:
            self._closed_until = max(self._closed_until, time.monotonic() + wait_s)

"""The shared rate limit: what Retry-After means, and how a pause ends."""

import asyncio
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayscribe_relay.gateway.limiter import WAIT_MAX_S, RateLimiter, retry_after


@pytest.mark.parametrize(
    ("value", "date", "seconds"),
    [
        ("7", None, 7.0),
        (" 0 ", None, 0.0),
        ("999999999999", None, WAIT_MAX_S),
        ("Mon, 05 Jan 2026 10:00:09 GMT", "Mon, 05 Jan 2026 10:00:00 GMT", 9.0),
        # The sender's clock is an hour wrong: both dates are by it.
        ("Mon, 05 Jan 2026 11:00:02 GMT", "Mon, 05 Jan 2026 11:00:00 GMT", 2.0),
        ("Mon, 05 Jan 2026 09:00:00 GMT", "Mon, 05 Jan 2026 10:00:00 GMT", 0.0),
        ("soon", None, None),
        ("-3", None, None),
        (None, None, None),
    ],
)
def test_retry_after(value: str | None, date: str | None, seconds: float | None) -> None:
    assert retry_after(value, date) == seconds


@given(st.text(), st.none() | st.text())
def test_no_header_breaks_it(value: str, date: str | None) -> None:
    found = retry_after(value, date)
    assert found is None or 0 <= found <= WAIT_MAX_S


def test_requests_are_paced_after_a_burst(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, slept = [100.0], []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(asyncio, "sleep", sleep)

    async def run() -> None:
        limit = RateLimiter(10)
        for _ in range(13):
            await limit.admit()

    asyncio.run(run())
    # Eleven pass at once (one second's worth and the one that is due), then 10 a second.
    assert slept == pytest.approx([0.1, 0.2])


def test_after_a_pause_nobody_comes_back_early_nor_all_at_once() -> None:
    async def run() -> list[float]:
        limit = RateLimiter(0)
        began = time.monotonic()
        limit.turned_away(1.0)
        limit.turned_away(1.0)

        async def one() -> float:
            await limit.admit()
            return time.monotonic() - began

        return sorted(await asyncio.gather(*(one() for _ in range(30))))

    times = asyncio.run(run())
    assert times[0] >= 1.0
    assert times[-1] - times[0] > 0.05


def test_one_refusal_among_answers_stops_nobody_else() -> None:
    async def run() -> float:
        limit = RateLimiter(0)
        for _ in range(3):
            limit.turned_away(60.0)
            limit.answered()
        began = time.monotonic()
        await asyncio.wait_for(limit.admit(), 10)
        return time.monotonic() - began

    assert asyncio.run(run()) < 10

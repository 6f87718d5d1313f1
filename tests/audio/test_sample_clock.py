"""The line between frame index and monotonic time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayscribe.audio.sample_clock import SECOND, SampleClock
from bayscribe.units import MonotonicNs

RATE = 16_000


def observed(seconds: float, ppm: float = 0.0, burst: int = 1, jitter: int = 0) -> SampleClock:
    clock = SampleClock(RATE)
    for step in range(round(seconds * 50)):
        at = 7 * SECOND + step * SECOND // 50 + (step % 3) * jitter
        captured = round((at - 7 * SECOND) * RATE * (1 + ppm * 1e-6) / SECOND)
        clock.observe(MonotonicNs(at), captured - captured % burst)
    return clock


@given(burst=st.integers(1, 320), jitter=st.integers(0, 5_000_000))
def test_a_gap_is_sized_within_a_period_however_the_hardware_counts(
    burst: int, jitter: int
) -> None:
    clock = observed(3, burst=burst, jitter=jitter)
    a_minute_on = MonotonicNs(70 * SECOND)
    assert abs(clock.index_at(a_minute_on) - 63 * RATE) <= burst
    assert clock.time_of(clock.index_at(a_minute_on)) == pytest.approx(
        a_minute_on, abs=SECOND / RATE
    )


@pytest.mark.parametrize("ppm", [-500.0, -80.0, 0.0, 60.0, 900.0])
def test_drift_is_known_after_twenty_seconds(ppm: float) -> None:
    assert observed(10, ppm).drift_ppm is None
    assert observed(25, ppm, burst=4).drift_ppm == pytest.approx(ppm, abs=20)


def test_lag_is_what_is_missing() -> None:
    clock = observed(2)
    assert abs(clock.lag(MonotonicNs(9 * SECOND), 2 * RATE - 900) - 900) <= 1


def test_before_anything_was_observed_there_is_no_time() -> None:
    with pytest.raises(ValueError, match="not been observed"):
        SampleClock(RATE).index_at(MonotonicNs(1))

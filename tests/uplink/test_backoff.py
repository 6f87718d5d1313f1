import random

from hypothesis import given
from hypothesis import strategies as st

from bayscribe.uplink.config import Backoff


@given(st.integers(0, 2**32), st.floats(0.1, 5), st.floats(5, 600), st.integers(1, 60))
def test_delays_are_bounded_and_start_again_after_progress(
    seed: int, first: float, most: float, tries: int
) -> None:
    backoff = Backoff(first, most, random.Random(seed))
    for attempt in range(tries):
        bound = min(most, first * 2.0**attempt)
        assert backoff.bound() == bound
        assert 0 <= backoff.next() <= bound
    backoff.reset()
    assert backoff.bound() == first


def test_units_that_lost_their_relay_together_come_back_spread_out() -> None:
    units = [Backoff(1.0, 60.0, random.Random(seed)) for seed in range(200)]
    for unit in units:
        for _ in range(6):
            unit.next()
    delays = sorted(unit.next() for unit in units)
    busiest = max(sum(1 for delay in delays if at <= delay < at + 1) for at in range(60))
    assert busiest < 20

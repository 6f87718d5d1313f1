"""The product against the slow second evaluator, on recorded and on random timelines."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bayscribe_relay.tracer.case import read, replay
from tracer.oracle import evaluate
from tracer.timelines import Case, random_case

CASES = [
    case
    for name in ("cases.yaml", "more-cases.yaml")
    for case in read(Path(__file__).parent / name)
    if case["id"] not in ("insulin_before_potassium", "child_with_sepsis_by_phoenix")
    and case["horizon_min"] <= 200
]
"""Without two whose units only the product converts, and without the long ones."""


def product(case: Case) -> list[tuple[str, int, int | None, str | None]]:
    return [(p.gap.id, p.minute, p.closed_minute, p.closed_by) for p in replay(case)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_recorded_cases_agree_with_the_second_evaluator(case: Case) -> None:
    assert product(case) == evaluate(case)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 10**9))
def test_random_timelines_agree_with_the_second_evaluator(seed: int) -> None:
    case = random_case(seed, longest=120)
    assert product(case) == evaluate(case)

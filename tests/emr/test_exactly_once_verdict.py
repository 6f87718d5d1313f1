"""The judgement on a run of the exactly-once harness names every broken promise."""

import random

import pytest
from benchmarks.writeback import notes
from benchmarks.writeback.verdict import Letter, judge

from bayscribe_relay.writeback.states import State
from emr.census import Census, Count

NOTE = notes.make(0, 1, draw=random.Random(1))
WHOLE = Count(1, 1, 1, 1, 1, 0, {NOTE.sha256})
VERIFIED = Letter(State.VERIFIED, 1.0, False)
DEAD = Letter(State.DEAD, 40.0, True)


def chart(count: Count | None = None, orphans: int = 0) -> Census:
    return Census({NOTE.key: count} if count else {}, orphans, 0, 0)


@pytest.mark.parametrize(
    ("letter", "held", "alerted", "broken"),
    [
        (VERIFIED, WHOLE, set(), None),
        (VERIFIED, Count(0, 0, 0, 0, 0, 1, {NOTE.sha256}), set(), None),
        (DEAD, None, {NOTE.key}, None),
        (DEAD, WHOLE, {NOTE.key}, None),
        (DEAD, None, set(), "dead letter without an alert"),
        (None, None, set(), "signed and lost"),
        (Letter(State.PARKED, None, False), None, set(), "not settled (parked)"),
        (VERIFIED, None, set(), "verified and not whole in the chart"),
        (VERIFIED, Count(1, 1, 1, 0, 1, 0, {NOTE.sha256}), set(), "verified and not whole"),
        (VERIFIED, Count(1, 1, 1, 1, 1, 0, {"0" * 64}), set(), "verified and not whole"),
        (VERIFIED, Count(1, 1, 1, 1, 2, 0, {NOTE.sha256}), set(), "verified and not whole"),
        (VERIFIED, Count(2, 2, 2, 2, 2, 0, {NOTE.sha256}), set(), "more than once"),
        (VERIFIED, Count(1, 1, 1, 1, 1, 1, {NOTE.sha256}), set(), "more than once"),
    ],
)
def test_each_way_of_breaking_the_promise_is_named(
    letter: Letter | None, held: Count | None, alerted: set[str], broken: str | None
) -> None:
    found = {NOTE.key: letter} if letter else {}
    verdict = judge([NOTE], found, chart(held), alerted)
    assert bool(verdict.faults) is (broken is not None)
    assert broken is None or any(kind.startswith(broken) for kind in verdict.faults)


def test_an_orphan_in_the_chart_is_a_broken_promise() -> None:
    verdict = judge([NOTE], {NOTE.key: VERIFIED}, chart(WHOLE, orphans=1), set())
    assert verdict.faults == {"orphan Binary": 1}

"""The exactly-once promise under faults and kills, in short; ``./run soak`` is the long run."""

from pathlib import Path

from benchmarks.writeback.exactly_once import Plan, run


def test_every_signed_note_is_in_the_chart_once_or_a_dead_letter_with_an_alert(
    tmp_path: Path,
) -> None:
    outcome = run(Plan(notes=60, kills=6, rate=8.0, ack_timeout_s=1.0), tmp_path)
    assert not outcome.verdict.faults, outcome.verdict.line()
    assert outcome.verdict.verified + outcome.verdict.dead == 60
    assert outcome.verdict.dead >= 1  # the note that the EMR never takes
    assert sum(outcome.kills.values()) >= 1  # a quick machine is done before the later ones
    assert sum(outcome.injected.values()) >= 10


def test_the_promise_holds_with_the_relays_store_on_postgresql(tmp_path: Path) -> None:
    plan = Plan(notes=30, kills=6, rate=8.0, ack_timeout_s=1.0, store="postgresql", seed=3)
    outcome = run(plan, tmp_path)
    assert not outcome.verdict.faults, outcome.verdict.line()
    assert outcome.verdict.verified + outcome.verdict.dead == 30
    assert sum(outcome.kills.values()) >= 1  # a quick machine is done before the later ones

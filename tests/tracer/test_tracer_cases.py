"""The tracer against the recorded cases and against what a site can get wrong."""

import json
from pathlib import Path

import pytest

from bayscribe_relay.cli import main
from bayscribe_relay.tracer.case import read, replay
from bayscribe_relay.tracer.catalogue import load

CASES = read(Path(__file__).parent / "cases.yaml")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_prompts_of_a_recorded_case_come_in_their_minute(case: dict) -> None:  # type: ignore[type-arg]  # YAML
    prompts = replay(case)
    assert [(p.gap.id, p.minute) for p in prompts] == [
        (e["gap"], e["t"]) for e in case["expected_prompts"]
    ]
    record = {(p.gap.id, p.closed_minute) for p in prompts if p.closed_by == "record"}
    assert {(e["gap"], e["t"]) for e in case.get("expected_withdrawn", [])} <= record
    assert all(p.fired.because for p in prompts)


def test_order_of_arrival_in_the_file_does_not_matter() -> None:
    for case in CASES:
        turned = dict(case, events=case["events"][::-1])
        as_told = [(p.gap.id, p.minute) for p in replay(case)]
        assert [(p.gap.id, p.minute) for p in replay(turned)] == as_told


def test_catalogue_is_complete() -> None:
    gaps = load()
    assert (sum(g.enabled for g in gaps), sum(not g.enabled for g in gaps)) == (86, 9)


def test_trace_prints_the_cases_in_file_order(capsys: pytest.CaptureFixture[str]) -> None:
    path = str(Path(__file__).parent / "cases.yaml")
    assert main(["trace", path, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)["cases"]
    assert [case["id"] for case in printed] == [case["id"] for case in CASES]
    assert main(["trace", path]) == 0
    assert "because" in capsys.readouterr().out

"""The tracer against the recorded cases and against what a site can get wrong."""

import json
from pathlib import Path

import pytest

from bayscribe_relay.cli import main
from bayscribe_relay.tracer.case import read, replay
from bayscribe_relay.tracer.catalogue import load
from tracer.timelines import Case

FOLDER = Path(__file__).parent
CASES = [case for name in ("cases.yaml", "more-cases.yaml") for case in read(FOLDER / name)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_prompts_of_a_recorded_case_come_in_their_minute(case: Case) -> None:
    prompts = replay(case)
    assert [(p.gap.id, p.minute) for p in prompts] == [
        (e["gap"], e["t"]) for e in case["expected_prompts"]
    ]
    closed = {(p.gap.id, p.closed_minute, p.closed_by) for p in prompts}
    withdrawn = case.get("expected_withdrawn", [])
    assert {(e["gap"], e["t"], "record") for e in withdrawn} <= closed
    assert {(e["gap"], e["t"], e["by"]) for e in case.get("expected_closed", [])} <= closed
    assert all(p.fired.because for p in prompts)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_nothing_that_is_forbidden_is_prompted(case: Case) -> None:
    fired = {prompt.gap.id for prompt in replay(case)}
    forbidden = set(case["must_not_fire"])
    assert not (fired if "__any__" in forbidden else fired & forbidden)
    assert forbidden - {"__any__"} <= {gap.id for gap in load()}


def test_order_of_arrival_in_the_file_does_not_matter() -> None:
    for case in CASES:
        turned = dict(case, events=case["events"][::-1])
        as_told = [(p.gap.id, p.minute) for p in replay(case)]
        assert [(p.gap.id, p.minute) for p in replay(turned)] == as_told


def test_catalogue_is_complete() -> None:
    gaps = load()
    assert (sum(g.enabled for g in gaps), sum(not g.enabled for g in gaps)) == (86, 9)


def test_at_least_twenty_cases_beyond_the_first_four() -> None:
    assert len(CASES) >= 24
    assert len({case["id"] for case in CASES}) == len(CASES)


def test_trace_prints_the_cases_in_file_order(capsys: pytest.CaptureFixture[str]) -> None:
    path = str(FOLDER / "more-cases.yaml")
    assert main(["trace", path, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)["cases"]
    assert [case["id"] for case in printed] == [case["id"] for case in read(Path(path))]
    keys = {key for case in printed for prompt in case["prompts"] for key in prompt}
    assert keys == {"id", "minute", "text", "closed_minute", "closed_by"}
    assert main(["trace", path]) == 0
    shown = capsys.readouterr().out
    assert "because" in shown
    assert "rule (" in shown


def test_trace_names_what_it_could_not_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "case.yaml"
    path.write_text(
        "cases: [{id: one, patient: {age_years: 40}, profiles: [acute], horizon_min: 5, events: "
        "[{kind: obs, concept: lab.glucose, t: 1, value: 9, unit: mg%}]}]",
        encoding="utf-8",
    )
    assert main(["trace", str(path), "--json"]) == 0
    assert "one: left out 1 x lab.glucose: unit 'mg%'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text",
    [
        "nothing",
        "cases: [{id: one}]",
        "cases: 5",
        "cases: [{id: a, patient: {}, profiles: [], horizon_min: 1, events: []}]",
        "cases: [{id: a, patient: {age_years: 4}, profiles: [], horizon_min: 1, events: [{t: 1}]}]",
        (
            "cases: [{id: a, patient: {age_years: 4}, profiles: [], events: [], horizon_min: 1, "
            "arrival_clock: dawn}]"
        ),
        "cases: [",
    ],
)
def test_a_wrong_case_file_is_one_clear_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    path = tmp_path / "case.yaml"
    path.write_text(text, encoding="utf-8")
    assert main(["trace", str(path)]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert "Traceback" not in shown.err

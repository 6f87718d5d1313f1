"""Every gap of the catalogue can open and close, and its text is filled and brief."""

import re
from pathlib import Path

import pytest

from bayscribe_relay.tracer.case import Prompt, read, replay
from bayscribe_relay.tracer.catalogue import load
from bayscribe_relay.tracer.gap import Gap
from bayscribe_relay.tracer.placeholders import PLACEHOLDERS
from bayscribe_relay.tracer.texts import names_in
from tracer.examples import answers, cases, remedies, spoken
from tracer.timelines import Case

BRIEF = 240
"""A prompt is one line on the page and a breath in the bay."""


def opened(gap: Gap) -> tuple[Case, Prompt]:
    for case in cases(gap):
        for prompt in replay(case):
            if prompt.gap.id == gap.id:
                return case, prompt
    raise AssertionError(f"no timeline opens {gap.id}")


@pytest.mark.parametrize("gap", load(), ids=lambda gap: gap.id)
def test_gap_opens_with_a_full_text_and_closes(gap: Gap) -> None:
    case, prompt = opened(gap)
    text = prompt.fired.text
    assert len(text) <= BRIEF, text
    assert not re.search(r"[{}\[\]]|not known|None|not charted \(|minute \d", text), text
    assert not re.search(r"\d{5}|\d\.\d{4}", text.replace("x10^9", "")), text
    assert text[0].isupper()
    assert prompt.fired.because
    assert prompt.fired.rule
    # The words of a clinician close it ...
    for word in answers(gap):
        told = [*case["utterances"], spoken(prompt.minute + 1, word)]
        [again] = [p for p in replay(dict(case, utterances=told)) if p.gap.id == gap.id]
        # "Comfort care only" answers and excludes at once.
        assert (again.closed_minute, again.closed_by in ("said", "record")) == (
            prompt.minute + 1,
            True,
        )
        assert again.closed is not None
        assert again.closed.because
    # ... a nurse's do not ...
    for word in answers(gap)[:1]:
        nurse = dict(spoken(prompt.minute + 1, word), speaker="nurse")
        told = [*case["utterances"], nurse]
        [again] = [p for p in replay(dict(case, utterances=told)) if p.gap.id == gap.id]
        assert again.closed_minute == prompt.closed_minute
    # ... and where the rule asks for something absent, its appearance does.
    if events := remedies(gap, prompt.minute):
        told = [*case["events"], *events]
        [again] = [p for p in replay(dict(case, events=told)) if p.gap.id == gap.id]
        assert (again.closed_minute, again.closed_by) == (prompt.minute + 1, "record")
    else:
        assert gap.attestation, "nothing could ever close it"


@pytest.mark.parametrize("gap", load(), ids=lambda gap: gap.id)
def test_placeholders_of_the_template_are_known(gap: Gap) -> None:
    assert names_in(gap.template) <= set(PLACEHOLDERS)


def test_no_placeholder_is_without_use() -> None:
    used = {name for gap in load() for name in names_in(gap.template)}
    assert set(PLACEHOLDERS) == used


def test_the_three_prompts_of_the_sepsis_example_are_in_its_words() -> None:
    [case] = [c for c in read(Path(__file__).parent / "cases.yaml") if c["id"] == "seed_sepsis"]
    texts = {p.gap.id: p.fired.text for p in replay(case)}
    assert texts["sep1_sirs_interpretation"] == (
        "SIRS criteria: temperature 38.4 and heart rate 112 are in the chart. "
        "Would you like to state your clinical interpretation for the note?"
    )
    assert texts["sep1_crystalloid_borderline"] == (
        "Fluid resuscitation is calculated at 29.4 mL/kg. SEP-1 requires 30 mL/kg. Would you like "
        "to adjust the order or document clinical rationale for the current volume?"
    )
    assert texts["sep1_repeat_lactate"] == (
        "Initial lactate is 4.2. A repeat lactate order has not been detected. "
        "Would you like to address this? (due by 20:23)"
    )


def test_all_texts_with_their_values() -> None:
    texts = {gap.id: opened(gap)[1].fired.text for gap in load()}
    assert len(texts) == 95
    expected = {
        "sep1_sirs_interpretation": "temperature 39 and heart rate 120",
        "sep1_antibiotic_within_3h": "met at 14:10; no IV antibiotic administration is charted."
        " Due by 17:10",
        "sep1_crystalloid_not_ordered": "Initial lactate 4.2 mmol/L at 14:10",
        "sep1_crystalloid_shortfall": "18.8 mL/kg. SEP-1 requires 30 mL/kg (2400 mL)",
        "sep1_vasopressor": "SBP 82 at 15:05 and SBP 82 at 15:15",
        "icd_sepsis_organism": 'sepsis due to Escherichia coli"',
        "icd_aki_linkage": "Creatinine 1.6 mg/dL (baseline 0.9)",
        "stroke_bp_before_lysis": "last BP 186/?",
        "stroke_lysis_decision": "LKW 12:30:",
        "dka_diagnosis": "(ketone 5.2 mmol/L, glucose 480 mg/dL, pH 7.12, HCO3 9 mmol/L)",
        "critical_result_readback": "Critical potassium = 7.1 at 14:10",
        "incidental_finding_followup": "8 mm lung nodule, follow-up CT chest in 6 months",
        "sep1_blood_culture_before_antibiotic": "Ceftriaxone is ordered",
        "restraint_order_renewal": "(4 h for this age)",
        "interpreter_use": "Preferred language Spanish",
    }
    for name, part in expected.items():
        assert part in texts[name], texts[name]

"""A question and the answer to it are one statement, for what a patient can state."""

import pytest

from bayscribe_relay.tracer.answers import answered
from bayscribe_relay.tracer.config import TracerConfig, site_lexicon

LEXICON = site_lexicon(TracerConfig())


def stated(question: str, answer: str) -> list[str]:
    return answered(question, [(word, True) for word in answer.split()], LEXICON)


@pytest.mark.parametrize(
    ("question", "answer", "concept"),
    [
        (
            "Did you take any aspirin at home?",
            "Yes, four of the small ones.",
            "aspirin_prehospital",
        ),
        ("Have they given her aspirin already?", "Yes.", "aspirin_prehospital"),
        ("Are you on any antibiotics?", "Yeah, since Monday.", "antibiotic_before_arrival"),
        ("Have you been taking antibiotics?", "I have.", "antibiotic_before_arrival"),
        ("Would you like an interpreter?", "No, thank you.", "patient_declined_interpreter"),
        ("Would you like us to do an HIV test?", "No.", "hiv_declined"),
        ("Do you want to be tested for hepatitis C?", "No.", "hcv_declined"),
        ("Do you agree to the procedure?", "Yes.", "informed_consent"),
        ("Would you accept a blood transfusion?", "No.", "transfusion_consent"),
        ("Did the medics give him TXA?", "Yes.", "txa_prehospital"),
    ],
)
def test_what_is_asked_and_answered_is_stated(question: str, answer: str, concept: str) -> None:
    assert concept in stated(question, answer)


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Did you take any aspirin at home?", "No."),
        ("Are you on any antibiotics?", "No."),
        ("Any chance you could be pregnant?", "No."),  # a denial is no test
        ("Any thoughts of suicide?", "No."),  # one question is no screen
        ("Would you like an interpreter?", "Yes."),
        ("Would you like us to do an HIV test?", "Yes, please."),
        ("Do you agree to the procedure?", "No."),
        ("Do you agree to the procedure?", "I don't know."),
        ("Did the medics give him TXA?", "What?"),
    ],
)
def test_the_other_answer_or_a_doubtful_one_states_nothing(question: str, answer: str) -> None:
    assert stated(question, answer) == []

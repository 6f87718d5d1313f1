"""Is the input stage sound?"""

from collections.abc import Iterator

from bayscribe.health.channel_words import detail, faults_of, microphone, subject_of
from bayscribe.health.finding import Finding, Problem, Severity
from bayscribe.health.snapshot import Snapshot
from bayscribe.stream import FaultCode

NAME = "DC offset"
LOOKS_AT = "each channel's mean"
OWN = True

FOUND = Problem(
    "microphone-dc",
    Severity.WARNING,
    "A channel has a constant offset: its input stage is failing.",
    "Replace the array at the next occasion.",
    clear_after_s=5.0,
)
PROBLEMS = (FOUND,)


def look(snapshot: Snapshot) -> Iterator[Finding]:
    """What is wrong in a snapshot."""
    for fault in faults_of(snapshot, FaultCode.DC):
        words = f"{microphone(fault)} has an offset{detail(fault)}"
        yield Finding(FOUND, words, subject_of(fault))

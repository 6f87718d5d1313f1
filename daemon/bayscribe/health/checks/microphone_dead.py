"""Does every microphone hear something?"""

from collections.abc import Iterator

from bayscribe.health.channel_words import detail, faults_of, microphone, subject_of
from bayscribe.health.finding import Finding, Problem, Severity
from bayscribe.health.snapshot import Snapshot
from bayscribe.stream import FaultCode

NAME = "microphones alive"
LOOKS_AT = "each channel's level against the others"
OWN = True

FOUND = Problem(
    "microphone-dead",
    Severity.ALARM,
    "A microphone hears nothing; the beam is made without it.",
    "Check that its hole is not taped or painted over; otherwise replace the array.",
    clear_after_s=5.0,
)
PROBLEMS = (FOUND,)


def look(snapshot: Snapshot) -> Iterator[Finding]:
    """What is wrong in a snapshot."""
    for fault in faults_of(snapshot, FaultCode.DEAD):
        words = f"{microphone(fault)} is dead{detail(fault)}"
        yield Finding(FOUND, words, subject_of(fault))

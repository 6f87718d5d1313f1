"""Do all microphones move the same way?"""

from collections.abc import Iterator

from bayscribe.health.channel_words import detail, faults_of, microphone, subject_of
from bayscribe.health.finding import Finding, Problem, Severity
from bayscribe.health.snapshot import Snapshot
from bayscribe.stream import FaultCode

NAME = "microphone polarity"
LOOKS_AT = "the sign of each channel at low frequencies"
OWN = True

FOUND = Problem(
    "microphone-inverted",
    Severity.ALARM,
    "A channel has its polarity reversed; the beam is made without it.",
    "Replace the array; on a hand-wired one exchange the two wires of that microphone.",
    clear_after_s=5.0,
)
PROBLEMS = (FOUND,)


def look(snapshot: Snapshot) -> Iterator[Finding]:
    """What is wrong in a snapshot."""
    for fault in faults_of(snapshot, FaultCode.INVERTED):
        words = f"{microphone(fault)} is inverted{detail(fault)}"
        yield Finding(FOUND, words, subject_of(fault))

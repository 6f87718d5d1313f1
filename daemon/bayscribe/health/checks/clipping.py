"""Does the bay fit into the converter's range?"""

from collections.abc import Iterator

from bayscribe.health.channel_words import detail, faults_of, microphone, subject_of
from bayscribe.health.finding import Finding, Problem, Severity
from bayscribe.health.snapshot import Snapshot
from bayscribe.stream import FaultCode

NAME = "clipping"
LOOKS_AT = "samples at the rail and flat tops"
OWN = True

FOUND = Problem(
    "microphone-clipped",
    Severity.ALARM,
    "A channel is clipped again and again; what is said then cannot be understood.",
    "Lower the gain to the profile's; move the array away from the alarm or speaker beside it.",
    clear_after_s=5.0,
)
PROBLEMS = (FOUND,)


def look(snapshot: Snapshot) -> Iterator[Finding]:
    """What is wrong in a snapshot."""
    for fault in faults_of(snapshot, FaultCode.CLIPPED):
        words = f"{microphone(fault)} is clipped{detail(fault)}"
        yield Finding(FOUND, words, subject_of(fault))

"""Is every channel the microphone that the profile says?"""

from collections.abc import Iterator

from bayscribe.health.channel_words import detail, faults_of, microphone, subject_of
from bayscribe.health.finding import Finding, Problem, Severity
from bayscribe.health.snapshot import Snapshot
from bayscribe.stream import FaultCode

NAME = "microphone order"
LOOKS_AT = "whether the sound field fits the geometry and what was heard before"
OWN = True

FOUND = Problem(
    "microphones-swapped",
    Severity.ALARM,
    "Channels have changed places: directions, beam and attribution would be wrong.",
    "Plug the array in again; if it stays, mend array.profile or replace the array.",
    clear_after_s=5.0,
)
PROBLEMS = (FOUND,)


def look(snapshot: Snapshot) -> Iterator[Finding]:
    """What is wrong in a snapshot."""
    for fault in faults_of(snapshot, FaultCode.SWAPPED):
        words = f"{microphone(fault)} has changed places{detail(fault)}"
        yield Finding(FOUND, words, subject_of(fault))

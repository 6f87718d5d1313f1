"""Does every channel bring new samples?"""

from collections.abc import Iterator

from bayscribe.health.channel_words import detail, faults_of, microphone, subject_of
from bayscribe.health.finding import Finding, Problem, Severity
from bayscribe.health.snapshot import Snapshot
from bayscribe.stream import FaultCode

NAME = "microphones stuck"
LOOKS_AT = "whether a channel repeats itself or another one"
OWN = True

FOUND = Problem(
    "microphone-stuck",
    Severity.ALARM,
    "A channel repeats one value, one stretch or another channel; the beam is made without it.",
    "Plug the array in again; replace it if it recurs.",
    clear_after_s=5.0,
)
PROBLEMS = (FOUND,)


def look(snapshot: Snapshot) -> Iterator[Finding]:
    """What is wrong in a snapshot."""
    for fault in faults_of(snapshot, FaultCode.STUCK):
        words = f"{microphone(fault)} is stuck{detail(fault)}"
        yield Finding(FOUND, words, subject_of(fault))

"""Are all microphones equally loud?"""

from collections.abc import Iterator

from bayscribe.health.finding import Finding, Problem, Severity
from bayscribe.health.snapshot import Snapshot

NAME = "gain spread"
LOOKS_AT = "each microphone's level against the median one"
OWN = True

WIDE = Problem(
    "gain-spread",
    Severity.WARNING,
    "A microphone is louder or softer than the others by more than their makers allow.",
    "Clean its hole; commission the unit again; replace the array if it stays.",
    raise_after_s=30.0,
    clear_after_s=30.0,
)
PROBLEMS = (WIDE,)
MOST_DB = 6.0
"""MEMS microphones are matched to 1 to 3 dB; a talker at an arm's length adds 1."""
LEAST_S = 30.0


def look(snapshot: Snapshot) -> Iterator[Finding]:
    """What is wrong in a snapshot."""
    array = snapshot.array
    if array is None or not array.present or array.listened_s < LEAST_S:
        return
    bad = {fault.microphone for fault in array.faults}
    for mic, spread in enumerate(array.spread_db):
        if abs(spread) > MOST_DB and mic not in bad:
            yield Finding(WIDE, f"microphone {mic} is {spread:+.1f} dB from the median", str(mic))

"""Does the light say what the unit does?"""

from collections.abc import Iterator

from bayscribe.health.finding import Finding, Problem, Severity
from bayscribe.health.snapshot import Snapshot

NAME = "indicator"
LOOKS_AT = "the LED ring that shows recording, mute and faults"
OWN = False

DARK = Problem(
    "indicator-dark",
    Severity.WARNING,
    "The light cannot be reached: nobody in the room sees whether the unit records.",
    "Look at the ring's cable and at [indicator] in the configuration; the state file and "
    "bayscribe mute work without it.",
    raise_after_s=5.0,
    clear_after_s=5.0,
)
PROBLEMS = (DARK,)


def look(snapshot: Snapshot) -> Iterator[Finding]:
    """What is wrong in a snapshot."""
    if snapshot.indicator == "failed":
        yield Finding(DARK, "the ring does not answer")

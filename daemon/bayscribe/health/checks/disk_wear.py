"""How long will the flash live?"""

from collections.abc import Iterator

from bayscribe.health.finding import Finding, Problem, Severity
from bayscribe.health.snapshot import Snapshot

NAME = "disk wear"
LOOKS_AT = "what the flash says of its own life"
OWN = True

WORN = Problem(
    "disk-worn",
    Severity.WARNING,
    "The flash has used more than 80 % of its life.",
    "Plan its replacement within weeks; move the unit's identity as in the spare-unit swap.",
)
ENDING = Problem(
    "disk-ending",
    Severity.ALARM,
    "The flash announces its end.",
    "Swap the unit today.",
)
PROBLEMS = (WORN, ENDING)
WORN_SHARE = 0.8


def look(snapshot: Snapshot) -> Iterator[Finding]:
    """What is wrong in a snapshot."""
    disk = snapshot.disk
    if disk is None:
        return
    used = disk.life_used
    if disk.end_of_life or (used is not None and used >= 1.0):
        yield Finding(ENDING, "the flash says that its life is used up")
    elif used is not None and used >= WORN_SHARE:
        yield Finding(WORN, f"{100 * used:.0f} % of the flash's life is used")

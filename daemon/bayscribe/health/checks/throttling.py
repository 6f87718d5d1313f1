"""Does the computer run as fast as it can?"""

from collections.abc import Iterator

from bayscribe.health.finding import Finding, Problem, Severity
from bayscribe.health.snapshot import Snapshot

NAME = "throttling"
LOOKS_AT = "what the firmware says holds the processor back"
OWN = True

NOW = Problem(
    "throttled",
    Severity.ALARM,
    "The processor is being held back; analysis may be shed.",
    "Under-voltage: use the supply that came with the unit. Heat: free its vents.",
    raise_after_s=5.0,
    clear_after_s=60.0,
)
BEFORE = Problem(
    "throttled-before",
    Severity.NOTICE,
    "The processor was held back at some time since power-on.",
    "Look at the power supply and the vents at the next occasion.",
)
PROBLEMS = (NOW, BEFORE)


def look(snapshot: Snapshot) -> Iterator[Finding]:
    """What is wrong in a snapshot."""
    board = snapshot.board
    if board is None:
        return
    if board.throttled:
        yield Finding(NOW, ", ".join(board.throttled))
    if board.throttled_before:
        yield Finding(BEFORE, ", ".join(board.throttled_before))

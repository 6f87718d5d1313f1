"""Is the computer cool enough?"""

from collections.abc import Iterator

from bayscribe.health.finding import Finding, Problem, Severity
from bayscribe.health.snapshot import Snapshot

NAME = "temperature"
LOOKS_AT = "the hottest sensor of the computer"
OWN = True

WARM = Problem(
    "temperature-warm",
    Severity.WARNING,
    "The computer is hot and will soon slow down.",
    "Free the unit's vents; do not mount it above a monitor or in the sun.",
    raise_after_s=30.0,
    clear_after_s=60.0,
)
HOT = Problem(
    "temperature-hot",
    Severity.ALARM,
    "The computer is about to slow itself down or to switch off.",
    "Free the unit's vents now; swap the unit if its fan stands still.",
    raise_after_s=5.0,
    clear_after_s=60.0,
)
PROBLEMS = (WARM, HOT)
WARM_C, HOT_C = 75.0, 83.0
"""A Raspberry Pi slows down from 80 (soft limit) and hard at 85; a Jetson at 87."""


def look(snapshot: Snapshot) -> Iterator[Finding]:
    """What is wrong in a snapshot."""
    board = snapshot.board
    if board is None or board.celsius is None or board.celsius < WARM_C:
        return
    problem = HOT if board.celsius >= HOT_C else WARM
    yield Finding(problem, f"{board.celsius:.0f} °C")

"""Did the wall clock jump?"""

from collections.abc import Iterator

from bayscribe.health.finding import Finding, Problem, Severity
from bayscribe.health.snapshot import Snapshot

NAME = "clock step"
LOOKS_AT = "the wall clock against the monotonic one"
OWN = False

STEP = Problem(
    "clock-step",
    Severity.WARNING,
    "The wall clock was set by more than half a second while the unit ran.",
    "Nothing for a single one after power-on; otherwise find out who sets the clock.",
)
PROBLEMS = (STEP,)
MOST_S = 0.5


def look(snapshot: Snapshot) -> Iterator[Finding]:
    """What is wrong in a snapshot."""
    clock = snapshot.clock
    if clock is not None and abs(clock.step_s) > MOST_S:
        yield Finding(STEP, f"the clock was set by {clock.step_s:+.1f} s")

"""Is the wall clock right?"""

from collections.abc import Iterator

from bayscribe.health.finding import Finding, Problem, Severity
from bayscribe.health.snapshot import Snapshot

NAME = "clock"
LOOKS_AT = "whether the kernel holds the wall clock synchronised"
OWN = False

UNSYNCHRONISED = Problem(
    "clock-unsynchronised",
    Severity.WARNING,
    "The wall clock is not synchronised. Order and audio do not depend on it; notes say it.",
    "Let the unit reach the hospital's time server (chrony or systemd-timesyncd).",
    raise_after_s=60.0,
    clear_after_s=30.0,
)
REQUIRED = Problem(
    "clock-required",
    Severity.ALARM,
    "The wall clock is not synchronised, and this site lets no unit go live without it.",
    "Let the unit reach the hospital's time server (chrony or systemd-timesyncd).",
    raise_after_s=60.0,
    clear_after_s=30.0,
)
ABSURD = Problem(
    "clock-absurd",
    Severity.ALARM,
    "The wall clock stands before this software was made: certificates cannot be judged.",
    "Let the unit reach a time server; replace the clock's battery.",
)
PROBLEMS = (UNSYNCHRONISED, REQUIRED, ABSURD)
FIRST_YEAR = 2026


def look(snapshot: Snapshot) -> Iterator[Finding]:
    """What is wrong in a snapshot."""
    clock = snapshot.clock
    if clock is None:
        return
    if clock.year is not None and clock.year < FIRST_YEAR:
        yield Finding(ABSURD, f"the clock says {clock.year}")
    if clock.synchronised is False:
        problem = REQUIRED if clock.required else UNSYNCHRONISED
        yield Finding(problem, "the kernel says that the clock is not synchronised")

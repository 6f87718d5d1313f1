"""Does the unit write no more than it should?"""

from collections.abc import Iterator

from bayscribe.health.finding import Finding, Problem, Severity
from bayscribe.health.snapshot import Snapshot

NAME = "write budget"
LOOKS_AT = "what a day of uninterrupted recording writes to flash"
OWN = True

OVER = Problem(
    "write-budget",
    Severity.WARNING,
    "The unit writes more to its flash than this site allows: it will not last its years.",
    "Look at log_level and at what else writes to this disk; report it to the maker.",
    raise_after_s=600.0,
    clear_after_s=600.0,
)
PROBLEMS = (OVER,)


def look(snapshot: Snapshot) -> Iterator[Finding]:
    """What is wrong in a snapshot."""
    disk = snapshot.disk
    if disk is None or disk.written_gib_per_day is None:
        return
    if disk.written_gib_per_day > disk.budget_gib_per_day:
        words = f"{disk.written_gib_per_day:.1f} of {disk.budget_gib_per_day:.1f} GiB a day"
        yield Finding(OVER, words)

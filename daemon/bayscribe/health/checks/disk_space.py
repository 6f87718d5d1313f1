"""Is there room on the disk?"""

from collections.abc import Iterator

from bayscribe.health.finding import Finding, Problem, Severity
from bayscribe.health.snapshot import Snapshot

NAME = "disk space"
LOOKS_AT = "free space and inodes under the state directory, and whether it can be written"
OWN = True

LOW = Problem(
    "disk-low",
    Severity.WARNING,
    "The disk has less than twice the space left that the unit keeps free.",
    "Find what fills it; nothing but the unit's own state belongs on this disk.",
    raise_after_s=10.0,
    clear_after_s=60.0,
)
OUT = Problem(
    "disk-out",
    Severity.ALARM,
    "The disk has less space left than the unit must keep free: the buffer cannot grow.",
    "Find what fills it; bring the relay back, which empties the buffer.",
    clear_after_s=60.0,
)
REFUSES = Problem(
    "disk-refuses",
    Severity.ALARM,
    "The disk cannot be written: sealed audio waits in memory.",
    "Replace the card or the disk; do not switch the unit off before the buffer is empty.",
    clear_after_s=5.0,
)
INODES = Problem(
    "disk-inodes",
    Severity.WARNING,
    "The disk runs out of inodes.",
    "Find what makes so many files under the state directory's disk.",
    raise_after_s=10.0,
    clear_after_s=60.0,
)
PROBLEMS = (LOW, OUT, REFUSES, INODES)
LEAST_INODES = 0.02


def look(snapshot: Snapshot) -> Iterator[Finding]:
    """What is wrong in a snapshot."""
    disk = snapshot.disk
    if disk is None:
        return
    if disk.writable is False:
        yield Finding(REFUSES, "a file could not be written under the state directory")
    if disk.free_mib is not None and disk.free_mib < 2 * disk.least_free_mib:
        problem = OUT if disk.free_mib < disk.least_free_mib else LOW
        yield Finding(problem, f"{disk.free_mib:.0f} MiB are free")
    if disk.free_inodes_share is not None and disk.free_inodes_share < LEAST_INODES:
        yield Finding(INODES, f"{100 * disk.free_inodes_share:.1f} % of the inodes are free")

"""Is the array there, and is it the one that the profile describes?"""

from collections.abc import Iterator

from bayscribe.health.finding import Finding, Problem, Severity
from bayscribe.health.snapshot import Snapshot

NAME = "array"
LOOKS_AT = "whether the array is open, with the profile's rate, format and channels"
OWN = True

ABSENT = Problem(
    "array-absent",
    Severity.ALARM,
    "The microphone array cannot be opened: the bay is not heard.",
    "Check the array's cable and its light; plug it in again; if it stays away, swap the unit.",
    raise_after_s=1.0,
    clear_after_s=3.0,
)
FORMAT = Problem(
    "array-format",
    Severity.ALARM,
    "The array gives other channels, another rate or another format than its profile says.",
    "Set array.profile to this array, and flash the firmware that the profile names.",
)
REOPENED = Problem(
    "array-reopened",
    Severity.WARNING,
    "The array went away and came back within the last five minutes.",
    "Reseat or replace its cable; look at the power supply if it recurs.",
)
PROBLEMS = (ABSENT, FORMAT, REOPENED)


def look(snapshot: Snapshot) -> Iterator[Finding]:
    """What is wrong in a snapshot."""
    array = snapshot.array
    if array is None:
        return
    if array.format_refused:
        yield Finding(FORMAT, array.problem or "the array has another format")
    elif not array.present:
        yield Finding(ABSENT, array.problem or "the array is not open")
    if array.reopened:
        yield Finding(REOPENED, f"opened again {array.reopened} times in five minutes")

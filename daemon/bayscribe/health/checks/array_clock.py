"""Does the array's clock run true?"""

from collections.abc import Iterator

from bayscribe.health.finding import Finding, Problem, Severity
from bayscribe.health.snapshot import Snapshot

NAME = "array clock"
LOOKS_AT = "the array's frames against the system's monotonic clock"
OWN = True

DRIFT = Problem(
    "array-clock-drift",
    Severity.ALARM,
    "The array's clock is broken: it runs off by more than three times what a crystal may.",
    "Plug the array in again; replace it if it stays.",
    clear_after_s=5.0,
)
PROBLEMS = (DRIFT,)
MOST_PPM = 300.0
"""USB audio allows 100 ppm with margin; three times that is no crystal."""


def look(snapshot: Snapshot) -> Iterator[Finding]:
    """What is wrong in a snapshot."""
    array = snapshot.array
    if array is None or not array.present or array.drift_ppm is None:
        return
    if abs(array.drift_ppm) > MOST_PPM:
        yield Finding(DRIFT, f"the array's clock is off by {array.drift_ppm:+.0f} ppm")

"""Does the computer's crystal run true?"""

from collections.abc import Iterator

from bayscribe.health.finding import Finding, Problem, Severity
from bayscribe.health.snapshot import Snapshot

NAME = "clock drift"
LOOKS_AT = "the frequency correction that the kernel applies"
OWN = False

DRIFT = Problem(
    "clock-drift",
    Severity.WARNING,
    "The computer's clock needs a correction that no sound crystal needs.",
    "Watch it; if the clock also loses its synchronisation, replace the computer.",
    raise_after_s=600.0,
    clear_after_s=600.0,
)
PROBLEMS = (DRIFT,)
MOST_PPM = 250.0
"""Computers' crystals are within 100 ppm; the kernel gives up at 500 (adjtimex(2))."""


def look(snapshot: Snapshot) -> Iterator[Finding]:
    """What is wrong in a snapshot."""
    clock = snapshot.clock
    if clock is None or clock.frequency_ppm is None or not clock.synchronised:
        return
    if abs(clock.frequency_ppm) > MOST_PPM:
        yield Finding(DRIFT, f"corrected by {clock.frequency_ppm:+.0f} ppm")

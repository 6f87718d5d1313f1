"""Is the unit as it was when it was commissioned?"""

from collections.abc import Iterator

from bayscribe.health.finding import Finding, Problem, Severity
from bayscribe.health.snapshot import Snapshot

NAME = "commissioning"
LOOKS_AT = "the signed commissioning report against what is measured now"
OWN = True

MISSING = Problem(
    "not-commissioned",
    Severity.NOTICE,
    "This unit has not been commissioned in this place.",
    "Commission it: `bayscribe commission`.",
)
UNTRUSTED = Problem(
    "commissioning-untrusted",
    Severity.ALARM,
    "The commissioning report was altered or is another unit's.",
    "Find out who changed it; commission the unit again.",
)
DRIFT = Problem(
    "commissioning-drift",
    Severity.ALARM,
    "The unit is no longer as it was commissioned.",
    "Put it back as it was, or commission it again.",
    raise_after_s=10.0,
    clear_after_s=30.0,
)
PROBLEMS = (MISSING, UNTRUSTED, DRIFT)


def look(snapshot: Snapshot) -> Iterator[Finding]:
    """What is wrong in a snapshot."""
    report = snapshot.commissioning
    if report is None:
        return
    if not report.done:
        yield Finding(MISSING, "there is no commissioning report")
    elif report.problem:
        yield Finding(UNTRUSTED, report.problem)
    for difference in report.drift:
        yield Finding(DRIFT, difference, difference.partition(":")[0])

"""Will the unit's identity last?"""

from collections.abc import Iterator

from bayscribe.health.finding import Finding, Problem, Severity
from bayscribe.health.snapshot import Snapshot

NAME = "certificate"
LOOKS_AT = "the unit's certificate and key"
OWN = True

ENDING = Problem(
    "certificate-ending",
    Severity.WARNING,
    "The unit's certificate ends within a tenth of its life.",
    "Renew it over the fleet page (rotate-certificate), or enrol the unit again.",
)
ENDED = Problem(
    "certificate-ended",
    Severity.ALARM,
    "The unit's certificate has ended or does not hold yet: relay and broker refuse it.",
    "Check the unit's clock; enrol the unit again.",
)
UNUSABLE = Problem(
    "identity-unusable",
    Severity.ALARM,
    "The unit has no usable key and certificate.",
    "Enrol the unit: `bayscribe commission`.",
)
EXPOSED = Problem(
    "key-exposed",
    Severity.ALARM,
    "Others than the unit's own user may read its key.",
    "chmod 600 the key; if anybody may have read it, revoke the certificate and enrol again.",
)
PROBLEMS = (ENDING, ENDED, UNUSABLE, EXPOSED)
ENDING_SHARE = 0.1
ENDING_DAYS = 30.0


def look(snapshot: Snapshot) -> Iterator[Finding]:
    """What is wrong in a snapshot."""
    identity = snapshot.identity
    if identity is None:
        return
    if identity.problem:
        yield Finding(UNUSABLE, identity.problem)
    if identity.key_exposed:
        yield Finding(EXPOSED, "the key's file is open to its group or to others")
    if identity.days_left is None:
        return
    soon = min(ENDING_DAYS, ENDING_SHARE * (identity.days_valid or ENDING_DAYS / ENDING_SHARE))
    if identity.days_left <= 0:
        yield Finding(ENDED, f"ended {-identity.days_left:.0f} days ago")
    elif identity.days_left < soon:
        yield Finding(ENDING, f"ends in {identity.days_left:.0f} days")

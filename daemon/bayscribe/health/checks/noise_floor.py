"""Is the quietest that is heard believable?"""

from collections.abc import Iterator

from bayscribe.health.finding import Finding, Problem, Severity
from bayscribe.health.snapshot import Snapshot

NAME = "noise floor"
LOOKS_AT = "the quietest tenth of the last minute in dB SPL"
OWN = True

LOW = Problem(
    "noise-floor-low",
    Severity.ALARM,
    "The array hears less than its own microphones' noise: its gain is down.",
    "Check the mixer (`bayscribe check` names its controls); plug the array in again.",
    raise_after_s=20.0,
    clear_after_s=5.0,
)
HIGH = Problem(
    "noise-floor-high",
    Severity.WARNING,
    "The bay is never quieter than 75 dB SPL: attribution will suffer.",
    "Look for a fan, a compressor or an alarm beside the unit; move one of the two.",
    raise_after_s=600.0,
    clear_after_s=60.0,
)
PROBLEMS = (LOW, HIGH)
LEAST_DB_SPL = 14.0
"""The quietest MEMS microphones have 26 dB SPL of noise; 12 dB below that no gain is right."""
MOST_DB_SPL = 75.0
LEAST_S = 20.0


def look(snapshot: Snapshot) -> Iterator[Finding]:
    """What is wrong in a snapshot."""
    array = snapshot.array
    if array is None or not array.present or array.listened_s < LEAST_S or not array.floor_db_spl:
        return
    floor = sorted(array.floor_db_spl)[len(array.floor_db_spl) // 2]
    if floor < LEAST_DB_SPL:
        yield Finding(LOW, f"the noise floor is {floor:.0f} dB SPL")
    if floor > MOST_DB_SPL:
        yield Finding(HIGH, f"the noise floor is {floor:.0f} dB SPL")

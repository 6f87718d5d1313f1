"""Does the relay take what the unit sends?"""

from collections.abc import Iterator

from bayscribe.health.finding import Finding, Problem, Severity
from bayscribe.health.snapshot import Snapshot

NAME = "relay"
LOOKS_AT = "the connection to the relay and what it refuses"
OWN = False

AWAY = Problem(
    "relay-away",
    Severity.ALARM,
    "The relay is not reached. The unit buffers for days; prompts and commands do not come.",
    "Check the wall port, then the relay's own health page.",
    raise_after_s=30.0,
    clear_after_s=5.0,
)
REFUSES = Problem(
    "relay-refuses",
    Severity.ALARM,
    "The relay refuses this unit's records; the unit keeps them.",
    "Call the relay's operator with the unit's name; do not reset the unit.",
    clear_after_s=5.0,
)
PROBLEMS = (AWAY, REFUSES)


def look(snapshot: Snapshot) -> Iterator[Finding]:
    """What is wrong in a snapshot."""
    relay = snapshot.relay
    if relay is None:
        return
    if relay.alarm:
        yield Finding(REFUSES, f"the relay refuses: {relay.alarm}")
    if not relay.up:
        why = relay.problem or "no connection"
        yield Finding(AWAY, f"not reached for {relay.down_for_s:.0f} s: {why}")

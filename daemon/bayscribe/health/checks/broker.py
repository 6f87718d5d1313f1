"""Does the fleet hear of this unit?"""

from collections.abc import Iterator

from bayscribe.health.finding import Finding, Problem, Severity
from bayscribe.health.snapshot import Snapshot

NAME = "broker"
LOOKS_AT = "the connection to the MQTT broker and its queue"
OWN = False

AWAY = Problem(
    "broker-away",
    Severity.WARNING,
    "The broker is not reached: the fleet page shows this unit as offline.",
    "Check the broker and its access list; recording goes on.",
    raise_after_s=60.0,
    clear_after_s=5.0,
)
DROPPED = Problem(
    "telemetry-dropped",
    Severity.NOTICE,
    "Telemetry was dropped, oldest first, while the broker was away.",
    "Nothing: states and alarms are sent again as they are now.",
)
PROBLEMS = (AWAY, DROPPED)


def look(snapshot: Snapshot) -> Iterator[Finding]:
    """What is wrong in a snapshot."""
    broker = snapshot.broker
    if broker is None:
        return
    if not broker.up:
        why = broker.problem or "no connection"
        yield Finding(AWAY, f"not reached for {broker.down_for_s:.0f} s: {why}")
    if broker.dropped:
        yield Finding(DROPPED, f"{broker.dropped} messages dropped in five minutes")

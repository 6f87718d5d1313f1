"""Does the buffer hold, and is it whole?"""

from collections.abc import Iterator

from bayscribe.health.finding import Finding, Problem, Severity
from bayscribe.health.snapshot import Snapshot

NAME = "buffer"
LOOKS_AT = "depth, damage and losses of the durable buffer"
OWN = True

DEEP = Problem(
    "buffer-deep",
    Severity.WARNING,
    "The buffer fills: the relay has not taken this bay's audio for hours.",
    "Bring the relay or the network back; nothing is lost yet.",
    raise_after_s=10.0,
    clear_after_s=30.0,
)
HIGH = Problem(
    "buffer-high",
    Severity.ALARM,
    "The buffer is more than half full.",
    "Bring the relay or the network back today: audio is lost once it is full.",
    clear_after_s=30.0,
)
FULL = Problem(
    "buffer-full",
    Severity.ALARM,
    "The buffer is full: new audio can only be held in memory.",
    "Bring the relay back now.",
    clear_after_s=30.0,
)
REFUSED = Problem(
    "buffer-refused",
    Severity.ALARM,
    "The disk refuses records; they wait in memory.",
    "Do not switch the unit off; free the disk or bring the relay back.",
    raise_after_s=2.0,
    clear_after_s=5.0,
)
LOST = Problem(
    "audio-lost",
    Severity.ALARM,
    "Audio was lost: neither disk nor memory had room.",
    "Bring the relay back and swap the unit; the record says what is missing.",
    clear_after_s=3600.0,
)
DAMAGED = Problem(
    "buffer-damaged",
    Severity.ALARM,
    "Records in the buffer were altered or have vanished.",
    "Take the unit out of service and keep its disk: `bayscribe inspect` says what happened.",
)
PROBLEMS = (DEEP, HIGH, FULL, REFUSED, LOST, DAMAGED)
_LEVELS = {"warn": DEEP, "high": HIGH, "full": FULL}


def look(snapshot: Snapshot) -> Iterator[Finding]:
    """What is wrong in a snapshot."""
    buffer = snapshot.buffer
    if buffer is None:
        return
    problem = _LEVELS.get(buffer.level)
    if problem is not None:
        yield Finding(problem, f"{buffer.pending} records, {buffer.pending_mib:.0f} MiB wait")
    if buffer.held_in_memory:
        why = buffer.problem or "the disk refuses them"
        yield Finding(REFUSED, f"{buffer.held_in_memory} records wait in memory: {why}")
    if buffer.lost_s:
        yield Finding(LOST, f"{buffer.lost_s:.1f} s of audio are lost")
    if buffer.damaged:
        yield Finding(DAMAGED, f"{buffer.damaged} records are damaged or missing")

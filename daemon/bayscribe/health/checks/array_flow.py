"""Does sound keep arriving, whole?"""

from collections.abc import Iterator

from bayscribe.health.finding import Finding, Problem, Severity
from bayscribe.health.snapshot import Snapshot

NAME = "sound"
LOOKS_AT = "whether frames arrive, and whether any were lost on the way"
OWN = True

STALLED = Problem(
    "sound-stalled",
    Severity.ALARM,
    "The array is open and gives no sound.",
    "Plug the array in again; if it recurs, replace it.",
    raise_after_s=2.0,
    clear_after_s=2.0,
)
LOST = Problem(
    "sound-lost",
    Severity.WARNING,
    "Sound was lost between array and unit within the last five minutes; a gap says where.",
    "Nothing for a single one; if it recurs, look at overload and at real-time priority.",
)
SHORT = Problem(
    "short-reads",
    Severity.NOTICE,
    "The array's driver gave less than a period at a time; nothing was lost by it.",
    "Nothing; if it recurs together with lost sound, replace the USB cable or hub.",
)
MISALIGNED = Problem(
    "misaligned-reads",
    Severity.WARNING,
    "The driver gave something other than whole frames; the stream was opened again.",
    "Replace the cable or the array if it recurs.",
)
PROBLEMS = (STALLED, LOST, SHORT, MISALIGNED)
STALL_S = 1.0
"""Seconds without a frame: 25 periods."""


def look(snapshot: Snapshot) -> Iterator[Finding]:
    """What is wrong in a snapshot."""
    array = snapshot.array
    if array is None:
        return
    if array.present and not array.muted and array.silent_for_s > STALL_S:
        yield Finding(STALLED, f"no frame for {array.silent_for_s:.0f} s")
    if array.overruns or array.gap_frames:
        lost_ms = array.gap_frames / 16
        yield Finding(LOST, f"{array.overruns} overruns, {lost_ms:.0f} ms lost in five minutes")
    if array.short_reads:
        yield Finding(SHORT, f"{array.short_reads} short reads in five minutes")
    if array.misaligned:
        yield Finding(MISALIGNED, f"{array.misaligned} misaligned reads in five minutes")

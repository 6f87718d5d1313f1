"""Do mixer and on-board processing stand where the profile wants them?"""

from collections.abc import Iterator

from bayscribe.health.finding import Finding, Problem, Severity, Tools
from bayscribe.health.snapshot import Snapshot

NAME = "array settings"
LOOKS_AT = "mixer controls, firmware and DSP settings of the board"
OWN = True

MIXER = Problem(
    "mixer-moved",
    Severity.WARNING,
    "A mixer control does not stand where the profile wants it: levels lose their meaning.",
    "The unit sets it again by itself; if it stays, name the control in the array's profile.",
    clear_after_s=3.0,
)
DSP = Problem(
    "dsp-settings",
    Severity.WARNING,
    "The board processes the microphones' sound before the unit gets it.",
    "Set the board as firmware-config/dsp says; it forgets at every plug-in.",
)
REAL_TIME = Problem(
    "not-real-time",
    Severity.NOTICE,
    "Capture runs without real-time priority: a busy unit may lose sound.",
    "Start the unit by its service file, which allows it (LimitRTPRIO=10).",
    raise_after_s=5.0,
)
PROBLEMS = (MIXER, DSP, REAL_TIME)


def look(snapshot: Snapshot) -> Iterator[Finding]:
    """What is wrong in a snapshot."""
    array = snapshot.array
    if array is None:
        return
    for control in array.mixer:
        yield Finding(MIXER, control, control.partition(":")[0])
    for setting in array.dsp:
        yield Finding(DSP, setting, setting.partition(":")[0])
    if array.present and array.real_time is False:
        yield Finding(REAL_TIME, "capture runs without real-time priority")


def mend(tools: Tools) -> None:
    """Set the mixer again."""
    tools.hold_mixer()

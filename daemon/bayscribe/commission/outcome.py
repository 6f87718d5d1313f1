"""What a measurement is, and what comes out of it."""

from dataclasses import dataclass, field
from typing import Any, Protocol

from bayscribe.stream import Block


@dataclass(frozen=True, slots=True)
class Outcome:
    """The verdict on one step.

    Attributes:
        passed: whether the unit may go on.
        words: what was found, one line.
        figures: what was measured, by name, as JSON; it becomes the asset file's.
        advice: what to do when it did not pass.
    """

    passed: bool
    words: str
    figures: dict[str, Any] = field(default_factory=dict)
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Live:
    """What a front shows while a measurement listens.

    Attributes:
        progress: 0..1.
        note: one line.
        levels_db_spl: of each microphone.
        bearings: azimuth in degrees and salience 0..1 of what is heard now.
    """

    progress: float
    note: str = ""
    levels_db_spl: tuple[float, ...] = ()
    bearings: tuple[tuple[float, float], ...] = ()


class Measurement(Protocol):
    """A stage that listens until it knows enough."""

    def push(self, block: Block) -> Outcome | None:
        """Take the next block; the outcome once there is one."""
        ...

    def live(self) -> Live:
        """How far it is."""
        ...

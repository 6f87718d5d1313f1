"""What a check is, and what it may say."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

from bayscribe.health.snapshot import Snapshot


class Severity(IntEnum):
    """How bad a finding is.

    A unit may go live with everything below :attr:`ALARM`.
    """

    OK = 0
    """Nothing is wrong."""
    NOTICE = 1
    """Worth knowing; nobody has to do anything today."""
    WARNING = 2
    """The unit does its work; somebody has to act within days."""
    ALARM = 3
    """The unit does not do its work, or soon will not: act now."""

    @property
    def word(self) -> str:
        """As it is written everywhere: lower case."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that a check can find.

    Attributes:
        code: stable, for programs and for the alarm list.
        severity: how bad.
        meaning: what it means for the bay, one sentence.
        what_to_do: for the person who stands in front of the unit.
        raise_after_s: seconds that it must last before it is said.
        clear_after_s: seconds that it must be away before it is taken back.
    """

    code: str
    severity: Severity
    meaning: str
    what_to_do: str
    raise_after_s: float = 0.0
    clear_after_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem that a check sees in a snapshot.

    Attributes:
        problem: which.
        words: what was found, with its figures; one line.
        subject: which of several, for instance ``2`` for a microphone; empty for one of a kind.
    """

    problem: Problem
    words: str
    subject: str = ""


@dataclass(frozen=True, slots=True)
class Tools:
    """What a check may do about what it found.

    Attributes:
        hold_mixer: sets the array's mixer as the profile wants it; controls that refused.
    """

    hold_mixer: Callable[[], list[str]]


class Check(Protocol):
    """A rule. Every module of :mod:`bayscribe.health.checks` is one.

    A module that can mend what it finds also has ``mend(tools: Tools) -> None``.
    """

    @property
    def NAME(self) -> str:  # noqa: N802 - constants of the modules that are checks
        """What reports call it."""
        ...

    @property
    def LOOKS_AT(self) -> str:  # noqa: N802 - as above
        """What it looks at, in a phrase."""
        ...

    @property
    def OWN(self) -> bool:  # noqa: N802 - as above
        """Whether it judges the unit's own work, which an update can spoil.

        The others judge the site around it: network, clock, broker.
        """
        ...

    @property
    def PROBLEMS(self) -> tuple[Problem, ...]:  # noqa: N802 - as above
        """All that it can find."""
        ...

    def look(self, snapshot: Snapshot) -> Iterator[Finding]:
        """What is wrong in a snapshot."""
        ...

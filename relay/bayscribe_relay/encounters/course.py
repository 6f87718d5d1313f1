"""The state machine of a stay: a fold over what moved it, in the order in which it happened.

Messages arrive late, twice and out of order; so the state is never stepped by a message.
Every movement is kept, and the stay is what the whole list says, sorted by when each
happened. A late message, a cancellation and a correction need no code of their own.

::

                 register, admit, transfer in, update in, tap
        (none) ───────────────────────────────────────────────▶ open ◀──┐ transfer, update,
                                                               │ │ │    │ admit, register:
          register, admit, tap      ┌──────────────────────────┘ │ └────┘ another bay
        ┌───────────────────────────┤ cancel admit               │
        ▼                           ▼ (none is left)             │ discharge, tap,
      open                      cancelled                        │ transfer or admit out
                                                                 ▼
      open ◀──────────────────────────────────────────────── closed
             cancel discharge, cancel transfer; register, admit,
             transfer in or tap at a later time

        any ── merge ──▶ merged (final; the survivor has its movements)
"""

from collections.abc import Iterable
from typing import Final, Literal, NamedTuple

from msgspec import Struct

from bayscribe_relay.clinical.stays import StayState

MovementKind = Literal[
    "register",
    "admit",
    "transfer",
    "update",
    "discharge",
    "cancel-admit",
    "cancel-transfer",
    "cancel-discharge",
    "tap-open",
    "tap-close",
]

_OPENING: Final = ("register", "admit", "transfer", "update", "tap-open")
_REOPENING: Final = ("register", "admit", "transfer", "tap-open")
_LEAVING: Final = ("discharge", "tap-close")
_CANCELS: Final[dict[str, tuple[str, ...]]] = {
    "cancel-admit": ("admit", "register"),
    "cancel-transfer": ("transfer",),
    "cancel-discharge": ("discharge",),
}
"""What a cancellation takes back; of several kinds the first that there is."""

EARLY_NS: Final = 7 * 86_400 * 10**9
"""An arrival (PV1-44) that is earlier than its message by more is taken for a typing error."""


class Movement(Struct, frozen=True, kw_only=True):
    """Something that moved a stay, or might have.

    Attributes:
        kind: what.
        at_ns: when it happened.
        n: order of receipt, for those of one instant.
        bay: where to, empty for no bay of ours; None when nothing is said of a place.
        inside: whether that place is in the department.
        arrived_ns: arrival as stated (PV1-44).
        source: ``A02``, ``tap`` ...
    """

    kind: MovementKind
    at_ns: int
    n: int
    bay: str | None = None
    inside: bool = True
    arrived_ns: int | None = None
    source: str = ""


class Presence(NamedTuple):
    """A patient in a bay, from an instant until (not including) another."""

    stay: str
    bay: str
    from_ns: int
    until_ns: int | None


class Course(NamedTuple):
    """What a list of movements comes to.

    Attributes:
        state: open, closed or cancelled.
        bay: where now.
        arrived_ns: start of the stay.
        closed_ns: its end.
        reason: the movement that made the state.
        presences: the bays, in order of time.
    """

    state: StayState
    bay: str
    arrived_ns: int
    closed_ns: int | None
    reason: str
    presences: tuple[Presence, ...]


def course(stay: str, movements: Iterable[Movement]) -> Course | None:
    """The stay that these movements describe; None if they never opened one."""
    every = sorted(movements, key=lambda m: (m.at_ns, m.kind in _CANCELS, m.n))
    kept, cancelled = _effective(every)
    walk = _Walk(stay)
    for movement in kept:
        walk.take(movement)
    if walk.state is not None:
        return walk.result(kept)
    taken_back = [m for m in cancelled if m.kind in ("register", "admit") and m.inside]
    if not taken_back:
        return None
    last = max(m.at_ns for m in every)
    start = min(_arrival(m) for m in taken_back)
    return Course("cancelled", "", start, max(last, start), "A11", ())


def _effective(movements: list[Movement]) -> tuple[list[Movement], list[Movement]]:
    """Movements that nobody took back, and those that somebody did."""
    kept: list[Movement] = []
    cancelled: list[Movement] = []
    for movement in movements:
        if movement.kind not in _CANCELS:
            kept.append(movement)
            continue
        for kind in _CANCELS[movement.kind]:
            found = [m for m in kept if m.kind == kind]
            if found:
                kept.remove(found[-1])
                cancelled.append(found[-1])
                break
    return kept, cancelled


def _arrival(movement: Movement) -> int:
    stated = movement.arrived_ns
    if stated is None or stated < movement.at_ns - EARLY_NS:
        return movement.at_ns
    return min(stated, movement.at_ns)


class _Walk:
    """The machine itself, walking forward in time."""

    def __init__(self, stay: str) -> None:
        self.state: Literal["open", "closed"] | None = None
        self._stay = stay
        self._bay = ""
        self._since = 0
        self._closed_ns: int | None = None
        self._reason = ""
        self._presences: list[Presence] = []

    def take(self, movement: Movement) -> None:
        if self.state == "open":
            self._while_open(movement)
        elif movement.inside and movement.kind in (
            _REOPENING if self.state == "closed" else _OPENING
        ):
            self.state, self._closed_ns, self._reason = "open", None, movement.source
            self._enter(movement.bay or "", movement.at_ns)

    def _while_open(self, movement: Movement) -> None:
        gone = not movement.inside and movement.kind in ("admit", "transfer")
        if movement.kind in _LEAVING or gone:
            self._leave(movement.at_ns)
            self.state, self._closed_ns = "closed", movement.at_ns
            self._reason = movement.source
        elif movement.inside and movement.bay is not None and movement.bay != self._bay:
            self._leave(movement.at_ns)
            self._enter(movement.bay, movement.at_ns)
            self._reason = movement.source

    def _enter(self, bay: str, at_ns: int) -> None:
        self._bay, self._since = bay, at_ns

    def _leave(self, at_ns: int) -> None:
        if self._bay and at_ns > self._since:
            self._presences.append(Presence(self._stay, self._bay, self._since, at_ns))
        self._bay = ""

    def result(self, kept: list[Movement]) -> Course:
        presences = list(self._presences)
        if self._bay:
            presences.append(Presence(self._stay, self._bay, self._since, None))
        start = min(_arrival(m) for m in kept if m.kind in _OPENING and m.inside)
        assert self.state is not None  # noqa: S101 - the caller has looked
        return Course(self.state, self._bay, start, self._closed_ns, self._reason, tuple(presences))

"""The states of a letter and the moves between them; drawn in ``docs/write-back.md``.

A letter is one signed note on its way. It is never deleted, and no move leads out of
``verified``.
"""

from enum import StrEnum
from typing import Final

from bayscribe.errors import IntegrityError


class State(StrEnum):
    """Where a letter is.

    Attributes:
        QUEUED: durable here, not yet known to the gateway.
        ACCEPTED: durable at the gateway, which writes it.
        PARKED: in the dead-letter queue, and tried again by itself.
        DEAD: in the dead-letter queue until an operator replays it; alerted.
        REJECTED: refused for good by the EMR or the gateway; alerted.
        VERIFIED: read back from the chart.
    """

    QUEUED = "queued"
    ACCEPTED = "accepted"
    PARKED = "parked"
    DEAD = "dead_letter"
    REJECTED = "rejected"
    VERIFIED = "verified"


class Event(StrEnum):
    """What may happen to a letter."""

    ACCEPT = "accepted"
    PARK = "parked"
    FORGET = "forgotten"
    COMMIT = "committed"
    GIVE_UP = "given-up"
    REFUSE = "refused"
    REPLAY = "replayed"


S, E = State, Event

MOVES: Final[dict[tuple[State, Event], State]] = {
    (S.QUEUED, E.ACCEPT): S.ACCEPTED,
    (S.QUEUED, E.PARK): S.PARKED,
    (S.QUEUED, E.COMMIT): S.VERIFIED,
    (S.QUEUED, E.GIVE_UP): S.DEAD,
    (S.QUEUED, E.REFUSE): S.REJECTED,
    (S.ACCEPTED, E.PARK): S.PARKED,
    (S.ACCEPTED, E.FORGET): S.QUEUED,
    (S.ACCEPTED, E.COMMIT): S.VERIFIED,
    (S.ACCEPTED, E.GIVE_UP): S.DEAD,
    (S.ACCEPTED, E.REFUSE): S.REJECTED,
    (S.PARKED, E.PARK): S.PARKED,
    (S.PARKED, E.FORGET): S.QUEUED,
    (S.PARKED, E.COMMIT): S.VERIFIED,
    (S.PARKED, E.GIVE_UP): S.DEAD,
    (S.PARKED, E.REFUSE): S.REJECTED,
    (S.PARKED, E.REPLAY): S.QUEUED,
    (S.DEAD, E.COMMIT): S.VERIFIED,
    (S.DEAD, E.REPLAY): S.QUEUED,
    (S.REJECTED, E.COMMIT): S.VERIFIED,
    (S.REJECTED, E.REPLAY): S.QUEUED,
}
"""Every move there is. A proof that a note is in the chart (``COMMIT``) is taken in any
state; an answer that comes late or twice moves nothing (:func:`after`)."""

OPEN: Final = (State.QUEUED, State.ACCEPTED, State.PARKED)
"""States in which the relay still has work to do by itself."""

DEAD_LETTER_QUEUE: Final = (State.PARKED, State.DEAD, State.REJECTED)
"""What an operator sees in ``letters list``."""


def after(state: State, event: Event) -> State | None:
    """The state after an event, or None when it is late and changes nothing."""
    return MOVES.get((state, event))


def require(state: State, event: Event) -> State:
    """The state after an event that must be possible.

    Raises:
        IntegrityError: ``letter-state`` when it is not.
    """
    found = after(state, event)
    if found is None:
        raise IntegrityError(f"a letter that is {state} cannot be {event}", code="letter-state")
    return found

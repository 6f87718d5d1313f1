"""The badge: where the note is, in a colour and in words. Green is what was read back."""

import time
from dataclasses import dataclass
from typing import Final, Literal

from bayscribe_relay.clinical.drafts import Draft
from bayscribe_relay.writeback.outbox import Letter
from bayscribe_relay.writeback.sender import PROMISE_S
from bayscribe_relay.writeback.states import State

Colour = Literal["grey", "blue", "amber", "red", "green"]


@dataclass(frozen=True, slots=True)
class Badge:
    """What the page shows of a note.

    Attributes:
        colour: green only for what was read back from the chart.
        title: in a few words.
        words: what is happening.
        what_to_do: for the reader; empty when there is nothing.
        since_ns: instant that the words speak of, or None.
    """

    colour: Colour
    title: str
    words: str
    what_to_do: str = ""
    since_ns: int | None = None


_AMBER: Final = {
    State.QUEUED: "Signed and stored here. It goes to the gateway next.",
    State.ACCEPTED: "The gateway has it and is writing it to the chart.",
    State.PARKED: "Not in the chart yet. It is tried again by itself.",
}
_WAIT: Final = "You may leave this page; nothing is lost. Do not sign again."


def badge(draft: Draft | None, letter: Letter | None, now_ns: int | None = None) -> Badge:
    """The badge of a stay's note.

    Args:
        draft: latest revision, if there is one.
        letter: of its signature, if it is signed.
        now_ns: the present.
    """
    if draft is None:
        return Badge("grey", "No note yet", "The draft appears once somebody has spoken.")
    if not draft.signed_key:
        return Badge("blue", "Draft", "Not signed.")
    return signed(letter, now_ns)


def signed(letter: Letter | None, now_ns: int | None = None) -> Badge:
    """The badge of what is signed, by its letter: a note, or an addendum to one."""
    if letter is None:
        return Badge(
            "red", "Signed, letter missing", "The note is signed, but its letter is not found.",
            "Tell operations now. Do not sign again.",
        )  # fmt: skip
    if letter.state is State.VERIFIED:
        return Badge(
            "green", "In the chart", "Read back from the chart and compared with what you signed.",
            since_ns=letter.settled_ns,
        )  # fmt: skip
    if letter.state in _AMBER:
        now = time.time_ns() if now_ns is None else now_ns
        words = _AMBER[letter.state]
        if letter.state is State.PARKED and letter.reason:
            words = f"{words} Last word: {letter.reason}"
        late = now - letter.received_ns > PROMISE_S * 1e9
        title = "On its way, later than promised" if late else "On its way"
        return Badge("amber", title, words, _WAIT, letter.received_ns)
    return _given_up(letter)


def _given_up(letter: Letter) -> Badge:
    told = "Operations has been told." if letter.alerted_ns else "Operations is being told."
    if letter.state is State.REJECTED:
        title, words = "Not in the chart: refused", f"The chart refused the note. {told}"
    else:
        title, words = "Not in the chart", f"Writing was given up after several tries. {told}"
    if letter.reason:
        words = f"{words} Reason: {letter.reason}"
    return Badge(
        "red", title, words,
        "Your signed note is kept. Do not sign again; call operations if it is urgent.",
        letter.settled_ns,
    )  # fmt: skip

"""Prompts and what became of them."""

from typing import Literal

from msgspec import Struct

PromptState = Literal["waiting", "shown", "answered", "dismissed", "unanswered", "withdrawn"]
BayOutcome = Literal["", "sent", "played", "suppressed", "failed"]


class PromptCard(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One recommendation to the clinician. Times are CLOCK_REALTIME in ns.

    Attributes:
        id: ``STAY-GAP``: one gap is prompted at most once in a stay.
        gap: the catalogue's id.
        title: the gap in a few words.
        text: what is shown and spoken.
        minute: minute of the stay at which it fired.
        fired_ns: wall clock of that.
        due_ns: the deadline that it is about, if there is one.
        state: ``waiting`` until somebody could see or hear it.
        shown_ns: when it first stood on a page or was played.
        settled_ns: when it was answered, dismissed, withdrawn, or the stay ended.
        answered_by: ``voice``, ``click``, ``record`` or empty.
        answer: utterance id, event id or the clinician's own words.
        bay: what the appliance said of it.
        explanation: why: rule, events and words, in lines.
        events: ids of the events that led to it.
    """

    id: str
    stay: str
    gap: str
    title: str = ""
    text: str
    minute: int
    fired_ns: int
    due_ns: int | None = None
    state: PromptState = "waiting"
    shown_ns: int | None = None
    settled_ns: int | None = None
    answered_by: str = ""
    answer: str = ""
    bay: BayOutcome = ""
    explanation: tuple[str, ...] = ()
    events: tuple[str, ...] = ()

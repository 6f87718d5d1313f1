"""Who is interrupted, and when: pure."""

import re
from collections.abc import Sequence
from typing import Final, Literal

from bayscribe_relay.clinical.prompts import PromptCard
from bayscribe_relay.clinical.speech import Utterance
from bayscribe_relay.prompts.config import PromptsConfig

_NS: Final = 10**9
_YES: Final = re.compile(
    r"(?:\b(?:yes|yeah|yep|noted|okay|ok|got it|thanks|thank you|will do|understood|"
    r"acknowledged|copy that|sure|on it|doing it now)\b ?)+"
)
_NO: Final = re.compile(
    r"(?:\b(?:no|nope|not now|dismiss(?: that| it)?|skip(?: that| it)?|ignore(?: that| it)?|"
    r"not applicable|no thanks|not indicated)\b ?)+"
)
_FILLER: Final = frozenset({"uh", "um", "please", "bayscribe", "scribe", "right", "oh"})


def release(cards: Sequence[PromptCard], now_ns: int, config: PromptsConfig) -> list[PromptCard]:
    """The waiting prompts that may be given now, most pressing first.

    Args:
        cards: all prompts of one stay.
        now_ns: wall clock.
        config: as the stay's clinician wants it.
    """
    given = sorted(card.shown_ns for card in cards if card.shown_ns is not None)
    waiting = sorted(
        (card for card in cards if card.state == "waiting"),
        key=lambda card: (card.due_ns if card.due_ns is not None else 2**63, card.fired_ns),
    )
    chosen = []
    for card in waiting:
        recent = [at for at in given if at > now_ns - config.within_s * _NS]
        apart = not given or now_ns - given[-1] >= config.apart_s * _NS
        if _urgent(card, now_ns, config) or (len(recent) < config.most and apart):
            chosen.append(card)
            given.append(now_ns)
    return chosen


def next_look(cards: Sequence[PromptCard], now_ns: int, config: PromptsConfig) -> int | None:
    """When :func:`release` should be asked again though nothing happens; None if never."""
    waiting = [card for card in cards if card.state == "waiting"]
    given = sorted(card.shown_ns for card in cards if card.shown_ns is not None)
    if not waiting:
        return None
    after = given[-1] + int(config.apart_s * _NS) if given else now_ns
    recent = [at for at in given if at > now_ns - config.within_s * _NS]
    if len(recent) >= config.most:
        after = max(after, recent[-config.most] + int(config.within_s * _NS) + 1)
    urgent = [card.due_ns - int(config.urgent_s * _NS) for card in waiting if card.due_ns]
    return max(now_ns, min([after, *urgent]))


def spoken_answer(
    utterance: Utterance, cards: Sequence[PromptCard], played: dict[str, int], config: PromptsConfig
) -> tuple[PromptCard, Literal["answered", "dismissed"]] | None:
    """Whether an utterance answers the prompt that was played last, and how.

    Only the primary clinician's short answer to a prompt that sounded in the bay a moment
    ago counts: "yes" in the course of a conversation answers nothing.

    Args:
        utterance: what was said.
        cards: prompts of the stay.
        played: when each prompt's playing ended, wall clock ns, by its id.
        config: as the stay's clinician wants it.
    """
    if not utterance.primary or utterance.withdrawn:
        return None
    said = _bare(utterance.text)
    if not said:
        return None
    heard = [card for card in cards if card.state == "shown" and card.id in played]
    if not heard:
        return None
    last = max(heard, key=lambda card: played[card.id])
    since = utterance.start_ns - played[last.id]
    if not 0 <= since <= config.answer_s * _NS:
        return None
    if _YES.fullmatch(said):
        return last, "answered"
    return (last, "dismissed") if _NO.fullmatch(said) else None


def _urgent(card: PromptCard, now_ns: int, config: PromptsConfig) -> bool:
    return card.due_ns is not None and card.due_ns - now_ns <= config.urgent_s * _NS


def _bare(text: str) -> str:
    words = re.findall(r"[a-z']+", text.lower())
    return " ".join(word for word in words if word not in _FILLER)

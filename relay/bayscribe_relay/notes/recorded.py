"""Whether each number and time of a model's sentence stands with the fact that it was charted of.

A sentence is cut at the names of the facts that it links to. In the stretch behind a name only
that fact's figures may stand, each with its unit and once, and each time behind the word that
says of what it is. What stands before any name must be true of all.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bayscribe_relay.clinical.events import ClinicalEvent
from bayscribe_relay.notes import wording

_NUMBER: Final = r"\d[\d,]*(?:\.\d+)?"
_FIGURE: Final = re.compile(rf"\d{{1,2}}:\d{{2}}(?!\d)|{_NUMBER}")
PIECE: Final = re.compile(rf"{_FIGURE.pattern}|[^\W\d_]+(?:'[^\W\d_]+)?")
"""A time, a number or a word."""

_WHEN: Final = {
    "collected": "collected", "to": "to", "until": "to", "at": "at", "resulted": "at",
    "given": "at", "ordered": "at", "recorded": "at",
}  # fmt: skip
"""Of what a time is, by the word before it."""
_BOLUS: Final = "med.crystalloid_bolus"
_WEIGHT: Final = "vital.weight_kg"


@dataclass(frozen=True, slots=True)
class Charted:
    """An event that a sentence links to, with the words and times that it gives.

    Attributes:
        words: everything that it says.
        times: when it was so, was collected or ended, by the word that such a time follows:
            ``at``, ``collected``, ``to``.
    """

    event: ClinicalEvent
    words: str
    times: Mapping[str, str]

    @property
    def name(self) -> str:
        """A pattern of what it is of."""
        event = self.event
        if event.concept == _BOLUS and not event.display:
            return r"crystalloid(?: bolus)?"
        return _phrase(event.display or wording.name(event))

    def phrases(self, arithmetic: Collection[float]) -> list[str]:
        """Patterns of its figures, each with what it counts."""
        event, found = self.event, []
        if isinstance(event.value, int | float):
            found.append(_phrase(wording.value(event)))
        elif event.value:
            found.append(_phrase(str(event.value)))
        if event.volume_ml:
            found.append(_phrase(f"{wording.number(event.volume_ml)} mL"))
        if event.xuln > 1:
            found.append(_phrase(f"{wording.number(event.xuln)} times"))
        if event.concept in (_BOLUS, _WEIGHT):
            for one in arithmetic:
                found += [
                    _phrase(f"{wording.number(one)} {unit}") for unit in ("mL/kg", "mL", "kg")
                ]
        return found


def belong(text: str, charted: Sequence[Charted], arithmetic: Collection[float]) -> bool:
    """Whether every number and time in a text is of the event that is named before it.

    Args:
        text: the sentence, without what it repeats of speech.
        charted: the events that it links to.
        arithmetic: what volume and weight of them give.
    """
    names = sorted({c.name for c in charted if c.name}, key=len, reverse=True)
    pattern = "|".join(f"(?:{name})" for name in names)
    found = list(re.finditer(pattern, text, re.IGNORECASE)) if names else []
    head = text[: found[0].start()] if found else text
    if _FIGURE.search(head) and not (
        charted and all(_all_of(head, c, arithmetic, first=True) for c in charted)
    ):
        return False
    ends = [*(m.start() for m in found), len(text)][1:]
    for match, end in zip(found, ends, strict=True):
        mine = [c for c in charted if re.fullmatch(c.name, match[0], re.IGNORECASE)]
        rest = text[match.end() : end]
        if not any(_all_of(rest, c, arithmetic, first=False) for c in mine):
            return False
    return True


def _all_of(text: str, one: Charted, arithmetic: Collection[float], *, first: bool) -> bool:
    """Whether all figures of a stretch are one event's; ``first`` if it begins the sentence."""
    for phrase in one.phrases(arithmetic):
        text = re.sub(phrase, " ", text, count=1, flags=re.IGNORECASE)
    row = PIECE.findall(text)
    for before, piece in zip(["", *row], row, strict=False):
        if not piece[0].isdecimal():
            continue
        kind = _WHEN.get(before.casefold(), "at" if first and not before else "")
        if ":" not in piece or one.times.get(kind) != piece.zfill(5):
            return False
    return True


def _phrase(text: str) -> str:
    """A pattern of words and figures, with any spaces and thousands written either way."""
    parts = []
    for part in re.findall(rf"{_NUMBER}|\s+|[^\d\s]+", text.strip()):
        if part[0].isdecimal():
            parts.append(part.replace(",", ",?").replace(".", r"\."))
        else:
            parts.append(r"\s*" if part.isspace() else re.escape(part))
    body = "".join(parts)
    return rf"(?<![\w.,:-]){body}(?![\w:³/]|[.,]\d)" if body else ""

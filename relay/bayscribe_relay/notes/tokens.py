"""What in a text states something: words, numbers, times of day, units, negations."""

import re
from typing import Final

TIME: Final = re.compile(r"(?<!\d)\d{1,2}:\d{2}(?!\d)")
NUMBER: Final = re.compile(r"(?<![\w.])[-+]?\d[\d,]*(?:\.\d+)?")
_WORD: Final = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")
_UNIT: Final = re.compile(
    r"(?<=\d)\s*(mL/kg|mL/h|mL|mg/dL|mg/kg|mg|mcg|µg/min|µg|ug|kg|lb|mmol/L|mm Hg|°C|°F|"
    r"/min|L/min|%)"
)
_NEGATIONS: Final = """
no not never none without denies deny denied negative nor cannot nothing neither
"""
NEGATIONS: Final = frozenset(_NEGATIONS.split())


def times(text: str) -> set[str]:
    """Times of day as they are written: ``09:40``."""
    return set(TIME.findall(text))


def numbers(text: str) -> set[float]:
    """Numbers by value; ``2,000`` is 2000. A time is two of them: take times out first."""
    return {value(n) for n in NUMBER.findall(text) if n.strip("+-,")}


def value(number: str) -> float:
    """A written number's value."""
    return float(number.replace(",", ""))


def units(text: str) -> set[str]:
    """Units that stand behind a number."""
    return set(_UNIT.findall(text))


def words(text: str) -> list[str]:
    """Words in their order, without case."""
    return [word.casefold() for word in _WORD.findall(text.replace("’", "'"))]


def negates(word: str) -> bool:
    """Whether a word turns round what stands beside it."""
    return word in NEGATIONS or word.endswith("n't")


def negated(text: str) -> set[str]:
    """The negations of a text."""
    return {word for word in words(text) if negates(word)}

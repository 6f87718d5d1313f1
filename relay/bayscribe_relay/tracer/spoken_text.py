"""Spoken words as tokens: contractions written out, numbers in words made numbers.

Clinicians say "thirty-eight four" for 38.4, "one twelve" for 112, "eight fifteen" for 8:15
(here 815, which only a time reads so) and "two and a half liters".
"""

import re
from collections.abc import Sequence
from typing import NamedTuple


class Token(NamedTuple):
    """A word, number or mark; ``sure`` if the recogniser was."""

    text: str
    sure: bool


_SMALL = """
zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
sixteen seventeen eighteen nineteen
"""
_UNITS = {word: value for value, word in enumerate(_SMALL.split())}
_TENS = {
    "twenty": 20,
    "thirty": 30,
    "forty": 40,
    "fifty": 50,
    "sixty": 60,
    "seventy": 70,
    "eighty": 80,
    "ninety": 90,
}
_CONTRACTIONS = (
    ("can't", "can not"),
    ("cannot", "can not"),
    ("won't", "will not"),
    ("ain't", "is not"),
    ("let's", "let us"),
)
_ENDINGS = (
    (re.compile(r"n't\b"), " not"),
    (re.compile(r"\b(it|he|she|that|there|what|who|this|here)'s\b"), r"\1 is"),
    (re.compile(r"'re\b"), " are"),
    (re.compile(r"'ve\b"), " have"),
    (re.compile(r"'ll\b"), " will"),
    (re.compile(r"\bi'm\b"), "i am"),
    (re.compile(r"'d\b"), " would"),
    (re.compile(r"'s\b|'"), ""),
)
_TOKEN = re.compile(r"-?\d+(?:[.:/]\d+)*|[a-z]+|[.,;?!]")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}\b)")
_HALVES = re.compile(r"\b([ap])\.\s?m\b\.?")
_INITIAL = re.compile(r"\b([b-hj-z])\.\s?(?=[a-z])")
_TITLES = re.compile(r"\b(dr|mr|mrs|ms|vs|st)\.")
_DASH = re.compile(r"(?<=[a-z0-9])-(?=[a-z0-9])")


def tokens(words: Sequence[tuple[str, bool]]) -> list[Token]:
    """The tokens of words, each with whether the recogniser was sure of it."""
    found: list[Token] = []
    for text, sure in words:
        found += [Token(part, sure) for part in _TOKEN.findall(_plain(text))]
    return _numbers(found)


def _plain(text: str) -> str:
    low = text.lower().replace("’", "'").replace("%", " percent ")
    low = _INITIAL.sub(r"\1 ", _HALVES.sub(r"\1m", low))
    low = _TITLES.sub(r"\1", low)
    for short, full in _CONTRACTIONS:
        low = low.replace(short, full)
    for ending, full in _ENDINGS:
        low = ending.sub(full, low)
    return _DASH.sub(" ", _THOUSANDS.sub("", low))


def _numbers(found: list[Token]) -> list[Token]:
    out: list[Token] = []
    at = 0
    while at < len(found):
        value, after = _number(found, at)
        if value is None:
            out.append(found[at])
            at += 1
            continue
        if out and out[-1].text == "minus":
            value = -value
            out.pop()
        sure = all(token.sure for token in found[at:after])
        out.append(Token(f"{value:g}" if value < 1e6 else str(value), sure))
        at = after
    return out


def _number(found: list[Token], at: int) -> tuple[float | None, int]:
    """The number that begins at a token, and where it ends."""
    words = [token.text for token in found[at : at + 12]]
    if words[:2] == ["half", "a"]:
        return 0.5, at + 2
    first, used = _simple(words)
    if first is None:
        return None, at
    value: float = first
    rest = words[used:]
    if rest[:1] == ["point"]:
        digits, more = _digits(rest[1:])
        if digits:
            return float(f"{first}.{digits}"), at + used + 1 + more
    if rest[:3] == ["and", "a", "half"]:
        return first + 0.5, at + used + 3
    second, more = _simple(rest[1:] if rest[:1] in (["oh"], ["o"]) else rest)
    if rest[:1] in (["oh"], ["o"]) and second is not None and second < 10:
        value, used = _beside(first * 100 + second, rest[1 + more :], used + 1 + more)
        return value, at + used
    if second is not None:
        joined = _joined(first, second)
        if joined is not None:
            value, used = joined, used + more
            if isinstance(joined, int):
                value, used = _beside(joined, words[used:], used)
    return value, at + used


def _beside(value: int, rest: list[str], used: int) -> tuple[float, int]:
    """A reading in Fahrenheit with its tenth: "one oh one five"."""
    tenth, more = _simple(rest[:1])
    if tenth is not None and tenth < 10 and 95 <= value <= 107:
        return value + tenth / 10, used + more
    return value, used


def _joined(first: int, second: int) -> float | None:
    """Two numbers said as one."""
    if 1 <= first <= 9 and 10 <= second <= 99:
        return first * 100 + second
    if 10 <= first <= 24 and 10 <= second <= 59:
        return first * 100 + second
    if (34 <= first <= 43 or 95 <= first <= 107) and second <= 9:
        return first + second / 10
    return None


def _digits(words: list[str]) -> tuple[str, int]:
    digits = ""
    used = 0
    for word in words:
        if word in _UNITS and _UNITS[word] < 10:
            digits += str(_UNITS[word])
        elif word == "oh":
            digits += "0"
        elif not digits and (found := _simple(words))[0] is not None:
            return str(found[0]), found[1]
        else:
            break
        used += 1
    return digits, used


def _simple(words: list[str]) -> tuple[int | None, int]:
    """A whole number said in the ordinary way."""
    if words[:2] == ["a", "hundred"]:
        value, used = 1, 1
    else:
        small, used = _below_hundred(words)
        if small is None:
            return None, 0
        value = small
    if words[used : used + 1] == ["hundred"]:
        used += 1
        value *= 100
        skip = 1 if words[used : used + 1] == ["and"] else 0
        more, length = _below_hundred(words[used + skip :])
        if more is not None:
            value, used = value + more, used + skip + length
    if words[used : used + 1] == ["thousand"]:
        value, used = value * 1000, used + 1
    return value, used


def _below_hundred(words: list[str]) -> tuple[int | None, int]:
    if not words:
        return None, 0
    if words[0] in _UNITS:
        return _UNITS[words[0]], 1
    if words[0] in _TENS:
        unit = _UNITS.get(words[1]) if len(words) > 1 else None
        if unit is not None and 1 <= unit <= 9:
            return _TENS[words[0]] + unit, 2
        return _TENS[words[0]], 1
    return None, 0

"""Prompt texts: the catalogue's templates filled with what the record says.

A template names values in braces. What stands in square brackets is left out when a value in
it is not known; everywhere else an unknown value has words of its own, so that a text always
reads as a sentence.
"""

import re

from bayscribe_relay.tracer.gap import Gap
from bayscribe_relay.tracer.placeholders import PLACEHOLDERS, UNKNOWN
from bayscribe_relay.tracer.record import Record

_OPTIONAL = re.compile(r"\[([^\]]*)\]")
_VALUE = re.compile(r"\{(\w+)\}")


def prompt_text(gap: Gap, record: Record, due: int | None) -> str:
    """The recommendation as shown and spoken."""

    def value(found: re.Match[str]) -> str:
        return _value(found[1], record, due) or UNKNOWN.get(found[1], "not charted")

    def optional(found: re.Match[str]) -> str:
        names = _VALUE.findall(found[1])
        known = all(_value(name, record, due) for name in names)
        return found[1] if known else ""

    text = _VALUE.sub(value, _OPTIONAL.sub(optional, gap.template)).strip()
    return text[:1].upper() + text[1:]


def names_in(template: str) -> set[str]:
    """The placeholders of a template."""
    return set(_VALUE.findall(template))


def _value(name: str, record: Record, due: int | None) -> str | None:
    return PLACEHOLDERS[name](record, due)

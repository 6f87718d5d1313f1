"""HL7 v2 in ER7 ("pipes"): a strict builder, and a parser that survives anything.

HL7 v2.5.1 chapter 2: delimiters (2.5.4), escape sequences (2.7).
"""

import re
from dataclasses import dataclass
from typing import Final

_ESCAPES: Final = {"|": "\\F\\", "^": "\\S\\", "&": "\\T\\", "~": "\\R\\", "\\": "\\E\\"}
_NAMED: Final = {"F": "|", "S": "^", "T": "&", "R": "~", "E": "\\", ".br": "\n"}
_SPECIAL: Final = re.compile(r"[|^&~\\\x00-\x1f\x7f]")
_ESCAPED: Final = re.compile(r"\\([^\\]*)\\")


def escape(text: str) -> str:
    """Text as one subcomponent; control characters become hexadecimal escapes."""
    return _SPECIAL.sub(lambda m: _ESCAPES.get(m[0]) or f"\\X{ord(m[0]):02X}\\", text)


def escape_text(text: str) -> str:
    r"""Text with line ends as ``\.br\``, for FT and TX fields."""
    return "\\.br\\".join(escape(line) for line in text.split("\n"))


def unescape(text: str) -> str:
    """The inverse of :func:`escape_text`; unknown sequences stay as they are."""

    def plain(match: re.Match[str]) -> str:
        code = match[1]
        if code in _NAMED:
            return _NAMED[code]
        if code.startswith("X"):
            try:
                return bytes.fromhex(code[1:]).decode("utf-8", "replace")
            except ValueError:
                return match[0]
        return match[0]

    return _ESCAPED.sub(plain, text)


def segment(name: str, *fields: str) -> str:
    """A segment of fields that are escaped already; empty ones at the end are left out."""
    return "|".join((name, *fields)).rstrip("|")


@dataclass(frozen=True)
class Message:
    """A message as segments of fields.

    Attributes:
        segments: name first; the fields of MSH count as the standard counts them.
    """

    segments: tuple[tuple[str, ...], ...]

    @classmethod
    def parse(cls, data: bytes) -> "Message | None":
        """Split a message; None if it is none (no MSH, or one too short to answer to)."""
        text = data.decode("utf-8", "replace").replace("\r\n", "\r").replace("\n", "\r")
        lines = [line for line in text.split("\r") if line]
        if not lines or not lines[0].startswith("MSH|"):
            return None
        return cls(tuple(tuple(line.split("|")) for line in lines))

    def field(self, name: str, number: int) -> str:
        """A field of the first such segment, still escaped; empty when absent."""
        for fields in self.segments:
            if fields[0] == name:
                place = number - 1 if name == "MSH" else number
                return fields[place] if place < len(fields) else ""
        return ""

    def component(self, name: str, number: int, part: int = 1) -> str:
        """A component of a field's first repetition, from 1, unescaped."""
        parts = self.field(name, number).split("~")[0].split("^")
        return unescape(parts[part - 1]) if part <= len(parts) else ""

    def all(self, name: str) -> list[tuple[str, ...]]:
        """Every segment of that name."""
        return [fields for fields in self.segments if fields[0] == name]

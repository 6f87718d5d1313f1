"""Reading HL7 v2 in ER7 ("pipes"), tolerant of what senders really send.

HL7 v2.5.1 chapter 2: delimiters (2.5.4), escape sequences (2.7). Fields are split when they
are asked for: most are never looked at.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

SEGMENT_NAME: Final = re.compile(r"[A-Z][A-Z0-9]{2}")
NULL: Final = '""'
"""A field that the sender says is empty, as against one of which it says nothing."""


class Malformed(ValueError):  # noqa: N818 - a fact about the message, answered to its sender
    """Not a message that can be answered to or read; the text says why."""


@dataclass(frozen=True, slots=True)
class Separators:
    """The delimiters of one message: MSH-1 and MSH-2."""

    field: str = "|"
    component: str = "^"
    repetition: str = "~"
    escape: str = "\\"
    subcomponent: str = "&"

    @classmethod
    def of(cls, header: str) -> "Separators":
        """From the text of an MSH (or BHS, FHS) segment.

        Raises:
            Malformed: they are missing, letters or digits, or not distinct.
        """
        if len(header) < 5:
            raise Malformed("the header segment is cut off")
        field = header[3]
        given = header[4:].split(field, 1)[0][:5]
        chars = [field, *(given[i] if i < len(given) else "^~\\&"[i] for i in range(4))]
        bad = [c for c in chars if c.isalnum() or c.isspace() or not c.isprintable()]
        if not given or bad or len(set(chars)) != len(chars):
            raise Malformed("MSH-1 and MSH-2 are not delimiters")
        return cls(*chars)

    def encoding(self) -> str:
        """MSH-2."""
        return self.component + self.repetition + self.escape + self.subcomponent


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment; field numbers are the standard's, from 1, in MSH as well."""

    name: str
    fields: tuple[str, ...]
    separators: Separators
    codec: str = "utf-8"

    def raw(self, number: int) -> str:
        """A field as it stands, empty when absent."""
        return self.fields[number] if 0 < number < len(self.fields) else ""

    def count(self, number: int) -> int:
        """How many repetitions a field has; 0 when it is absent."""
        raw = self.raw(number)
        return raw.count(self.separators.repetition) + 1 if raw else 0

    def get(self, number: int, component: int = 1, sub: int = 1, repetition: int = 0) -> str:
        """A subcomponent, unescaped and stripped; empty when absent or the HL7 null."""
        raw = self.raw(number)
        if not raw or raw == NULL:
            return ""
        s = self.separators
        parts: list[str] = raw.split(s.repetition)
        for index, separator in (
            (repetition, s.component),
            (component - 1, s.subcomponent),
            (sub - 1, ""),
        ):
            if index >= len(parts):
                return ""
            raw = parts[index]
            parts = raw.split(separator) if separator else []
        return "" if raw == NULL else self._plain(raw).strip()

    def text(self, number: int) -> str:
        """A whole field as text (TX, FT, ST): repetitions are lines."""
        raw = self.raw(number)
        if raw == NULL:
            return ""
        return "\n".join(self._plain(part) for part in raw.split(self.separators.repetition))

    def _plain(self, raw: str) -> str:
        if self.separators.escape in raw:
            raw = unescape(raw, self.separators, self.codec)
        return raw.replace("\0", "")  # says nothing, and PostgreSQL keeps none


@dataclass(frozen=True, slots=True)
class Message:
    """A message's segments in order."""

    segments: tuple[Segment, ...]
    separators: Separators

    @classmethod
    def parse(cls, text: str, codec: str = "utf-8") -> "Message":
        """Read a message.

        Raises:
            Malformed: it does not begin with a usable MSH.
        """
        lines = lines_of(text)
        if not lines or not lines[0].startswith("MSH"):
            raise Malformed("it does not begin with MSH")
        separators = Separators.of(lines[0])
        segments = []
        for line in lines:
            fields = line.split(separators.field)
            if fields[0] == "MSH":
                fields.insert(1, separators.field)
            segments.append(Segment(fields[0], tuple(fields), separators, codec))
        return cls(tuple(segments), separators)

    @property
    def header(self) -> Segment:
        """MSH."""
        return self.segments[0]

    def first(self, name: str) -> Segment | None:
        """The first segment of a name."""
        return next((s for s in self.segments if s.name == name), None)

    def all(self, *names: str) -> Iterator[Segment]:
        """Every segment of these names, in order."""
        return (s for s in self.segments if s.name in names)


def lines_of(text: str) -> list[str]:
    """A message's segments as text.

    CR ends a segment; where there is none, LF does. A line that begins with no segment name
    is the rest of the one before it: senders leave raw line ends in notes.
    """
    pieces = text.split("\r") if "\r" in text.strip("\r\n") else text.split("\n")
    lines: list[str] = []
    for piece in pieces:
        line = piece.strip("\n") if piece.startswith("\n") or piece.endswith("\n") else piece
        if not line.strip():
            continue
        if lines and not SEGMENT_NAME.match(line[:3]):
            lines[-1] += "\n" + line
        else:
            lines.append(line)
    return lines


_FORMATTING: Final = re.compile(r"\.(br|sp|fi|nf|in|ti|sk|ce)[+-]?\d*")


def unescape(raw: str, separators: Separators, codec: str = "utf-8") -> str:
    r"""Text without escape sequences; ones that are not known stay as they are.

    ``\.br\`` and ``\.sp\`` become line ends, other formatting and highlighting vanish.
    """
    s = separators
    named = {
        "F": s.field,
        "S": s.component,
        "T": s.subcomponent,
        "R": s.repetition,
        "E": s.escape,
        "P": "#",
        "H": "",
        "N": "",
    }
    parts = raw.split(s.escape)
    out = [parts[0]]
    at = 1
    while at < len(parts):
        code = parts[at]
        if at + 1 == len(parts):
            out.append(s.escape + code)
            break
        plain = named.get(code)
        if plain is None and code[:1] == "X":
            plain = _hexadecimal(code[1:], codec)
        if plain is None and (match := _FORMATTING.fullmatch(code)):
            plain = "\n" if match[1] in ("br", "sp", "ce") else ""
        if plain is None and code[:1] in ("C", "M") and _hexadecimal(code[1:], codec) is not None:
            plain = ""
        if plain is None:
            out.append(s.escape + code)
            at += 1
            continue
        out.append(plain + parts[at + 1])
        at += 2
    return "".join(out)


def _hexadecimal(digits: str, codec: str) -> str | None:
    try:
        return bytes.fromhex(digits).decode(codec, "replace") if digits else None
    except ValueError:
        return None


def escape(text: str, separators: Separators) -> str:
    """Text as one subcomponent of a message with these delimiters."""
    s = separators
    codes = {s.field: "F", s.component: "S", s.subcomponent: "T", s.repetition: "R", s.escape: "E"}
    return "".join(
        f"{s.escape}{codes[c]}{s.escape}"
        if c in codes
        else c
        if c >= " "
        else f"{s.escape}X{ord(c):02X}{s.escape}"
        for c in text
    )

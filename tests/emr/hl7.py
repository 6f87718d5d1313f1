"""Just enough HL7 v2 (ER7) for the EMR's document interface: read a message, write an ACK.

Chapters of HL7 v2.5.1: 2 (control), 5 (query), 9 (medical records: MDM, TXA).
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

START: Final = b"\x0b"
END: Final = b"\x1c\r"


class NotHl7(Exception):  # noqa: N818 - the judgement on a message, not a failure
    """A frame that is no HL7 v2 message."""


@dataclass(frozen=True)
class Message:
    """A message as segments of fields; ``MSH`` is numbered as the standard does."""

    text: str
    segments: tuple[tuple[str, ...], ...]

    @classmethod
    def parse(cls, text: str) -> "Message":
        """Split a message.

        Raises:
            NotHl7: no MSH, or an MSH without a control id.
        """
        lines = [line for line in text.replace("\n", "\r").split("\r") if line]
        if not lines or not lines[0].startswith("MSH|"):
            raise NotHl7("the message does not begin with MSH")
        segments = tuple(tuple(line.split("|")) for line in lines)
        if len(segments[0]) < 12 or not segments[0][9]:
            raise NotHl7("MSH is too short or names no control id")
        return cls(text, segments)

    def field(self, segment: str, number: int) -> str:
        """A field of the first segment of that name; empty when absent."""
        for fields in self.segments:
            if fields[0] == segment:
                place = number - 1 if segment == "MSH" else number
                return fields[place] if place < len(fields) else ""
        return ""

    def component(self, segment: str, number: int, part: int = 1) -> str:
        """A component of a field, from 1."""
        parts = self.field(segment, number).split("~")[0].split("^")
        return parts[part - 1] if part <= len(parts) else ""

    def all(self, segment: str) -> list[tuple[str, ...]]:
        """Every segment of that name."""
        return [fields for fields in self.segments if fields[0] == segment]


def acknowledgement(
    message: Message, code: str, text: str = "", *, control_id: str | None = None
) -> str:
    """An ACK: MSA-1 ``code``, MSA-2 the message's control id unless another is given."""
    answered = control_id if control_id is not None else message.field("MSH", 10)
    segments = [_header(message, f"ACK^{message.component('MSH', 9, 2)}^ACK")]
    segments.append(f"MSA|{code}|{answered}" + (f"|{text}" if text else ""))
    if code[-1] in "ER":
        segments.append(f"ERR|||207^{text or 'Application internal error'}^HL70357|E||||{text}")
    return "\r".join(segments) + "\r"


def query_response(message: Message, found: list[str]) -> str:
    """An RSP^K11 to a QBP^Q11, or a DOC^T12 to a QRY^T12, with the stored documents' segments."""
    documentary = message.component("MSH", 9, 1) == "QRY"
    segments = [_header(message, "DOC^T12^DOC_T12" if documentary else "RSP^K11^RSP_K11")]
    segments.append(f"MSA|AA|{message.field('MSH', 10)}")
    if documentary:
        segments.extend("|".join(fields) for fields in message.all("QRD"))
    else:
        status, tag = ("OK" if found else "NF"), message.field("QPD", 2)
        segments.append(f"QAK|{tag}|{status}|{message.field('QPD', 1)}|{len(found)}")
        segments.extend("|".join(fields) for fields in message.all("QPD"))
    for text in found:
        stored = Message.parse(text)
        kept = [f for f in stored.segments if f[0] in ("EVN", "PID", "PV1", "TXA", "OBX")]
        segments.extend("|".join(fields) for fields in kept)
    return "\r".join(segments) + "\r"


def _header(message: Message, kind: str) -> str:
    now = datetime.now(UTC).strftime("%Y%m%d%H%M%S+0000")
    sender = f"{message.field('MSH', 5)}|{message.field('MSH', 6)}"
    receiver = f"{message.field('MSH', 3)}|{message.field('MSH', 4)}"
    control = f"A{message.field('MSH', 10)}"[:40]
    version = message.field("MSH", 12)
    return f"MSH|^~\\&|{sender}|{receiver}|{now}||{kind}|{control}|P|{version}"

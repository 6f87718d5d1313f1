"""What a message says of itself: its header, read before anything else of it is understood."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from bayscribe_relay.emr_feed.inbox import Receipt, identity
from bayscribe_relay.hl7.charset import UnknownCharset, codec_of
from bayscribe_relay.hl7.er7 import Malformed, Segment, Separators

_VERSION: Final = re.compile(r"2\.[1-9](\.\d)?")
_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f]")
BATCH: Final = (b"FHS", b"BHS")


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a message is not taken.

    Attributes:
        code: HL7 table 0357.
        text: for a person; names fields, repeats only what the header said.
        field: number of the field of MSH, 0 for the whole message.
        reject: AR or CR (not for us, will never be taken) rather than AE or CE (an error).
    """

    code: int
    text: str
    field: int = 0
    reject: bool = False


@dataclass(frozen=True, slots=True)
class Envelope:
    """A message's bytes with its header.

    Attributes:
        data: the whole message.
        header: MSH; text is read as ISO 8859-1, which every header is a subset of.
        problem: why it is not taken, or None.
    """

    data: bytes
    header: Segment
    problem: Problem | None

    @property
    def type(self) -> str:
        """``ADT^A01``: MSH-9.1 and 9.2."""
        return _clean(f"{self.header.get(9, 1)}^{self.header.get(9, 2)}".rstrip("^"))

    @property
    def control_id(self) -> str:
        """MSH-10."""
        return _clean(self.header.get(10))

    @property
    def enhanced(self) -> bool:
        """Whether the sender asked for enhanced acknowledgement (MSH-15 or MSH-16)."""
        return bool(self.header.get(15) or self.header.get(16))

    def receipt(self, received_ns: int) -> Receipt:
        """As it goes into the inbox."""
        head = self.header
        sender = (_whole(head, 3), _whole(head, 4), self.control_id)
        cut = re.search(rb"[\r\n]", self.data)
        body = self.data[cut.end() :] if cut else b""
        return Receipt(
            source="hl7",
            type=self.type,
            control_id=self.control_id,
            stamp_key=identity("stamp", *sender, head.raw(7)),
            body_key=identity("body", *sender, body.strip()),
            received_ns=received_ns,
            body=self.data,
        )


def envelope(data: bytes, processing_ids: Collection[str]) -> Envelope:
    """Read a message's header.

    Raises:
        Malformed: there is none that could be answered to.
    """
    line = re.split(rb"[\r\n]", data, maxsplit=1)[0].decode("latin-1")
    if not line.startswith("MSH"):
        raise Malformed("it does not begin with MSH")
    separators = Separators.of(line)
    fields = line.split(separators.field)
    fields.insert(1, separators.field)
    header = Segment("MSH", tuple(fields), separators, "latin-1")
    return Envelope(data, header, _problem(header, processing_ids))


def messages_of(frame: bytes) -> tuple[list[bytes], list[bytes]]:
    """Cut a frame into messages: one, several, or a batch (FHS, BHS ... BTS, FTS).

    Returns:
        the messages, and the header lines of a batch.
    """
    frame = frame.removeprefix(b"\xef\xbb\xbf").strip(b"\r\n\x00 ")
    end = b"\r" if b"\r" in frame else b"\n"
    several = end + b"MSH" in frame or b"\r\nMSH" in frame
    if not frame.startswith(BATCH) and not several:
        return [frame], []
    found: list[list[bytes]] = []
    headers: list[bytes] = []
    for line in (piece.strip(b"\n") for piece in frame.split(end)):
        if line[:3] in BATCH:
            headers.append(line)
        elif line[:3] == b"MSH":
            found.append([line])
        elif line[:3] not in (b"BTS", b"FTS") and found:
            found[-1].append(line)
        elif line[:3] not in (b"BTS", b"FTS") and line:
            found.append([line])
    return [b"\r".join(lines) for lines in found], headers


def _problem(header: Segment, processing_ids: Collection[str]) -> Problem | None:
    version = header.get(12)
    if version and not _VERSION.fullmatch(version):
        return Problem(203, "MSH-12: this version of HL7 is not read here", 12, reject=True)
    try:
        codec_of(header.get(18))
    except UnknownCharset:
        return Problem(103, "MSH-18: this character set is not read here", 18, reject=True)
    if not header.get(9):
        return Problem(101, "MSH-9: the message type is missing", 9)
    if not header.get(10):
        return Problem(101, "MSH-10: the control id is missing", 10)
    if header.get(11) not in processing_ids:
        return Problem(202, "MSH-11: this processing id is not taken here", 11, reject=True)
    return None


def _whole(header: Segment, number: int) -> str:
    return header.raw(number).strip()


def _clean(text: str) -> str:
    return _UNPRINTABLE.sub("", text)

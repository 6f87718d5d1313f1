"""The two files of one buffered record, byte by byte.

``SEQ.record`` (SEQ: the record's number, 20 digits)::

    offset  size  what
    0       4     magic "BSR1"
    4       4     length H of the header, u32 little-endian
    8       4     length B of the body, u32 little-endian
    12      32    SHA-256 of the whole sealed payload (of nothing without one)
    44      64    the device's signature
    108     H     header, as hashed
    108+H   B     body: the sealed payload without its encapsulated key
    ...     32    SHA-256 of everything before

``SEQ.key``: the encapsulated key that belongs between the body's first 14 bytes and its
rest. Kept apart, because it is what is destroyed after acknowledgement: without it nobody
opens the body, not even with the relay's private key.
"""

import hashlib
import struct
from dataclasses import dataclass

from bayscribe.errors import IntegrityError
from bayscribe.wire.header import MAX_HEADER_BYTES
from bayscribe.wire.seal import ENCAPSULATED_BYTES, PREFIX_BYTES, parse_prefix

MAGIC = b"BSR1"
SUFFIX = ".record"
KEY_SUFFIX = ".key"
PART_SUFFIX = ".part"
NAME_DIGITS = 20

_FIXED = struct.Struct("<4sII32s64s")
_DIGEST_BYTES = 32
MAX_BODY_BYTES = 1 << 20
FIXED_BYTES = _FIXED.size
LARGEST_BYTES = FIXED_BYTES + MAX_HEADER_BYTES + MAX_BODY_BYTES + _DIGEST_BYTES


@dataclass(frozen=True, slots=True)
class BufferedRecord:
    """A record as it travels, read back from the buffer.

    Attributes:
        header: header bytes as hashed.
        signature: of the device.
        sealed: whole sealed payload, empty for a record without audio.
    """

    header: bytes
    signature: bytes
    sealed: bytes


@dataclass(frozen=True, slots=True)
class RecordFile:
    """A ``.record`` file, read and checked against its own digest."""

    header: bytes
    signature: bytes
    sealed_sha256: bytes
    body: bytes

    def join(self, key: bytes | None) -> BufferedRecord:
        """The record, with its encapsulated key put back.

        Raises:
            IntegrityError: ``key-missing`` or ``sealed`` if the key is not this record's.
        """
        if not self.body:
            return BufferedRecord(self.header, self.signature, b"")
        if key is None:
            raise IntegrityError("the record's encapsulated key is gone", code="key-missing")
        sealed = self.body[:PREFIX_BYTES] + key + self.body[PREFIX_BYTES:]
        if hashlib.sha256(sealed).digest() != self.sealed_sha256:
            raise IntegrityError("sealed payload was altered on the disk", code="sealed")
        return BufferedRecord(self.header, self.signature, sealed)


def stem(seq: int) -> str:
    """File name of a record without its suffix."""
    return f"{seq:0{NAME_DIGITS}d}"


def split(header: bytes, signature: bytes, sealed: bytes) -> tuple[bytes, bytes]:
    """The two files' contents: ``.record`` and ``.key`` (empty without audio).

    Raises:
        IntegrityError: ``sealed`` is not a sealed payload.
    """
    key, body = b"", b""
    if sealed:
        kem, _, _ = parse_prefix(sealed)
        end = PREFIX_BYTES + ENCAPSULATED_BYTES[kem]
        key, body = sealed[PREFIX_BYTES:end], sealed[:PREFIX_BYTES] + sealed[end:]
    fixed = _FIXED.pack(MAGIC, len(header), len(body), hashlib.sha256(sealed).digest(), signature)
    data = fixed + header + body
    return data + hashlib.sha256(data).digest(), key


def start_bytes(start: bytes) -> tuple[int, int]:
    """Lengths that the first :data:`FIXED_BYTES` of a file state: to the header's end, in all.

    Raises:
        IntegrityError: ``record-short`` or ``record-damaged``.
    """
    if len(start) < FIXED_BYTES:
        raise IntegrityError("record file is cut off", code="record-short")
    magic, header_bytes, body_bytes, _, _ = _FIXED.unpack_from(start)
    if magic != MAGIC or header_bytes > MAX_HEADER_BYTES or body_bytes > MAX_BODY_BYTES:
        raise IntegrityError("not a record file", code="record-damaged")
    header_end = FIXED_BYTES + header_bytes
    return header_end, header_end + body_bytes + _DIGEST_BYTES


def parse(data: bytes) -> RecordFile:
    """Read a ``.record`` file.

    Raises:
        IntegrityError: ``record-short`` if it is cut off, ``record-damaged`` otherwise.
    """
    header_end, length = start_bytes(data)
    if len(data) < length:
        raise IntegrityError("record file is cut off", code="record-short")
    content, digest = data[:-_DIGEST_BYTES], data[-_DIGEST_BYTES:]
    if len(data) != length or hashlib.sha256(content).digest() != digest:
        raise IntegrityError("record file is damaged", code="record-damaged")
    _, _, _, sealed_sha256, signature = _FIXED.unpack_from(data)
    header, body = content[FIXED_BYTES:header_end], content[header_end:]
    return RecordFile(header, signature, sealed_sha256, body)

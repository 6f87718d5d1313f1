"""The container: a ZIP archive of which exactly one byte sequence is right for given entries.

Entries are stored, not compressed, dated 1980-01-01 00:00 (the format's zero), with no extra
fields, no comments and no descriptors (APPNOTE.TXT 6.3, sections 4.3.7, 4.3.12, 4.3.16). Any
ZIP program opens it; but a package that was packed again, reordered, padded or appended to is
no longer the bytes that :func:`pack` makes of its entries, and :func:`unpack` says so.
"""

import struct
import zlib
from collections.abc import Mapping
from typing import Final

from bayscribe.errors import IntegrityError

MAX_BYTES: Final = 2**32 - 1
MAX_ENTRIES: Final = 2**16 - 1

_LOCAL: Final = struct.Struct("<4sHHHHHIIIHH")
_CENTRAL: Final = struct.Struct("<4sHHHHHHIIIHHHHHII")
_END: Final = struct.Struct("<4sHHHHIIH")
_LOCAL_MARK, _CENTRAL_MARK, _END_MARK = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
_VERSION, _UTF8, _STORED, _TIME, _DATE = 20, 0x0800, 0, 0, 0x0021
_UNIX: Final = 3 << 8
_ATTRIBUTES: Final = 0o100600 << 16


def pack(entries: Mapping[str, bytes]) -> bytes:
    """The archive of these entries, in their order.

    Raises:
        IntegrityError: ``size``: more than the format can hold (4 GiB, 65,535 entries).
    """
    if len(entries) > MAX_ENTRIES or sum(map(len, entries.values())) > MAX_BYTES - 2**24:
        raise IntegrityError(
            "the package would be larger than 4 GiB", "leave the audio out of it", code="size"
        )
    local, central, offset = [], [], 0
    for name, data in entries.items():
        raw, crc, size = name.encode(), zlib.crc32(data), len(data)
        shared = (_VERSION, _UTF8, _STORED, _TIME, _DATE, crc, size, size, len(raw), 0)
        local += [_LOCAL.pack(_LOCAL_MARK, *shared), raw, data]
        central += [
            _CENTRAL.pack(_CENTRAL_MARK, _UNIX | _VERSION, *shared, 0, 0, 0, _ATTRIBUTES, offset),
            raw,
        ]
        offset += _LOCAL.size + len(raw) + size
    directory = b"".join(central)
    count = len(entries)
    end = _END.pack(_END_MARK, 0, 0, count, count, len(directory), offset, 0)
    return b"".join([*local, directory, end])


def looks_like_package(data: bytes) -> bool:
    """Whether this could be an archive at all, be it a damaged one."""
    return data[:2] == b"PK" or _END_MARK in data[-_END.size :] or _CENTRAL_MARK in data


def unpack(data: bytes) -> dict[str, bytes]:
    """The entries, in order.

    Raises:
        IntegrityError: ``container`` if the bytes are not what :func:`pack` makes of them.
    """
    entries: dict[str, bytes] = {}
    at = 0
    while data[at : at + 4] == _LOCAL_MARK and at + _LOCAL.size <= len(data):
        fields = _LOCAL.unpack_from(data, at)
        size, length = fields[8], fields[9]
        start = at + _LOCAL.size + length
        try:
            name = data[at + _LOCAL.size : start].decode()
        except UnicodeDecodeError:
            raise _not_canonical("an entry's name is not text") from None
        if name in entries:
            raise _not_canonical("an entry stands there twice")
        if start + size > len(data):
            raise _not_canonical("it ends in the middle of an entry")
        entries[name] = data[start : start + size]
        at = start + size
    if not entries or pack(entries) != data:
        raise _not_canonical("its bytes are not those that were packed")
    return entries


def _not_canonical(what: str) -> IntegrityError:
    return IntegrityError(f"the container was altered: {what}", code="container")

"""What the buffer remembers of records that it no longer holds.

The ``state`` file is the acknowledged mark with the chain value there, the encounter that
was open at that point, and how much has been written. It is replaced atomically; losing
it would lose the chain, so it carries its own digest and is written before anything that
it stands for is removed.
"""

import hashlib
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from bayscribe.errors import IntegrityError
from bayscribe.wire.header import (
    EncounterClosed,
    EncounterOpened,
    Header,
    SegmentHeader,
)

_DIGEST_BYTES = 32


class OpenEncounter(Struct, frozen=True, forbid_unknown_fields=True):
    """An encounter without its closing record, with the totals so far."""

    encounter: str
    opened_seq: int
    segments: int = 0
    samples: int = 0
    gap_samples: int = 0


class VaultState(Struct, frozen=True, forbid_unknown_fields=True):
    """The ``state`` file.

    Attributes:
        device: whose buffer this is.
        seq: number up to which everything is acknowledged.
        chain: chain value there.
        encounter: what was open there.
        appended: newest record when this was written: what follows counts up to there.
        written_bytes: bytes written to the disk, in whole blocks, with the cost of flushes.
        flushes: how often the disk was made to flush.
        samples: samples of audio appended.
    """

    device: str
    seq: Annotated[int, Meta(ge=0)]
    chain: Annotated[bytes, Meta(min_length=32, max_length=32)]
    encounter: OpenEncounter | None = None
    appended: int = 0
    written_bytes: int = 0
    flushes: int = 0
    samples: int = 0
    v: Literal[1] = 1


def encode_state(state: VaultState) -> bytes:
    """The file's bytes: MessagePack, then SHA-256 of it."""
    data = msgspec.msgpack.encode(state)
    return data + hashlib.sha256(data).digest()


def decode_state(data: bytes) -> VaultState:
    """Read the file.

    Raises:
        IntegrityError: ``state-damaged``.
    """
    content, digest = data[:-_DIGEST_BYTES], data[-_DIGEST_BYTES:]
    if hashlib.sha256(content).digest() == digest:
        try:
            return msgspec.msgpack.decode(content, type=VaultState)
        except msgspec.MsgspecError:
            pass
    raise IntegrityError("the buffer's state file is damaged", code="state-damaged")


def after(encounter: OpenEncounter | None, header: Header) -> OpenEncounter | None:
    """The open encounter after one more record."""
    match header:
        case EncounterOpened():
            return OpenEncounter(header.encounter, header.seq)
        case EncounterClosed():
            return None
        case SegmentHeader() if encounter is not None:
            return OpenEncounter(
                encounter.encounter,
                encounter.opened_seq,
                encounter.segments + 1,
                encounter.samples + header.samples,
                encounter.gap_samples + sum(gap.samples for gap in header.gaps),
            )
        case _:
            return encounter

"""Headers of the records in a device's chain.

A device writes one sequence of records, across encounters and boots: an encounter
is opened, segments follow, it is closed. A header is encoded once, as a MessagePack
map in field order, and from then on travels, is hashed and is stored as those very
bytes; nobody re-encodes it.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from bayscribe.errors import IntegrityError

HEADER_VERSION = 1
HASH_BYTES = 32
MAX_HEADER_BYTES = 65_536

Hash = Annotated[bytes, Meta(min_length=HASH_BYTES, max_length=HASH_BYTES)]
Name = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9._:/-]+$")]
Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Codec = Literal["flac16", "raw16"]
ClockState = Literal["synchronised", "unsynchronised", "unknown"]


class GapMark(Struct, frozen=True, forbid_unknown_fields=True):
    """Samples that are missing: zeros stand in their place unless they precede the segment."""

    first: Count
    samples: Count
    reason: Annotated[str, Meta(max_length=32)]


class FaultMark(Struct, frozen=True, forbid_unknown_fields=True):
    """A microphone fault found (or gone) inside a segment."""

    at: Count
    code: Annotated[str, Meta(max_length=32)]
    channel: Annotated[int, Meta(ge=0, le=63)] | None
    cleared: bool
    detail: Annotated[str, Meta(max_length=120)] = ""


class SteeringMark(Struct, frozen=True, forbid_unknown_fields=True):
    """From sample ``at`` on the beam was made with these weights."""

    at: Count
    weights_sha256: Hash


class _Record(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    """What every record in the chain states.

    Attributes:
        v: version of this format.
        device: URI name in the device's certificate.
        boot: random id of this run of the device's system, 32 hex digits.
        seq: number of the record, from 1, without holes, over the device's whole life.
        encounter: opaque random id of the recording, 32 hex digits; never a chart number.
        previous: chain value of the record before (see :mod:`bayscribe.wire.chain`).
        monotonic_ns: CLOCK_MONOTONIC of its first sample or of the event.
        wall_ns: CLOCK_REALTIME of the same instant, as far as the device knows.
        clock: whether that clock was synchronised.
    """

    v: Literal[1] = 1
    device: Name
    boot: Annotated[str, Meta(pattern=r"^[0-9a-f]{32}$")]
    seq: Annotated[int, Meta(ge=1, le=2**63 - 1)]
    encounter: Annotated[str, Meta(pattern=r"^[0-9a-f]{32}$")]
    previous: Hash
    monotonic_ns: Count
    wall_ns: Count
    clock: ClockState


class SegmentHeader(_Record, frozen=True, kw_only=True, tag="segment"):
    """One sealed stretch of audio, at most ten seconds.

    Attributes:
        first_sample: index of the first sample on the array's clock.
        samples: length; gaps inside count, as zeros.
        sample_rate: Hz.
        codec: how the PCM is stored in the sealed payload.
        pcm_sha256: SHA-256 of the PCM as little-endian int16.
        weights_sha256: SHA-256 over the steering schedule (see ``steering_digest``).
        steering: weight sets in force, in order.
        gaps: missing samples inside and directly before the segment.
        faults: faults found or cleared.
        bay: where the device hangs.
        software: version of the daemon.
        models_sha256: digest over the manifest of the networks in use.
    """

    first_sample: Count
    samples: Annotated[int, Meta(ge=1, le=10 * 192_000)]
    sample_rate: Annotated[int, Meta(ge=8_000, le=192_000)]
    codec: Codec
    pcm_sha256: Hash
    weights_sha256: Hash
    steering: tuple[SteeringMark, ...] = ()
    gaps: tuple[GapMark, ...] = ()
    faults: tuple[FaultMark, ...] = ()
    bay: Name
    software: Name
    models_sha256: Hash


class EncounterOpened(_Record, frozen=True, kw_only=True, tag="opened"):
    """Recording began in this bay.

    ``reason`` is how: ``adt``, ``tap``, ``always`` or ``button``.
    """

    bay: Name
    reason: Annotated[str, Meta(max_length=32)]


class EncounterClosed(_Record, frozen=True, kw_only=True, tag="closed"):
    """Recording ended: the totals that the relay checks against what it holds.

    ``reason`` is how: ``adt``, ``tap``, ``button``, ``stop`` (orderly shutdown) or
    ``recovered`` (the record was written after an unclean stop).
    """

    reason: Annotated[str, Meta(max_length=32)]
    opened_seq: Annotated[int, Meta(ge=1)]
    segments: Count
    samples: Count
    gap_samples: Count


Header = SegmentHeader | EncounterOpened | EncounterClosed

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Header] = msgspec.msgpack.Decoder(Header)


def encode_header(header: Header) -> bytes:
    """The header's canonical bytes: encoded once, kept verbatim ever after."""
    return _encoder.encode(header)


def decode_header(data: bytes) -> Header:
    """Read a header.

    Raises:
        IntegrityError: too long, not MessagePack, or a field missing, unknown or out of range.
    """
    if len(data) > MAX_HEADER_BYTES:
        raise IntegrityError(f"record header of {len(data)} bytes", code="header-too-long")
    try:
        return _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise IntegrityError(f"record header unreadable: {error}", code="header") from None

"""What a sealed payload holds once the relay has opened it.

A MessagePack map: the PCM, the speaker turns emitted while the segment was open and
the weight sets first used in it. Turns say who spoke and when, so they are as
sensitive as the audio and travel sealed with it.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Literal

import msgspec
import soundfile
from msgspec import Meta, Struct

from bayscribe.errors import IntegrityError
from bayscribe.wire.header import Codec, Count, Hash, SegmentHeader

MAX_PCM_BYTES = 10 * 192_000 * 2


class TurnRecord(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One speaker turn; the fields are those of ``turns.jsonl`` in sample indices."""

    id: Count
    start: Count
    end: Count
    label: Annotated[str, Meta(min_length=1, max_length=64)]
    primary: bool
    confidence: Annotated[float, Meta(ge=0, le=1)]
    azimuth_deg: float | None
    emitted_at: Count
    revises: Count | None = None


class Payload(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Plain text of a sealed segment.

    Attributes:
        audio: the PCM in the header's codec.
        turns: turns emitted while the segment was open.
        weights: Q15 weight sets by SHA-256: mics and taps as u32 LE, then int16 LE (mics, taps).
    """

    v: Literal[1] = 1
    audio: bytes
    turns: tuple[TurnRecord, ...] = ()
    weights: dict[Hash, bytes] = {}


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Payload)


def encode_payload(payload: Payload) -> bytes:
    """The payload's bytes, ready to be sealed."""
    return _encoder.encode(payload)


def decode_payload(data: bytes) -> Payload:
    """Read an opened payload.

    Raises:
        IntegrityError: it is not one.
    """
    try:
        return _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise IntegrityError(f"payload unreadable: {error}", code="payload") from None


def encode_pcm(pcm: bytes, codec: Codec, sample_rate: int) -> bytes:
    """Little-endian int16 mono PCM in the codec's form."""
    if codec == "raw16":
        return pcm
    with (
        _memory_file(b"") as file,
        soundfile.SoundFile(
            file,
            "w",
            samplerate=sample_rate,
            channels=1,
            subtype="PCM_16",
            format="FLAC",
            closefd=False,
        ) as out,
    ):
        out.buffer_write(pcm, "int16")
        out.close()
        return os.pread(file, os.fstat(file).st_size, 0)


def decode_pcm(audio: bytes, header: SegmentHeader) -> bytes:
    """The PCM of a payload, checked against its header.

    Returns:
        little-endian int16 mono PCM.

    Raises:
        IntegrityError: it does not decode, or length or SHA-256 differ from the header's.
    """
    pcm = audio if header.codec == "raw16" else _decode_flac(audio, header.samples)
    if len(pcm) != 2 * header.samples:
        raise IntegrityError("audio is not as long as its header says", code="pcm-length")
    if hashlib.sha256(pcm).digest() != header.pcm_sha256:
        raise IntegrityError("audio does not match its hash", code="pcm-hash")
    return pcm


@contextmanager
def _memory_file(content: bytes) -> Iterator[int]:
    """A descriptor of a file in memory.

    libsndfile can also read through callbacks, but those are made of pages that are
    writable and executable at once, and the services' sandbox refuses such pages.
    """
    file = os.memfd_create("bayscribe-pcm", os.MFD_CLOEXEC)
    try:
        os.write(file, content)
        os.lseek(file, 0, os.SEEK_SET)
        yield file
    finally:
        os.close(file)


def _decode_flac(audio: bytes, samples: int) -> bytes:
    try:
        with _memory_file(audio) as file, soundfile.SoundFile(file, closefd=False) as source:
            if (source.format, source.subtype, source.channels) != ("FLAC", "PCM_16", 1):
                raise IntegrityError("audio is not 16-bit mono FLAC", code="pcm-format")
            if source.frames != samples:
                raise IntegrityError("audio is not as long as its header says", code="pcm-length")
            return bytes(source.buffer_read(samples, "int16"))
    except (soundfile.LibsndfileError, RuntimeError):
        raise IntegrityError("audio does not decode", code="pcm-format") from None

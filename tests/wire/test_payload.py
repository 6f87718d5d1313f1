import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bayscribe.errors import IntegrityError
from bayscribe.wire import chain
from bayscribe.wire.header import Codec, SegmentHeader
from bayscribe.wire.payload import (
    Payload,
    TurnRecord,
    decode_payload,
    decode_pcm,
    encode_payload,
    encode_pcm,
)

RATE = 16_000


def _header(pcm: bytes, codec: Codec) -> SegmentHeader:
    return SegmentHeader(
        device="bay-07",
        boot="ab" * 16,
        seq=2,
        encounter="cd" * 16,
        previous=bytes(32),
        monotonic_ns=1,
        wall_ns=2,
        clock="unknown",
        first_sample=0,
        samples=len(pcm) // 2,
        sample_rate=RATE,
        codec=codec,
        pcm_sha256=hashlib.sha256(pcm).digest(),
        weights_sha256=chain.steering_digest(()),
        bay="bay-07",
        software="test",
        models_sha256=bytes(32),
    )


@given(
    samples=st.lists(st.integers(-32768, 32767), min_size=1, max_size=400),
    codec=st.sampled_from(["flac16", "raw16"]),
)
def test_every_sample_comes_back_whatever_the_codec(samples: list[int], codec: Codec) -> None:
    pcm = np.array(samples, "<i2").tobytes()
    assert decode_pcm(encode_pcm(pcm, codec, RATE), _header(pcm, codec)) == pcm


def test_full_scale_steps_survive_flac() -> None:
    pcm = np.tile(np.array([32767, -32768], "<i2"), 80_000).tobytes()
    assert decode_pcm(encode_pcm(pcm, "flac16", RATE), _header(pcm, "flac16")) == pcm


@pytest.mark.parametrize("codec", ["flac16", "raw16"])
@pytest.mark.parametrize("change", [-1, 1])
def test_audio_of_another_length_than_the_header_says_is_refused(codec: Codec, change: int) -> None:
    pcm = np.arange(1000, dtype="<i2").tobytes()
    header = replace(_header(pcm, codec), samples=1000 + change)
    with pytest.raises(IntegrityError) as caught:
        decode_pcm(encode_pcm(pcm, codec, RATE), header)
    assert caught.value.code == "pcm-length"


@pytest.mark.parametrize("codec", ["flac16", "raw16"])
def test_other_audio_than_was_hashed_is_refused(codec: Codec) -> None:
    pcm = np.arange(1000, dtype="<i2").tobytes()
    other = np.arange(1, 1001, dtype="<i2").tobytes()
    with pytest.raises(IntegrityError) as caught:
        decode_pcm(encode_pcm(other, codec, RATE), _header(pcm, codec))
    assert caught.value.code == "pcm-hash"


@pytest.mark.parametrize("audio", [b"", b"fLaC", b"RIFF" + bytes(60), bytes(200)])
def test_what_is_no_flac_is_refused(audio: bytes) -> None:
    pcm = np.arange(100, dtype="<i2").tobytes()
    with pytest.raises(IntegrityError) as caught:
        decode_pcm(audio, _header(pcm, "flac16"))
    assert caught.value.code == "pcm-format"


def test_turns_and_weights_travel_with_the_audio_and_nothing_unknown_does() -> None:
    turn = TurnRecord(
        id=1,
        start=5,
        end=9,
        label="unknown-1",
        primary=False,
        confidence=0.5,
        azimuth_deg=None,
        emitted_at=10,
    )
    payload = Payload(audio=b"pcm", turns=(turn,), weights={bytes(32): b"w"})
    data = encode_payload(payload)
    assert decode_payload(data) == payload
    with pytest.raises(IntegrityError):
        decode_payload(data.replace(b"\xa5turns", b"\xa5tunes"))
    with pytest.raises(IntegrityError):
        decode_payload(encode_payload(replace(payload, turns=(replace(turn, confidence=1.5),))))

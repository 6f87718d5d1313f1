import hashlib

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from bayscribe.errors import BadUse, IntegrityError
from bayscribe.segments.sealer import ChainWriter, Moment, Origin
from bayscribe.stream import CutSegment, Gap, GapReason, Turn
from bayscribe.units import SampleIndex
from bayscribe.wire import chain
from bayscribe.wire.header import Codec, EncounterClosed, SegmentHeader, decode_header
from bayscribe.wire.payload import decode_payload, decode_pcm
from bayscribe.wire.seal import Aead, Kem, OpeningKey

KEY = ec.generate_private_key(ec.SECP256R1())
ORIGIN = Origin("bay-07", "ab" * 16, "bay-07", "test", bytes(32))


def _writer(relay: OpeningKey, codec: Codec = "flac16", aead: Aead | None = None) -> ChainWriter:
    head = (0, chain.genesis(ORIGIN.device))
    return ChainWriter(ORIGIN, KEY, relay.sealing_key(), head, codec=codec, aead=aead)


@pytest.mark.parametrize("codec", ["flac16", "raw16"])
@pytest.mark.parametrize("kem", list(Kem))
@pytest.mark.parametrize("aead", list(Aead))
def test_only_the_relay_opens_a_segment_and_gets_every_bit_of_it(
    codec: Codec, kem: Kem, aead: Aead
) -> None:
    relay = OpeningKey.generate(kem)
    pcm = np.random.default_rng(1).integers(-9000, 9000, 24_000).astype(np.int16)
    turn = Turn(1, SampleIndex(5), SampleIndex(9), "nurse", False, 0.9, 12.0, SampleIndex(20))
    writer = _writer(relay, codec, aead)
    writer.open_encounter("cd" * 16, "tap", Moment())
    record = writer.segment(CutSegment(SampleIndex(0), pcm, turns=(turn,)), Moment())
    header = decode_header(record.header)
    assert isinstance(header, SegmentHeader)
    payload = decode_payload(relay.open(record.sealed, record.header))
    assert decode_pcm(payload.audio, header) == pcm.astype("<i2").tobytes()
    assert header.pcm_sha256 == hashlib.sha256(pcm.astype("<i2").tobytes()).digest()
    assert [t.label for t in payload.turns] == ["nurse"]
    with pytest.raises(IntegrityError, match="another key"):
        OpeningKey.generate(kem).open(record.sealed, record.header)


def test_a_payload_opens_under_its_own_header_only() -> None:
    relay = OpeningKey.generate()
    writer = _writer(relay)
    writer.open_encounter("cd" * 16, "tap", Moment())
    segment = CutSegment(SampleIndex(0), np.zeros(400, np.int16))
    first, second = writer.segment(segment, Moment()), writer.segment(segment, Moment())
    with pytest.raises(IntegrityError, match="does not open"):
        relay.open(first.sealed, second.header)


def test_links_verify_from_genesis_and_each_carries_the_devices_signature() -> None:
    relay = OpeningKey.generate()
    writer = _writer(relay)
    records = [writer.open_encounter("cd" * 16, "tap", Moment())]
    for k in range(3):
        cut = CutSegment(SampleIndex(k * 400), np.full(400, k, np.int16))
        records.append(writer.segment(cut, Moment()))
    records.append(writer.close_encounter("stop", Moment()))
    value = chain.genesis("bay-07")
    for record in records:
        assert decode_header(record.header).previous == value
        value = chain.link(value, record.header)
        assert record.chain == value
        digest = chain.sealed_digest(record.sealed)
        chain.verify_signature(KEY.public_key(), value, digest, record.signature)
        with pytest.raises(IntegrityError):
            chain.verify_signature(KEY.public_key(), value, bytes(32), record.signature)


def test_the_closing_record_states_the_totals() -> None:
    writer = _writer(OpeningKey.generate())
    writer.open_encounter("cd" * 16, "tap", Moment())
    gap = Gap(SampleIndex(7), 11, GapReason.OVERRUN)
    for k in range(3):
        cut = CutSegment(SampleIndex(k * 400), np.zeros(400, np.int16), gaps=(gap,))
        writer.segment(cut, Moment())
    closed = decode_header(writer.close_encounter("stop", Moment()).header)
    assert isinstance(closed, EncounterClosed)
    totals = (closed.opened_seq, closed.segments, closed.samples, closed.gap_samples)
    assert totals == (1, 3, 1200, 33)


def test_nothing_is_recorded_outside_an_encounter() -> None:
    writer = _writer(OpeningKey.generate())
    with pytest.raises(BadUse, match="no encounter is open"):
        writer.segment(CutSegment(SampleIndex(0), np.zeros(4, np.int16)), Moment())

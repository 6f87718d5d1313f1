import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from bayscribe.wire import chain
from bayscribe.wire.header import SteeringMark, decode_header, encode_header
from bayscribe.wire.messages import Encounter, Segment
from bayscribe.wire.payload import Payload, encode_payload
from bayscribe.wire.seal import Aead, Kem, OpeningKey
from bayscribe_relay.ingest.verify import StreamVerifier
from bayscribe_relay.store.records import DeviceMark, StoredRecord
from faults.recorder import Record, Recorder, pcm_of

NAME = "bay-1"
KEY = ec.generate_private_key(ec.SECP256R1())
OPENING = OpeningKey.generate(Kem.X25519)
ENCOUNTER = "e" * 32


def recorder(key: ec.EllipticCurvePrivateKey = KEY, opening: OpeningKey = OPENING) -> Recorder:
    return Recorder(NAME, key, opening.sealing_key())


def message(record: Record) -> Segment | Encounter:
    if record.sealed:
        return Segment(header=record.header, signature=record.signature, sealed=record.sealed)
    return Encounter(header=record.header, signature=record.signature)


@dataclass
class Bench:
    """A verifier and what it has accepted."""

    verifier: StreamVerifier
    stored: list[StoredRecord]

    def offer(self, *records: Record) -> str:
        """The reason of the refusal, or "ok" / "duplicate"."""
        verdict = self.verifier.check([message(record) for record in records])
        if verdict.batch is not None:
            self.stored += verdict.batch.records
        if verdict.refusal is not None:
            return verdict.refusal.reason
        return "duplicate" if verdict.duplicates else "ok"


def bench(opening: Sequence[OpeningKey] = (OPENING,)) -> Bench:
    stored: list[StoredRecord] = []

    def chain_at(seq: int) -> bytes | None:
        return next((record.chain for record in stored if record.seq == seq), None)

    def known(encounter: str) -> bool:
        return any(r.encounter == encounter for r in stored)

    mark = DeviceMark(NAME, 0, chain.genesis(NAME))
    keys = {b"f" * 32: KEY.public_key()}
    return Bench(StreamVerifier(mark, [], keys, opening, chain_at, known), stored)


def edited(record: Record, **changes: object) -> Record:
    """A header that was changed after it had been signed."""
    header = msgspec.structs.replace(decode_header(record.header), **changes)
    return replace(record, header=encode_header(header))


def test_a_whole_recording_is_accepted_in_one_batch_or_one_by_one() -> None:
    records = recorder().recording(ENCOUNTER, 5)
    together, apart = bench(), bench()
    assert together.offer(*records) == "ok"
    assert {apart.offer(record) for record in records} == {"ok"}
    assert [r.chain for r in together.stored] == [r.chain for r in apart.stored]


def test_the_same_record_again_is_a_duplicate_not_an_alarm() -> None:
    first, second = recorder().recording(ENCOUNTER, 0)
    b = bench()
    assert b.offer(first, first) == "duplicate"
    assert b.offer(second, first, second) == "duplicate"
    assert [record.seq for record in b.stored] == [1, 2]


Attack = Callable[[Recorder, Record], Record]


def _other_audio(source: Recorder, record: Record) -> Record:
    """The device's own key on audio that does not match the header's hash."""
    sealed = source.sealing.seal(
        encode_payload(Payload(audio=pcm_of("other", 1, 160))), record.header, Aead.AES_256_GCM
    )
    return _signed_again(source, replace(record, sealed=sealed))


def _signed_again(source: Recorder, record: Record) -> Record:
    header = decode_header(record.header)
    value = chain.link(header.previous, record.header)
    signature = chain.sign(source.key, value, chain.sealed_digest(record.sealed))
    return replace(record, signature=signature)


ATTACKS: dict[str, tuple[Attack, str]] = {
    "signature-zeroed": (lambda _, r: replace(r, signature=bytes(64)), "signature"),
    "signature-bit": (
        lambda _, r: replace(r, signature=r.signature[:-1] + bytes([r.signature[-1] ^ 1])),
        "signature",
    ),
    "ciphertext-bit": (
        lambda _, r: replace(r, sealed=r.sealed[:-1] + bytes([r.sealed[-1] ^ 1])),
        "signature",
    ),
    "ciphertext-bit-by-the-device": (
        lambda s, r: _signed_again(s, replace(r, sealed=r.sealed[:-1] + bytes([r.sealed[-1] ^ 1]))),
        "sealed",
    ),
    "header-edited": (lambda _, r: edited(r, bay="bay-2"), "signature"),
    "header-edited-by-the-device": (
        lambda s, r: _signed_again(s, edited(r, bay="bay-2")),
        "sealed",
    ),
    "header-trailing-byte": (lambda _, r: replace(r, header=r.header + b"\0"), "header"),
    "other-device": (lambda _, r: edited(r, device="bay-2"), "identity"),
    "skipped-number": (lambda _, r: edited(r, seq=7), "gap"),
    "wrong-previous": (lambda _, r: edited(r, previous=b"x" * 32), "chain"),
    "other-audio": (_other_audio, "pcm-hash"),
    "other-encounter": (
        lambda s, r: _signed_again(s, _resealed(s, edited(r, encounter="f" * 32))),
        "encounter",
    ),
    "false-steering-digest": (
        lambda s, r: _signed_again(s, _resealed(s, edited(r, weights_sha256=b"w" * 32))),
        "steering",
    ),
    "steering-dropped": (
        lambda s, r: _signed_again(
            s, _resealed(s, edited(r, steering=(SteeringMark(0, b"w" * 32),)))
        ),
        "steering",
    ),
    "not-sealed": (lambda s, r: _signed_again(s, replace(r, sealed=b"BSL0" * 40)), "sealed"),
}


def _resealed(source: Recorder, record: Record) -> Record:
    sealed = source.sealing.seal(
        encode_payload(Payload(audio=pcm_of(NAME, 2, 160))), record.header, Aead.AES_256_GCM
    )
    return replace(record, sealed=sealed)


@pytest.mark.parametrize("name", ATTACKS)
def test_attack_is_refused_with_its_reason_and_the_true_record_still_taken(name: str) -> None:
    attack, reason = ATTACKS[name]
    source, b = recorder(), bench()
    assert b.offer(source.open(ENCOUNTER)) == "ok"
    true = source.segment()
    assert b.offer(attack(source, true)) == reason
    assert len(b.stored) == 1
    assert b.offer(true) == "ok"


def test_a_segment_without_its_audio_is_refused() -> None:
    source, b = recorder(), bench()
    b.offer(source.open(ENCOUNTER))
    assert b.offer(replace(source.segment(), sealed=b"")) == "kind"


def test_two_records_with_one_number_are_a_fork() -> None:
    source, b = recorder(), bench()
    b.offer(source.open(ENCOUNTER))
    twin = recorder()
    twin.open(ENCOUNTER)
    assert b.offer(source.segment(160)) == "ok"
    assert b.offer(twin.segment(320)) == "fork"


def test_an_old_number_with_anothers_signature_is_not_called_a_fork() -> None:
    source, b = recorder(), bench()
    b.offer(source.open(ENCOUNTER))
    stranger = recorder(ec.generate_private_key(ec.SECP256R1()))
    assert b.offer(stranger.open("f" * 32)) == "signature"


def test_a_removed_record_is_a_gap_and_swapped_ones_too() -> None:
    source, b = recorder(), bench()
    records = source.recording(ENCOUNTER, 4)
    assert b.offer(*records[:2], records[3], records[2]) == "gap"
    assert [record.seq for record in b.stored] == [1, 2]
    assert b.offer(*records[2:]) == "ok"


def test_false_closing_totals_are_refused() -> None:
    source, b = recorder(), bench()
    b.offer(source.open(ENCOUNTER), source.segment())
    source.segments += 1
    assert b.offer(source.close()) == "totals"


def test_an_encounter_is_opened_once_and_takes_nothing_after_its_close() -> None:
    source, b = recorder(), bench()
    b.offer(*source.recording(ENCOUNTER, 1))
    assert b.offer(source.segment()) == "encounter"
    again = recorder()
    again.recording(ENCOUNTER, 1)
    again.seq, again.value = b.verifier.mark.seq, b.verifier.mark.chain
    assert b.offer(again.open(ENCOUNTER)) == "encounter"


def test_audio_sealed_to_an_older_key_of_the_relay_opens() -> None:
    newer = OpeningKey.generate(Kem.MLKEM768_X25519)
    b = bench((newer, OPENING))
    assert b.offer(*recorder().recording(ENCOUNTER, 1)) == "ok"
    assert b.offer(*_continued(newer, b)) == "ok"


def _continued(opening: OpeningKey, b: Bench) -> list[Record]:
    source = recorder(opening=opening)
    source.seq, source.value = b.verifier.mark.seq, b.verifier.mark.chain
    return source.recording("d" * 32, 1)


def test_audio_sealed_to_a_key_that_the_relay_lacks_is_refused() -> None:
    b = bench((OpeningKey.generate(Kem.X25519),))
    source = recorder()
    b.offer(source.open(ENCOUNTER))
    assert b.offer(source.segment()) == "other-key"


@given(st.data())
def test_any_single_bit_changed_on_the_wire_is_refused(data: st.DataObject) -> None:
    source, b = recorder(), bench()
    b.offer(source.open(ENCOUNTER))
    true = source.segment(16)
    field = data.draw(st.sampled_from(["header", "signature", "sealed"]))
    value = bytearray(getattr(true, field))
    bit = data.draw(st.integers(0, 8 * len(value) - 1))
    value[bit // 8] ^= 1 << bit % 8
    assert b.offer(replace(true, **{field: bytes(value)})) not in ("ok", "duplicate")
    assert b.offer(true) == "ok"


@given(st.binary(max_size=400), st.binary(min_size=64, max_size=64), st.binary(max_size=400))
def test_noise_is_refused_without_a_crash(header: bytes, signature: bytes, sealed: bytes) -> None:
    b = bench()
    noise = Segment(header=header or b"x", signature=signature, sealed=sealed)
    verdict = b.verifier.check([noise])
    assert verdict.refusal is not None
    assert verdict.refusal.header_sha256 == hashlib.sha256(noise.header).digest()
    assert not any(
        part and len(part) > 8 and part.hex() in verdict.refusal.detail for part in (header, sealed)
    )

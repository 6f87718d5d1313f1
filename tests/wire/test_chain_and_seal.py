from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from bayscribe.errors import BadUse, IntegrityError
from bayscribe.wire import chain
from bayscribe.wire.header import SteeringMark
from bayscribe.wire.seal import (
    ENCAPSULATED_BYTES,
    PREFIX_BYTES,
    TAG_BYTES,
    Aead,
    Kem,
    OpeningKey,
    SealingKey,
    fastest_aead,
    parse_prefix,
)

KEY = ec.generate_private_key(ec.SECP256R1())
VALUE, DIGEST = bytes(range(32)), bytes(range(32, 64))


@given(at=st.integers(0, 127), bit=st.integers(0, 7))
def test_a_signature_covers_chain_and_ciphertext_bit_by_bit(at: int, bit: int) -> None:
    signed = bytearray(VALUE + DIGEST + chain.sign(KEY, VALUE, DIGEST))
    chain.verify_signature(KEY.public_key(), VALUE, DIGEST, bytes(signed[64:]))
    signed[at] ^= 1 << bit
    with pytest.raises(IntegrityError):
        chain.verify_signature(
            KEY.public_key(), bytes(signed[:32]), bytes(signed[32:64]), bytes(signed[64:])
        )


@pytest.mark.parametrize("signature", [b"", bytes(63), bytes(64), bytes(65), b"\xff" * 64])
def test_no_made_up_signature_verifies(signature: bytes) -> None:
    with pytest.raises(IntegrityError):
        chain.verify_signature(KEY.public_key(), VALUE, DIGEST, signature)


def test_another_units_signature_does_not_verify() -> None:
    stranger = ec.generate_private_key(ec.SECP256R1())
    with pytest.raises(IntegrityError):
        chain.verify_signature(KEY.public_key(), VALUE, DIGEST, chain.sign(stranger, VALUE, DIGEST))


def test_chains_of_two_units_have_nothing_in_common() -> None:
    assert chain.genesis("bay-07") != chain.genesis("bay-08")
    assert chain.link(chain.genesis("bay-07"), b"h") != chain.link(chain.genesis("bay-08"), b"h")


def test_the_order_and_place_of_steering_changes_count() -> None:
    first, second = SteeringMark(0, bytes(32)), SteeringMark(160, b"\x01" * 32)
    digests = {
        chain.steering_digest(marks)
        for marks in ((), (first,), (first, second), (second, first), (SteeringMark(1, bytes(32)),))
    }
    assert len(digests) == 5


def test_the_digest_over_networks_knows_names_but_no_order() -> None:
    one, other = {"vad": bytes(32), "speaker": b"\x01" * 32}, {"speaker": b"\x01" * 32}
    assert chain.models_digest(one) == chain.models_digest(other | {"vad": bytes(32)})
    assert chain.models_digest(one) != chain.models_digest(other)
    assert chain.models_digest(one) != chain.models_digest({"vad": b"\x01" * 32})


@pytest.mark.parametrize("kem", list(Kem))
@pytest.mark.parametrize("aead", list(Aead))
def test_a_sealed_payload_is_longer_by_the_stated_overhead(kem: Kem, aead: Aead) -> None:
    sealed = OpeningKey.generate(kem).sealing_key().seal(b"x" * 1000, b"header", aead)
    assert len(sealed) == PREFIX_BYTES + ENCAPSULATED_BYTES[kem] + 1000 + TAG_BYTES
    assert parse_prefix(sealed)[:2] == (kem, aead)


def test_sealing_twice_gives_nothing_in_common_but_the_prefix() -> None:
    key = OpeningKey.generate(Kem.X25519).sealing_key()
    one, two = (key.seal(b"voice", b"h", Aead.AES_256_GCM) for _ in range(2))
    assert one[:PREFIX_BYTES] == two[:PREFIX_BYTES]
    assert one[PREFIX_BYTES : PREFIX_BYTES + 32] != two[PREFIX_BYTES : PREFIX_BYTES + 32]


def test_a_payload_without_its_encapsulated_key_cannot_be_opened() -> None:
    relay = OpeningKey.generate()
    sealed = relay.sealing_key().seal(b"voice", b"h", Aead.CHACHA20_POLY1305)
    end = PREFIX_BYTES + ENCAPSULATED_BYTES[Kem.MLKEM768_X25519]
    with pytest.raises(IntegrityError):
        relay.open(sealed[:PREFIX_BYTES] + bytes(end - PREFIX_BYTES) + sealed[end:], b"h")


@pytest.mark.parametrize("length", [0, 4, 13, 14, 100])
def test_a_payload_cut_short_is_named_so(length: int) -> None:
    sealed = OpeningKey.generate().sealing_key().seal(b"voice", b"h", Aead.AES_256_GCM)
    with pytest.raises(IntegrityError):
        parse_prefix(sealed[:length])


@pytest.mark.parametrize(
    "text", ["", "bayscribe-seal-1 X25519", "bayscribe-seal-1 RSA 00", "bayscribe-seal-1 X25519 zz"]
)
def test_what_is_no_key_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(BadUse, match="key"):
        SealingKey.from_text(text)
    with pytest.raises(BadUse, match="bytes"):
        SealingKey.from_text("bayscribe-seal-1 X25519 00ff")


@pytest.mark.parametrize(
    ("cpuinfo", "expected"),
    [
        ("processor : 0\nflags : fpu aes avx2\n", Aead.AES_256_GCM),
        ("processor : 0\nFeatures : fp asimd evtstrm crc32\n", Aead.CHACHA20_POLY1305),
        ("processor : 0\nFeatures : fp asimd aes pmull\n", Aead.AES_256_GCM),
        ("", Aead.CHACHA20_POLY1305),
    ],
)
def test_the_cipher_is_what_the_cpu_does_in_hardware(
    tmp_path: Path, cpuinfo: str, expected: Aead
) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text(cpuinfo)
    assert fastest_aead(file) is expected
    assert fastest_aead(tmp_path / "absent") is Aead.CHACHA20_POLY1305

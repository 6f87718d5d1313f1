import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayscribe.errors import BadUse, IntegrityError, LinkError
from bayscribe.wire import chain
from bayscribe.wire.header import EncounterOpened, decode_header, encode_header
from bayscribe.wire.messages import (
    Ack,
    Hello,
    Refuse,
    decode_from_device,
    decode_from_relay,
    encode,
)
from bayscribe.wire.payload import decode_payload
from bayscribe.wire.seal import Aead, Kem, OpeningKey, SealingKey, parse_prefix

OPENED = EncounterOpened(
    device="bay-07",
    boot="ab" * 16,
    seq=1,
    encounter="cd" * 16,
    previous=chain.genesis("bay-07"),
    monotonic_ns=1,
    wall_ns=2,
    clock="synchronised",
    bay="bay-07",
    reason="tap",
)

GENESIS = "cff52d0b7cf10b14"
FIRST_LINK = "db16645ce2574a8f"


def test_known_values_of_the_chain_never_change() -> None:
    start = chain.genesis("bay-07")
    assert start.hex()[:16] == GENESIS
    assert chain.link(start, encode_header(OPENED)).hex()[:16] == FIRST_LINK


@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_refused_in_the_products_own_words(data: bytes) -> None:
    for read, refusal in (
        (decode_header, IntegrityError),
        (decode_payload, IntegrityError),
        (parse_prefix, IntegrityError),
        (decode_from_device, LinkError),
        (decode_from_relay, LinkError),
    ):
        with contextlib.suppress(refusal):
            read(data)


@given(at=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_any_changed_bit_of_a_header_changes_the_chain(at: int, bit: int) -> None:
    data = bytearray(encode_header(OPENED))
    data[at % len(data)] ^= 1 << bit
    start = chain.genesis("bay-07")
    assert chain.link(start, bytes(data)) != chain.link(start, encode_header(OPENED))


@given(at=st.integers(0, 10**6), bit=st.integers(0, 7), kem=st.sampled_from(Kem))
def test_any_changed_bit_of_a_sealed_payload_is_found(at: int, bit: int, kem: Kem) -> None:
    relay = OpeningKey.generate(kem)
    sealed = bytearray(relay.sealing_key().seal(b"voice", b"header", Aead.CHACHA20_POLY1305))
    assert relay.open(bytes(sealed), b"header") == b"voice"
    sealed[at % len(sealed)] ^= 1 << bit
    with pytest.raises(IntegrityError):
        relay.open(bytes(sealed), b"header")


@pytest.mark.parametrize("kem", list(Kem))
def test_keys_survive_their_text_form_and_the_secret_stays_out_of_repr(kem: Kem) -> None:
    key = OpeningKey.generate(kem)
    assert OpeningKey.from_text(key.to_text()) == key
    public = key.sealing_key()
    assert SealingKey.from_text(public.to_text()) == public
    assert key.seed.hex()[:16] not in repr(key)
    with pytest.raises(BadUse, match="not a bayscribe-seal-1 key"):
        SealingKey.from_text(key.to_text())


def test_messages_survive_the_wire_and_unknown_types_are_passed_over() -> None:
    hello = Hello(device="bay-07", boot="ab" * 16, software="1", models={}, oldest=1, newest=9)
    assert decode_from_device(encode(hello)) == hello
    assert decode_from_relay(encode(Ack(through=4))) == Ack(through=4)
    assert decode_from_device(encode(Refuse(seq=1, reason="fork"))) is None
    with pytest.raises(LinkError, match="text message"):
        decode_from_device("hello")


def test_a_header_with_an_unknown_field_is_refused() -> None:
    data = encode_header(OPENED).replace(b"\xa6reason", b"\xa6raison")
    with pytest.raises(IntegrityError, match="unreadable"):
        decode_header(data)

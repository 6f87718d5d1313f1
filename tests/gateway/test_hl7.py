"""ER7, MLLP frames and MDM messages: round trips, any chunking, any garbage."""

import hashlib
from typing import Any

import pytest
from hl7types.hl7.v2_5_1.messages.MDM_T02 import MDM_T02
from hypothesis import given
from hypothesis import strategies as st

from bayscribe_relay.gateway.config import Interface
from bayscribe_relay.gateway.document import read_document
from bayscribe_relay.gateway.mdm.er7 import Message, escape, escape_text, unescape
from bayscribe_relay.gateway.mdm.message import (
    acknowledgement,
    control_id,
    make_mdm,
    make_query,
    stored_content,
)
from bayscribe_relay.hl7.framing import END, START, Framer
from bayscribe_relay.writeback.bundle import make_bundle
from bayscribe_relay.writeback.note import read_note
from writeback.rig import NPI, TEXT, a_note, encoded


@given(st.text())
def test_text_survives_escaping(text: str) -> None:
    whole = escape_text(text)
    assert unescape(whole) == text
    assert not set(whole) & set("|^&~\r\n\x0b\x1c")
    assert "\n" not in escape(text)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_message_or_none(data: bytes) -> None:
    for found in (Message.parse(data), Message.parse(b"MSH|^~\\&|" + data)):
        if found is not None:
            acknowledgement(found)
            stored_content(found, "key")
            found.component("MSA", 2, 7)


@given(st.lists(st.binary(max_size=40), max_size=6), st.data())
def test_frames_are_the_same_for_any_chunking(parts: list[bytes], data: st.DataObject) -> None:
    bodies = [part.replace(START, b"").replace(b"\x1c", b"") for part in parts]
    stream = b"".join(b"noise" + START + body + END for body in bodies)
    framer, found, place = Framer(), [], 0
    while place < len(stream):
        step = data.draw(st.integers(1, 50))
        found += framer.push(stream[place : place + step])
        place += step
    assert found == bodies


@given(st.binary(max_size=500), st.integers(1, 60))
def test_any_stream_is_framed_or_refused_within_bounds(stream: bytes, step: int) -> None:
    framer = Framer(most=100)
    try:
        for place in range(0, len(stream), step):
            for frame in framer.push(stream[place : place + step]):
                assert len(frame) <= 100
    except ValueError:
        assert len(stream) > 100


def a_message(content: str = TEXT, **interface: Any) -> tuple[str, bytes]:  # noqa: ANN401 - of Interface
    media = interface.pop("media", "text/plain")
    note = a_note(content=content)
    note["note"]["media_type"] = media
    taken = read_note(encoded(note))
    key = str(taken.idempotency_key)
    digest = hashlib.sha256(content.encode()).hexdigest()
    return key, make_mdm(read_document(key, make_bundle(taken), digest), Interface(**interface))


@pytest.mark.parametrize("text_type", ["FT", "TX", "ED"])
def test_the_message_carries_the_note_and_all_of_its_provenance(text_type: str) -> None:
    key, raw = a_message(text_type=text_type)
    message = Message.parse(raw)
    assert message is not None
    assert message.field("MSH", 9) == "MDM^T02^MDM_T02"
    assert len(message.field("MSH", 10)) == 20
    assert message.component("TXA", 12) == key
    assert message.component("PID", 3) == "M1"
    assert message.field("PID", 5) == "Doe^Jane"
    assert message.component("PV1", 19) == "V1"
    assert message.component("TXA", 5) == NPI
    assert stored_content(message, key) == TEXT.encode()
    said = unescape(raw.decode())
    for value in ("a" * 64, "b" * 64, "c" * 64, "hpi-1", "modified", "answered", "sep1-lactate"):
        assert value in said


@pytest.mark.parametrize("media", ["text/plain", "application/cda+xml"])
def test_an_independent_library_reads_the_message(media: str) -> None:
    content = "<ClinicalDocument/>" if media != "text/plain" else TEXT
    key, raw = a_message(content, media=media)
    parsed = MDM_T02.model_validate_er7(raw.decode())  # checks required fields and types
    assert key in parsed.model_dump_er7()


@given(st.text(min_size=1, max_size=200).filter(lambda text: "\x00" not in text))
def test_any_note_comes_back_byte_for_byte(text: str) -> None:
    try:
        encoded_text = text.encode()
    except UnicodeEncodeError:
        return
    key, raw = a_message(text)
    message = Message.parse(raw)
    assert message is not None
    assert stored_content(message, key) == encoded_text


def test_a_retry_is_the_same_message_under_the_same_control_id() -> None:
    key = "01890000-0000-7000-8000-000000000001"
    taken = read_note(encoded(a_note(idempotency_key=key)))
    digest = hashlib.sha256(TEXT.encode()).hexdigest()
    document = read_document(key, make_bundle(taken), digest)
    interface = Interface()
    assert make_mdm(document, interface) == make_mdm(document, interface)
    assert control_id(key, interface) != control_id(key[:-1] + "2", interface)
    assert control_id(key, Interface(control_id="key")) == key
    for kind in ("qbp", "qry"):
        query, control = make_query(document, interface, kind)
        assert key.encode() in query
        assert control.encode() in query


def test_a_nack_is_told_in_words() -> None:
    header = b"MSH|^~\\&|A|B|C|D|20260101||ACK|1|P|2.5.1\r"
    message = Message.parse(header + b"MSA|AE|X|Bad \\T\\ worse\rERR|||207|E||||Disk\rx")
    assert message is not None
    assert acknowledgement(message) == ("AE", "Bad & worse; Disk")

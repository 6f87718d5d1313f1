"""HL7 v2 text as senders write it: delimiters, escapes, character sets, timestamps."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayscribe_relay.hl7.charset import UnknownCharset, decode
from bayscribe_relay.hl7.er7 import Malformed, Message, Separators, escape, unescape
from bayscribe_relay.hl7.framing import END, START, Framer
from bayscribe_relay.hl7.times import instant, offset_of, stamp

NEW_YORK = ZoneInfo("America/New_York")
HEAD = "MSH|^~\\&|A|B|||20261123||ORU^R01|1|P|2.3"


@given(st.text(st.characters(codec="utf-8")), st.sampled_from(["|^~\\&", "#*%!$", "|@~\\^"]))
def test_escaped_text_comes_back_whole(text: str, chars: str) -> None:
    separators = Separators(*chars)
    assert unescape(escape(text, separators), separators) == text


@given(st.text())
def test_unescaping_never_fails(text: str) -> None:
    assert isinstance(unescape(text, Separators()), str)


@given(st.text(st.characters(codec="utf-8"), max_size=200))
def test_reading_anything_gives_a_message_or_a_reason(text: str) -> None:
    for candidate in (text, "MSH" + text, "MSH|^~\\&|" + text, HEAD + "\r" + text):
        try:
            message = Message.parse(candidate)
        except Malformed:
            continue
        for segment in message.segments:
            for number in range(len(segment.fields) + 2):
                segment.text(number)
                for repetition in range(segment.count(number) + 1):
                    segment.get(number, 2, 2, repetition)


@given(st.lists(st.binary(max_size=30)), st.lists(st.integers(1, 9)))
def test_frames_do_not_depend_on_how_the_stream_is_cut(
    bodies: list[bytes], cuts: list[int]
) -> None:
    wanted = [b.replace(b"\x0b", b"").replace(b"\x1c", b"") for b in bodies]
    stream = b"".join(START + body + END for body in wanted)
    framer, found, at = Framer(), [], 0
    for size in [*cuts, len(stream) + 1]:
        found += framer.push(stream[at : at + size])
        at += size
    assert found == wanted


def test_a_frame_that_its_sender_gave_up_is_not_glued_to_the_next() -> None:
    framer = Framer()
    assert framer.push(START + b"MSH|half" + START + b"MSH|whole" + END) == [b"MSH|whole"]
    assert framer.strayed > 0


def test_fields_components_repetitions_and_nulls() -> None:
    message = Message.parse(HEAD + '\rPID|1||1^^^GH&1.2&ISO^MR~2^^^X^SS||""|x\\T\\y\\F\\z\r')
    pid = message.first("PID")
    assert pid is not None
    assert pid.get(3, 4, 2) == "1.2"
    assert [pid.get(3, 1, 1, n) for n in range(3)] == ["1", "2", ""]
    assert pid.get(5) == ""
    assert pid.get(6) == "x&y|z"
    assert message.header.get(9, 2) == "R01"
    assert message.header.get(12) == "2.3"


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"])
def test_segments_end_as_the_sender_ends_them(end: str) -> None:
    message = Message.parse(end.join([HEAD, "PID|1", "OBX|1|TX|a||one"]) + end)
    assert [s.name for s in message.segments] == ["MSH", "PID", "OBX"]


def test_a_raw_line_end_inside_a_note_stays_in_its_note() -> None:
    message = Message.parse(HEAD + "\rOBX|1|TX|a||first\nsecond line\r\nthird\rOBX|2|NM|b||4")
    first, second = message.all("OBX")
    assert first.text(5).split("\n") == ["first", "second line", "third"]
    assert second.get(5) == "4"


def test_formatting_and_hexadecimal_escapes() -> None:
    assert unescape(r"a\.br\b\H\c\N\ \X41C3A9\ \Zq\ \.sp2\d", Separators()) == "a\nbc Aé \\Zq\\ \nd"


@pytest.mark.parametrize(
    ("declared", "data", "text"),
    [
        ("ASCII", b"Jones", "Jones"),
        ("8859/1", "Müller".encode("latin-1"), "Müller"),
        ("UNICODE UTF-8", "Łódź 東".encode(), "Łódź 東"),
        ("", "Müller".encode(), "Müller"),
        ("", "Müller".encode("latin-1"), "Müller"),
    ],
)
def test_text_is_read_in_the_character_set_of_its_message(
    declared: str, data: bytes, text: str
) -> None:
    assert decode(data, declared, "iso8859-1") == (text, True)


def test_a_character_set_that_is_not_known_is_said_to_be() -> None:
    with pytest.raises(UnknownCharset):
        decode(b"x", "KLINGON", "ascii")
    assert decode(b"a\xffb", "UTF-8", "ascii") == ("a�b", False)


def test_a_timestamp_is_of_its_own_zone_else_of_the_one_given() -> None:
    utc = int(datetime(2026, 11, 23, 14, 30, tzinfo=UTC).timestamp()) * 10**9
    for text in ("20261123093000-0500", "202611230930", "20261123143000+0000", "20261123143000Z"):
        found = instant(text, NEW_YORK)
        assert found is not None
        assert found.ns == utc
        assert found.of_clock
    summer = instant("202607010930", NEW_YORK)
    assert summer is not None
    assert summer.ns == int(datetime(2026, 7, 1, 13, 30, tzinfo=UTC).timestamp()) * 10**9
    assert offset_of("20261123093000+0530") is not None


def test_a_date_without_a_time_says_so() -> None:
    found = instant("20261123", NEW_YORK)
    assert found is not None
    assert found.precision == "day"
    assert not found.of_clock


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026",
        "99999999",
        "99990101120000",
        "00010101120000",
        "20261332",
        "20261123256100",
        "now",
        "2026-11-23",
        "0000",
    ],
)
def test_what_is_no_time_is_none_or_coarse(text: str) -> None:
    found = instant(text, NEW_YORK)
    assert found is None or not found.of_clock


@given(st.integers(10**18, 4 * 10**18))
def test_stamps_read_back(ns: int) -> None:
    found = instant(stamp(ns), NEW_YORK)
    assert found is not None
    assert found.ns == ns // 10**6 * 10**6


def test_a_nul_is_no_part_of_a_value() -> None:
    message = Message.parse(HEAD + "\rPID|1||M\x001^^^^MR||Do\\X00\\e")
    pid = message.first("PID")
    assert pid is not None
    assert (pid.get(3), pid.get(5)) == ("M1", "Doe")

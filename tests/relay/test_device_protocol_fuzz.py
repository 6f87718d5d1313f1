import contextlib
import logging
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed

from bayscribe.errors import LinkError
from bayscribe.wire.messages import (
    Ack,
    Hello,
    Segment,
    Welcome,
    decode_from_device,
    decode_from_relay,
    encode,
)
from bayscribe_relay.pki.tls import claimed_name
from faults.recorder import BOOT
from faults.rig import RelayThread, Site, until, uplink_config
from faults.websocket import talk

SECRET = b"the patient said something"

MESSAGES = [
    encode(Hello(device="d", boot=BOOT, software="1", models={}, oldest=1, newest=0)),
    encode(Segment(header=SECRET, signature=bytes(64), sealed=SECRET * 4)),
    encode(Welcome(durable=1, chain=bytes(32), credit=1)),
    encode(Ack(through=1)),
]


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A true message with bytes changed, cut out or put in."""
    data = bytearray(draw(st.sampled_from(MESSAGES)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        match draw(st.integers(0, 2)):
            case 0 if data:
                data[at] = draw(st.integers(0, 255))
            case 1:
                del data[at : at + draw(st.integers(1, 9))]
            case _:
                data[at:at] = draw(st.binary(min_size=1, max_size=9))
    return bytes(data)


@settings(max_examples=400)
@given(st.one_of(st.binary(max_size=300), damaged(), st.text(max_size=30)))
def test_decoding_anything_gives_a_message_or_none_or_malformed(data: bytes | str) -> None:
    for decode in (decode_from_device, decode_from_relay):
        problem = LinkError("none", code="malformed")
        try:
            decode(data)
        except LinkError as error:
            problem = error
        assert problem.code == "malformed"
        assert "patient" not in problem.line()


@settings(max_examples=300)
@given(st.binary(max_size=400))
def test_a_client_may_send_any_certificate_message(data: bytes) -> None:
    assert claimed_name(data) == "nobody"


def test_a_relay_survives_noise_and_logs_nothing_of_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    site = Site(tmp_path)
    device = site.enrol("bay-1")
    caplog.set_level(logging.DEBUG)
    with RelayThread(site.relay()) as server:
        config = uplink_config(site, device, server.port)

        @settings(
            max_examples=40,
            deadline=None,
            suppress_health_check=[HealthCheck.function_scoped_fixture],
        )
        @given(st.one_of(st.binary(max_size=300), damaged()))
        def offer(data: bytes) -> None:
            with talk(config) as websocket:
                websocket.send(MESSAGES[0].replace(b"\xa1d", b"\xa5bay-1"))
                websocket.recv(timeout=10)
                with contextlib.suppress(ConnectionClosed):
                    websocket.send(data)
                    websocket.send(b"\xc1")
                until(lambda: websocket.close_code is not None, "the relay closes")
                assert websocket.close_code == 4400

        offer()
        mark = server.store.mark("bay-1")
        assert mark is not None
        assert mark.seq == 0
    text = "".join(record.getMessage() for record in caplog.records)
    assert "patient" not in text
    assert SECRET.hex()[:16] not in text
    assert "Traceback" not in caplog.text

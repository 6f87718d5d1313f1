import logging
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from bayscribe.uplink.config import UplinkConfig
from bayscribe.uplink.tls import client_context
from bayscribe.wire.messages import (
    CLOSE_IDENTITY,
    CLOSE_MALFORMED,
    CLOSE_REPLACED,
    Hello,
    Welcome,
    decode_from_relay,
    encode,
)
from bayscribe_relay.ingest.server import IngestServer
from faults.recorder import BOOT, MemoryBuffer
from faults.rig import Enrolled, RelayThread, Site, drained, until, uplink, uplink_config
from faults.websocket import talk


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path / "site")


@pytest.fixture
def relay(site: Site) -> Iterator[IngestServer]:
    with RelayThread(site.relay()) as server:
        yield server


def hello(name: str) -> bytes:
    return encode(Hello(device=name, boot=BOOT, software="1", models={}, oldest=1, newest=0))


def refused_device(
    site: Site, relay: IngestServer, device: Enrolled, config: UplinkConfig | None = None
) -> str:
    """Try to stream as ``device`` until refused; what the unit says about it."""
    buffer = MemoryBuffer(device.name)
    buffer.extend(site.recorder(device).recording("e" * 32, 2))
    config = config or uplink_config(site, device, relay.port)
    with uplink(config, device.name, buffer) as link:
        until(lambda: bool(link.status().last_problem), "a problem")
        problem = link.status().last_problem
    assert buffer.acknowledged == 0
    assert relay.store.marks() == []
    return problem


def test_a_revoked_device_is_refused_and_named_in_the_log(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    device = site.enrol("bay-1")
    site.revoke(device)
    with RelayThread(site.relay()) as relay, caplog.at_level(logging.WARNING):
        assert "certificate-refused" in refused_device(site, relay, device)
        until(lambda: "refused bay-1 at 127.0.0.1: certificate revoked" in caplog.text, "log line")


def test_an_expired_device_is_refused(
    site: Site, relay: IngestServer, caplog: pytest.LogCaptureFixture
) -> None:
    assert "certificate-refused" in refused_device(site, relay, site.enrol_expired("bay-1"))
    until(lambda: "refused bay-1" in caplog.text and "has expired" in caplog.text, "log line")


def test_a_certificate_that_is_not_yet_valid_is_refused(
    site: Site, relay: IngestServer, caplog: pytest.LogCaptureFixture
) -> None:
    assert "certificate-refused" in refused_device(site, relay, site.enrol_future("bay-1"))
    until(lambda: "not yet valid" in caplog.text, "log line")


def test_a_device_of_another_authority_is_refused(
    site: Site, relay: IngestServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stranger = Site(tmp_path / "other", "another CA").enrol("bay-1")
    config = uplink_config(site, stranger, relay.port)
    assert "certificate-refused" in refused_device(site, relay, stranger, config)
    until(lambda: "refused bay-1" in caplog.text, "log line")


def test_a_certificate_of_the_same_name_forged_ca_is_refused(
    site: Site, relay: IngestServer, tmp_path: Path
) -> None:
    forged = Site(tmp_path / "forged", "site").enrol("bay-1")
    config = uplink_config(site, forged, relay.port)
    assert "certificate-refused" in refused_device(site, relay, forged, config)


def test_a_server_certificate_is_not_a_device(
    site: Site, relay: IngestServer, caplog: pytest.LogCaptureFixture
) -> None:
    server = site.keep("localhost", site.authority.server("localhost", []))
    assert "certificate-refused" in refused_device(site, relay, server)
    until(lambda: "purpose" in caplog.text, "log line")


def test_a_relay_client_certificate_names_no_device(
    site: Site, relay: IngestServer, caplog: pytest.LogCaptureFixture
) -> None:
    other = site.keep("relay-2", site.authority.relay_client("relay-2"))
    assert "4403" in refused_device(site, relay, other)
    until(lambda: "does not name one device" in caplog.text, "log line")


def test_an_impersonating_hello_gets_nothing(
    site: Site, relay: IngestServer, caplog: pytest.LogCaptureFixture
) -> None:
    mine = site.enrol("bay-1")
    with talk(uplink_config(site, mine, relay.port)) as websocket:
        websocket.send(hello("bay-2"))
        with pytest.raises(ConnectionClosed) as closed:
            websocket.recv(timeout=10)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == CLOSE_IDENTITY
    assert relay.store.marks() == []
    assert "bay-1 refused: its hello claims to be another device" in caplog.text


def test_records_of_another_device_are_refused(site: Site, relay: IngestServer) -> None:
    mine, other = site.enrol("bay-1"), site.enrol("bay-2")
    buffer = MemoryBuffer(mine.name)
    recorder = site.recorder(mine)
    recorder.device = other.name
    buffer.append(recorder.open("e" * 32))
    with uplink(uplink_config(site, mine, relay.port), mine.name, buffer):
        until(lambda: bool(relay.store.refusals()), "refusal")
    assert relay.store.refusals()[0].refusal.reason == "identity"
    assert [mark.seq for mark in relay.store.marks()] == [0]
    assert buffer.acknowledged == 0


def test_without_a_certificate_nothing_is_said(site: Site, relay: IngestServer) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(site.folder / "ca.pem")
    with (
        socket.create_connection(("127.0.0.1", relay.port)) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as tls,
        pytest.raises(ssl.SSLError, match="CERTIFICATE_REQUIRED"),
    ):
        tls.recv(1)


def test_tls_1_2_is_refused_and_logged(
    site: Site, relay: IngestServer, caplog: pytest.LogCaptureFixture
) -> None:
    device = site.enrol("bay-1")
    context = client_context(uplink_config(site, device, relay.port))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with (
        socket.create_connection(("127.0.0.1", relay.port)) as plain,
        pytest.raises(ssl.SSLError, match=r"(?i)protocol.version"),
    ):
        context.wrap_socket(plain, server_hostname="localhost")
    until(lambda: "refused nobody at 127.0.0.1: unsupported protocol" in caplog.text, "log line")


def test_a_unit_does_not_talk_to_a_relay_of_another_authority(
    site: Site, relay: IngestServer, tmp_path: Path
) -> None:
    other = Site(tmp_path / "other")
    device = other.enrol("bay-1")
    config = uplink_config(other, device, relay.port)
    assert "relay-certificate" in refused_device(site, relay, device, config)


def test_a_unit_checks_the_name_of_its_relay(site: Site, relay: IngestServer) -> None:
    device = site.enrol("bay-1")
    config = uplink_config(site, device, relay.port)
    wrong = UplinkConfig(
        url=config.url,
        relay_ca=config.relay_ca,
        certificate=config.certificate,
        key=config.key,
        server_name="relay.example",
    )
    assert "relay-certificate" in refused_device(site, relay, device, wrong)


def test_a_device_certificate_is_no_relay(site: Site) -> None:
    impostor = site.enrol("bay-9")
    config = site.relay()
    (site.folder / "relay.pem").write_bytes(impostor.certificate.read_bytes())
    (site.folder / "relay.key").write_bytes(impostor.key_file.read_bytes())
    with RelayThread(config) as relay:
        assert "relay-certificate" in refused_device(site, relay, site.enrol("bay-1"))


def test_revoking_ends_a_live_connection_and_keeps_it_out(
    site: Site, relay: IngestServer, caplog: pytest.LogCaptureFixture
) -> None:
    device = site.enrol("bay-1")
    buffer = MemoryBuffer(device.name)
    recorder = site.recorder(device)
    buffer.append(recorder.open("e" * 32))
    with uplink(uplink_config(site, device, relay.port), device.name, buffer) as link:
        until(drained(buffer), "first record")
        site.revoke(device)
        until(lambda: "revoked" in link.status().last_problem, "refusal")
        buffer.append(recorder.segment())
        link.wake()
        until(lambda: link.status().failures > 2, "further attempts")
    assert relay.store.mark("bay-1") is not None
    assert buffer.acknowledged == 1
    assert "bay-1 ended: its certificate is revoked or expired" in caplog.text
    assert "refused" in caplog.text


def test_records_signed_before_a_certificate_was_renewed_are_taken(
    site: Site, relay: IngestServer
) -> None:
    old = site.enrol("bay-1")
    buffer = MemoryBuffer(old.name)
    recorder = site.recorder(old)
    buffer.append(recorder.open("e" * 32))
    with uplink(uplink_config(site, old, relay.port), old.name, buffer):
        until(drained(buffer), "first record")
    buffer.append(recorder.segment())
    new = site.keep("bay-1", site.authority.device("bay-1"), "bay-1-renewed")
    recorder.key = new.key
    buffer.append(recorder.segment())
    with uplink(uplink_config(site, new, relay.port), new.name, buffer):
        until(drained(buffer), "records of both keys")
    assert len(relay.store.certificates("bay-1")) == 2


def test_a_newer_connection_replaces_the_older(site: Site, relay: IngestServer) -> None:
    config = uplink_config(site, site.enrol("bay-1"), relay.port)
    with talk(config) as first, talk(config) as second:
        first.send(hello("bay-1"))
        assert isinstance(decode_from_relay(first.recv(timeout=10)), Welcome)
        second.send(hello("bay-1"))
        assert isinstance(decode_from_relay(second.recv(timeout=10)), Welcome)
        with pytest.raises(ConnectionClosed) as closed:
            first.recv(timeout=10)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == CLOSE_REPLACED


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x81\xa4type\xa5hello", "text", b"\x00" * 4096])
def test_a_malformed_message_ends_the_connection_with_its_code(
    site: Site, relay: IngestServer, data: bytes | str
) -> None:
    with talk(uplink_config(site, site.enrol("bay-1"), relay.port)) as websocket:
        websocket.send(data)
        with pytest.raises(ConnectionClosed) as closed:
            websocket.recv(timeout=10)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == CLOSE_MALFORMED


def test_an_unknown_message_is_ignored_and_counted(site: Site, relay: IngestServer) -> None:
    device = site.enrol("bay-1")
    with talk(uplink_config(site, device, relay.port)) as websocket:
        websocket.send(hello("bay-1"))
        websocket.recv(timeout=10)
        websocket.send(b"\x81\xa4type\xa6future")
        until(lambda: relay.hub.counters.get("unknown") == 1, "count")

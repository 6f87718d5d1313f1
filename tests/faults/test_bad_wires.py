from pathlib import Path

import pytest

from bayscribe_relay.ingest.server import IngestServer
from bayscribe_relay.streams.report import device_report
from faults.proxy import Mangling, MessageProxy, TcpProxy, Wire
from faults.recorder import MemoryBuffer
from faults.rig import RelayThread, Site, drained, until, uplink, uplink_config

SEGMENTS = 30


def assert_exactly_what_was_sent(
    server: IngestServer, site: Site, buffer: MemoryBuffer, name: str
) -> None:
    """Same final store whatever the wire did."""
    mark = server.store.mark(name)
    assert mark is not None
    assert (mark.seq, mark.chain) == buffer.head
    report = device_report(server.store, mark, [site.opening])
    assert report.verified
    assert report.records == mark.seq
    assert [e.state.segments for e in report.encounters] == [SEGMENTS]
    assert buffer.acknowledged == mark.seq


def stream_through(
    site: Site, server: IngestServer, port: int, name: str = "bay-1"
) -> MemoryBuffer:
    device = site.enrol(name)
    buffer = MemoryBuffer(name)
    recorder = site.recorder(device)
    with uplink(uplink_config(site, device, port), name, buffer) as link:
        for record in recorder.recording("e" * 32, SEGMENTS):
            buffer.append(record)
            link.wake()
        until(drained(buffer), "everything acknowledged", 60)
    assert_exactly_what_was_sent(server, site, buffer, name)
    return buffer


WIRES = {
    "cut-in-the-tls-handshake": [Wire(cut_after=n) for n in (0, 1, 100, 600, 1500, 2500)],
    "cut-anywhere": [Wire(cut_after=n) for n in range(3000, 30_000, 2711)],
    "cut-in-one-record": [Wire(cut_after=n) for n in range(5200, 5900, 87)],
    "slow": [Wire(bytes_per_s=60_000)],
    "late": [Wire(delay_s=0.03)],
    "slow-then-cut": [Wire(bytes_per_s=40_000, cut_after=9000), Wire(delay_s=0.02, cut_after=9000)],
    "half-open": [Wire(hole_after=8000), Wire(hole_after=2000), Wire(hole_after=12_000)],
}


@pytest.mark.parametrize("name", WIRES)
def test_bytes_are_cut_delayed_throttled_or_swallowed(name: str, tmp_path: Path) -> None:
    site = Site(tmp_path)
    with RelayThread(site.relay()) as server, TcpProxy(server.port, list(WIRES[name])) as port:
        stream_through(site, server, port)


MANGLINGS = {
    "corrupt": Mangling(corrupt=0.2, budget=12),
    "replay": Mangling(replay=0.4, budget=60),
    "reorder": Mangling(swap=0.2, budget=20),
    "drop": Mangling(drop=0.1, budget=12),
    "delay": Mangling(delay_s=0.02),
    "everything": Mangling(corrupt=0.05, replay=0.2, swap=0.05, drop=0.05, delay_s=0.01, budget=40),
}


@pytest.mark.parametrize("name", MANGLINGS)
def test_messages_are_mangled_by_a_proxy_with_valid_certificates(name: str, tmp_path: Path) -> None:
    site = Site(tmp_path)
    with RelayThread(site.relay()) as server:
        unit = uplink_config(site, site.enrol("bay-1"), server.port)
        device = site.enrol("bay-1")
        buffer = MemoryBuffer(device.name)
        recorder = site.recorder(device)
        unit = uplink_config(site, device, server.port)
        mangling = MANGLINGS[name]
        with MessageProxy(site.folder, unit, mangling, seed=5) as port:
            config = uplink_config(site, device, port)
            with uplink(config, device.name, buffer) as link:
                for record in recorder.recording("e" * 32, SEGMENTS):
                    buffer.append(record)
                    link.wake()
                until(drained(buffer), "everything acknowledged", 90)
        assert_exactly_what_was_sent(server, site, buffer, device.name)
        if name == "corrupt":
            assert server.store.refusals() or server.hub.counters.get("malformed")


def test_a_relay_that_goes_away_and_comes_back_gets_the_rest(tmp_path: Path) -> None:
    site = Site(tmp_path)
    device = site.enrol("bay-1")
    buffer = MemoryBuffer(device.name)
    recorder = site.recorder(device)
    records = recorder.recording("e" * 32, SEGMENTS)
    with (
        TcpProxy(1, []) as port,
        uplink(uplink_config(site, device, port), "bay-1", buffer) as link,
    ):
        pass
    proxy = TcpProxy(1, [])
    with proxy as port, uplink(uplink_config(site, device, port), "bay-1", buffer) as link:
        for step in range(0, len(records), 8):
            with RelayThread(site.relay()) as server:
                proxy.redirect(server.port)
                for record in records[step : step + 8]:
                    buffer.append(record)
                    link.wake()
                until(drained(buffer), "this relay's share")
                if step + 8 >= len(records):
                    assert_exactly_what_was_sent(server, site, buffer, device.name)


def test_a_store_restored_from_a_backup_is_an_alarm_and_loses_nothing_more(tmp_path: Path) -> None:
    site = Site(tmp_path)
    device = site.enrol("bay-1")
    buffer = MemoryBuffer(device.name)
    recorder = site.recorder(device)
    buffer.extend(recorder.recording("e" * 32, 3))
    with RelayThread(site.relay()) as server:  # noqa: SIM117 - the relay outlives the unit
        with uplink(uplink_config(site, device, server.port), "bay-1", buffer):
            until(drained(buffer), "everything acknowledged")
    for file in site.folder.glob("relay.db*"):
        file.unlink()
    buffer.append(recorder.open("f" * 32))
    with RelayThread(site.relay()) as server:
        with uplink(uplink_config(site, device, server.port), "bay-1", buffer):
            until(lambda: bool(server.store.refusals()), "the relay's own alarm")
        assert server.store.refusals()[0].refusal.reason == "hole"
        mark = server.store.mark("bay-1")
        assert mark is not None
        assert mark.seq == 0
    assert [record.seq for record in buffer.records] == [6]

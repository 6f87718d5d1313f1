from pathlib import Path

from faults.recorder import MemoryBuffer
from faults.rig import RelayThread, Site, drained, until, uplink, uplink_config


def test_records_arrive_verified_and_are_acknowledged(tmp_path: Path) -> None:
    site = Site(tmp_path)
    device = site.enrol("bay-1")
    buffer = MemoryBuffer(device.name)
    recorder = site.recorder(device)
    relay = RelayThread(site.relay())
    with relay as server:
        with uplink(uplink_config(site, device, server.port), device.name, buffer) as link:
            for record in recorder.recording("e" * 32, 40):
                buffer.append(record)
                link.wake()
            until(drained(buffer), "acknowledgement of everything")
        mark = server.store.mark(device.name)
        assert mark is not None
        assert (mark.seq, mark.chain) == buffer.head

import random
import threading
from pathlib import Path

import pytest

from bayscribe.uplink.core import Identity
from bayscribe.uplink.link import Uplink
from faults.proxy import TcpProxy
from faults.recorder import BOOT, MemoryBuffer
from faults.rig import RelayThread, Site, until, uplink_config

UNITS = 200


@pytest.mark.slow
def test_two_hundred_units_that_lose_their_relay_at_once_all_come_back(tmp_path: Path) -> None:
    site = Site(tmp_path)
    names = [f"bay-{n}" for n in range(UNITS)]
    buffers: dict[str, MemoryBuffer] = {}
    links: list[Uplink] = []
    proxy = TcpProxy(1, [])
    with proxy as port:
        for name in names:
            device = site.enrol(name)
            recorder = site.recorder(device)
            buffers[name] = MemoryBuffer(name)
            buffers[name].extend(recorder.recording("e" * 32, 1))
            config = uplink_config(
                site, device, port, heartbeat_s=20, answer_s=30, connect_s=20, retry_most_s=3
            )
            links.append(Uplink(config, Identity(name, BOOT, "1", {}), buffers[name]))
        relay = site.relay(heartbeat_s=20, handshake_s=20)
        random.Random(1).shuffle(links)
        try:
            with RelayThread(relay) as server:
                proxy.redirect(server.port)
                for link in links:
                    link.start()
                until(lambda: all(b.acknowledged == 3 for b in buffers.values()), "first wave", 120)
            with RelayThread(relay) as server:
                proxy.redirect(server.port)
                until(lambda: len(server.hub.connected) == UNITS, "second wave", 120)
                assert server.hub.counters.get("refused", 0) == 0
                assert [mark.seq for mark in server.store.marks()] == [3] * UNITS
        finally:
            stop_all(links)


def stop_all(links: list[Uplink]) -> None:
    threads = [threading.Thread(target=link.stop) for link in links]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

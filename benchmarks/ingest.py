"""What one relay takes in: durable records a second, and connections at once.

Protocol: ``bayscribe-relay serve`` as a process of its own with SQLite (WAL, every commit
flushed), on the same two cores as the clients that load it. Each client is a device with
its own certificate over TLS 1.3; its records are made, sealed and signed beforehand. A
record is five seconds of 16-bit noise, raw, sealed with the hybrid suite (161 kB): more
bytes than speech makes in FLAC. The relay verifies signature, chain, seal and audio hash,
commits, and acknowledges; the clock runs from the first hello to the last acknowledgement.
``--postgresql`` puts the store on a PostgreSQL server of one's own.
"""

import argparse
import asyncio
import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
from websockets.asyncio.client import connect

from bayscribe.uplink.core import Close, Send, UplinkCore
from bayscribe.uplink.tls import client_context
from bayscribe.wire.messages import SUBPROTOCOL, decode_from_relay, encode
from bayscribe.wire.seal import Kem

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "tests"))

from faults.kill_harness import Victim, verify_store  # noqa: E402 - the tests' folder comes first
from faults.recorder import MemoryBuffer  # noqa: E402
from faults.rig import Enrolled, Site, identity_of, uplink_config  # noqa: E402
from free_ports import free_port  # noqa: E402

SAMPLES = 5 * 16_000
DEVICES = 40
SEGMENTS = 16
CONNECTIONS = 400


class Device:
    """A device with a filled buffer, ready to stream."""

    def __init__(self, site: Site, enrolled: Enrolled, port: int, segments: int) -> None:
        recorder = site.recorder(enrolled)
        self.buffer = MemoryBuffer(enrolled.name)
        if segments:
            self.buffer.append(recorder.open("e" * 32))
            for _ in range(segments):
                self.buffer.append(recorder.segment(SAMPLES))
            self.buffer.append(recorder.close())
        self._config = uplink_config(site, enrolled, port)
        self._core = UplinkCore(identity_of(enrolled.name), self.buffer)
        self._tls = client_context(self._config)
        self.greeted = asyncio.Event()

    async def stream(self, end: asyncio.Event | None = None) -> None:
        """Connect and stream until everything is acknowledged, or until ``end``."""
        async with connect(
            self._config.url,
            ssl=self._tls,
            server_hostname="localhost",
            subprotocols=[SUBPROTOCOL],  # type: ignore[list-item]  # a NewType of str
            compression=None,
            proxy=None,
            open_timeout=60,
            ping_interval=None,
        ) as websocket:
            actions = self._core.connected()
            while True:
                for action in actions:
                    if isinstance(action, Send):
                        await websocket.send(encode(action.message))
                if self.greeted.is_set() and self.buffer.acknowledged == self.buffer.head[0]:
                    break
                got = self._core.receive(decode_from_relay(await websocket.recv()))
                self.greeted.set()
                if any(isinstance(action, Close) for action in got):
                    raise RuntimeError("the relay broke the protocol")
                actions = self._core.pump()
            if end is not None:
                await end.wait()


async def records_per_second(devices: list[Device]) -> float:
    """All devices at once; seconds until all is acknowledged."""
    began = time.perf_counter()
    await asyncio.gather(*(device.stream() for device in devices))
    return time.perf_counter() - began


async def connected_at_once(devices: list[Device]) -> float:
    """Seconds until all devices have been welcomed, all staying connected."""
    end = asyncio.Event()
    began = time.perf_counter()
    tasks = [asyncio.create_task(device.stream(end)) for device in devices]
    waits = [asyncio.create_task(device.greeted.wait()) for device in devices]
    await asyncio.gather(*waits)
    took = time.perf_counter() - began
    end.set()
    await asyncio.gather(*tasks)
    return took


@contextlib.contextmanager
def store_url(*, postgresql: bool) -> Iterator[str | None]:
    """The URL of a PostgreSQL server, or None for the default."""
    if not postgresql:
        yield None
        return
    from benchmarks.writeback import postgres

    with postgres.running() as url:
        yield url


def main(argv: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--postgresql", action="store_true")
    options = parser.parse_args(argv or [])
    with (
        tempfile.TemporaryDirectory() as folder,
        store_url(postgresql=options.postgresql) as url,
    ):
        return _measure(Path(folder), url)


def _measure(folder: Path, url: str | None) -> int:
    site = Site(folder / "site", kem=Kem.MLKEM768_X25519)
    port = free_port()
    config = site.relay_file(port)
    text = config.read_text().replace("heartbeat_s = 2.0", "heartbeat_s = 60.0")
    config.write_text(text.replace("sqlite:///relay.db", url) if url else text)
    loaded = [Device(site, site.enrol(f"bay-{n}"), port, SEGMENTS) for n in range(DEVICES)]
    idle = [Device(site, site.enrol(f"idle-{n}"), port, 0) for n in range(CONNECTIONS)]
    command = [sys.executable, "-m", "bayscribe_relay.cli", "serve", "--config", str(config)]
    os.environ["PYTHONPATH"] = f"{REPOSITORY / 'daemon'}:{REPOSITORY / 'relay'}"
    relay = Victim("relay", command, folder / "relay.log")
    relay.start()
    try:
        _await_listening(relay, port)
        took = asyncio.run(records_per_second(loaded))
        process = psutil.Process(relay.pid)
        cpu = process.cpu_times()
        records = sum(device.buffer.head[0] for device in loaded)
        audio = DEVICES * SEGMENTS * SAMPLES / 16_000
        spent = cpu.user + cpu.system
        print(f"{DEVICES} devices, {records} records, {audio:.0f} s of audio: {took:.2f} s")
        print(f"durable records   {records / took:.0f} a second")
        print(f"relay CPU         {1000 * spent / records:.1f} ms a record, start included")
        print(f"audio             {audio / took:.0f} times real time")
        greeted = asyncio.run(connected_at_once(idle))
        print(f"connections       {CONNECTIONS} at once, all welcomed within {greeted:.2f} s")
        print(f"relay memory      {process.memory_info().rss / 2**20:.0f} MiB")
    finally:
        relay.stop()
    held = verify_store(config)
    print(f"verified again    {sum(held.values())} records of {len(held)} devices")
    return 0 if sum(held.values()) == records else 1


def _await_listening(relay: Victim, port: int) -> None:
    deadline = time.monotonic() + 30
    while "listening on port" not in relay.last_words():
        if time.monotonic() > deadline or not relay.alive():
            raise RuntimeError(f"the relay does not listen on {port}: {relay.last_words()}")
        time.sleep(0.05)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

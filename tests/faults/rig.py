"""A site in a folder, a relay on loopback, and units that talk to it."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Thread

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from bayscribe.uplink.config import UplinkConfig
from bayscribe.uplink.core import Identity
from bayscribe.uplink.link import Callbacks, Uplink
from bayscribe.uplink.outgoing import Outgoing
from bayscribe.wire.seal import Kem, OpeningKey
from bayscribe_relay import config as relay_config
from bayscribe_relay.config import (
    IngestConfig,
    ListenConfig,
    RelayConfig,
    SealConfig,
    StoreConfig,
    TlsConfig,
)
from bayscribe_relay.ingest.server import IngestServer
from bayscribe_relay.pki import files
from bayscribe_relay.pki.authority import Authority, Issued
from faults.recorder import BOOT, MemoryBuffer, Recorder

PATIENCE_S = 30.0
"""How long a condition may take before a test says that it never came."""


@dataclass(frozen=True, slots=True)
class Enrolled:
    """One device's identity."""

    name: str
    certificate: Path
    key_file: Path
    key: ec.EllipticCurvePrivateKey


class Site:
    """An authority, a relay's certificate, sealing keys and a store, in one folder."""

    def __init__(self, folder: Path, name: str = "site", kem: Kem = Kem.X25519) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.authority = Authority.create(name)
        self.opening = OpeningKey.generate(kem)
        (folder / "ca.pem").write_bytes(Issued(self.authority.certificate, None).pem())
        (folder / "ca.key").write_bytes(files.key_pem(self.authority.key))
        (folder / "crl.pem").write_bytes(self.authority.revocation_list({}))
        (folder / "seal.open").write_text(self.opening.to_text())
        self.write("relay", self.authority.server("localhost", ["127.0.0.1"]))

    def write(self, name: str, issued: Issued) -> Path:
        path = self.folder / f"{name}.pem"
        path.write_bytes(issued.pem())
        if issued.key is not None:
            path.with_suffix(".key").write_bytes(files.key_pem(issued.key))
        return path

    def enrol(self, name: str, *, days: int = 30, start: datetime | None = None) -> Enrolled:
        issued = self.authority.device(name, days=days, not_before=start)
        return self.keep(name, issued)

    def keep(self, name: str, issued: Issued, file: str | None = None) -> Enrolled:
        assert issued.key is not None
        path = self.write(file or name, issued)
        return Enrolled(name, path, path.with_suffix(".key"), issued.key)

    def enrol_expired(self, name: str) -> Enrolled:
        return self.enrol(name, days=1, start=datetime.now(UTC) - timedelta(days=3))

    def enrol_future(self, name: str) -> Enrolled:
        return self.enrol(name, days=3, start=datetime.now(UTC) + timedelta(days=1))

    def revoke(self, device: Enrolled) -> None:
        self.authority.revoke(self.folder, files.load_certificate(device.certificate))

    def relay(self, port: int = 0, **ingest: float) -> RelayConfig:
        """The relay's configuration, quick enough for tests."""
        settings = {"heartbeat_s": 2.0, "handshake_s": 5.0, "housekeeping_s": 0.1} | ingest
        return RelayConfig(
            tls=TlsConfig(
                certificate=str(self.folder / "relay.pem"),
                key=str(self.folder / "relay.key"),
                device_ca=str(self.folder / "ca.pem"),
                crl=str(self.folder / "crl.pem"),
            ),
            seal=SealConfig(keys=(str(self.folder / "seal.open"),)),
            listen=ListenConfig(host="127.0.0.1", port=port),
            store=StoreConfig(url=f"sqlite:///{self.folder / 'relay.db'}"),
            ingest=msgspec.convert(settings, IngestConfig),
        )

    def relay_file(self, port: int) -> Path:
        """The same as a file, for the command."""
        path = self.folder / "relay.toml"
        path.write_text(
            f'[listen]\nhost = "127.0.0.1"\nport = {port}\n'
            '[tls]\ncertificate = "relay.pem"\nkey = "relay.key"\n'
            'device_ca = "ca.pem"\ncrl = "crl.pem"\n'
            '[store]\nurl = "sqlite:///relay.db"\n[seal]\nkeys = ["seal.open"]\n'
            "[ingest]\nheartbeat_s = 2.0\nhousekeeping_s = 0.1\n"
        )
        assert relay_config.load(path).listen.port == port
        return path

    def recorder(self, device: Enrolled) -> Recorder:
        return Recorder(device.name, device.key, self.opening.sealing_key())


def uplink_config(site: Site, device: Enrolled, port: int, **more: float) -> UplinkConfig:
    """A unit's configuration, quick enough for tests."""
    settings = {
        "url": f"wss://127.0.0.1:{port}",
        "server_name": "localhost",
        "relay_ca": str(site.folder / "ca.pem"),
        "certificate": str(device.certificate),
        "key": str(device.key_file),
        "heartbeat_s": 1.0,
        "connect_s": 5.0,
        "answer_s": 2.0,
        "retry_first_s": 0.05,
        "retry_most_s": 0.4,
    }
    return msgspec.convert(settings | more, UplinkConfig)


def identity_of(name: str) -> Identity:
    return Identity(name, BOOT, "0.1.0", {})


@contextmanager
def uplink(
    config: UplinkConfig, name: str, outgoing: Outgoing, callbacks: Callbacks | None = None
) -> Iterator[Uplink]:
    """A unit's uplink, running."""
    link = Uplink(config, identity_of(name), outgoing, callbacks)
    link.start()
    try:
        yield link
    finally:
        link.stop()


class RelayThread:
    """A relay in a thread of this process."""

    def __init__(self, config: RelayConfig) -> None:
        self.server = IngestServer(config)
        self._ready = Event()
        self.loop: asyncio.AbstractEventLoop | None = None
        self._end: asyncio.Event | None = None
        self._thread = Thread(target=asyncio.run, args=(self._main(),))

    async def _main(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._end = asyncio.Event()
        async with self.server.running():
            self._ready.set()
            await self._end.wait()

    def __enter__(self) -> IngestServer:
        self._thread.start()
        assert self._ready.wait(PATIENCE_S)
        return self.server

    def __exit__(self, *_: object) -> None:
        assert self.loop is not None
        assert self._end is not None
        self.loop.call_soon_threadsafe(self._end.set)
        self._thread.join()


def until(condition: Callable[[], bool], what: str, patience_s: float = PATIENCE_S) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, f"never came: {what}"
        time.sleep(0.01)


def drained(buffer: MemoryBuffer) -> Callable[[], bool]:
    """Whether the relay has acknowledged everything."""
    return lambda: buffer.acknowledged == buffer.head[0]

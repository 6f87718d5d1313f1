"""A site with an authority, a relay's sealing key and the provisioning service, for tests."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography.hazmat.primitives import hashes

from bayscribe.wire.seal import OpeningKey
from bayscribe_relay.cli import main as relay_command
from bayscribe_relay.pki.authority import Authority
from bayscribe_relay.pki.tokens import TokenBook
from bayscribe_relay.provision import config
from bayscribe_relay.provision.order import EnrolmentOrder
from bayscribe_relay.provision.server import ProvisionServer

DEVICE = "bay-11"


class ProvisionSite:
    """Keys and configuration in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.keys = folder / "keys"
        self.updates = folder / "updates"
        self.updates.mkdir(parents=True)
        assert relay_command(["pki", "init", str(self.keys)]) == 0
        self.server_certificate("localhost")
        self.opening = OpeningKey.generate()
        (self.keys / "seal.pub").write_text(self.opening.sealing_key().to_text())
        self.book = TokenBook(self.keys)

    def server_certificate(self, name: str) -> None:
        assert relay_command(["pki", "server", name, "--dir", str(self.keys)]) == 0

    @property
    def fingerprint(self) -> str:
        return Authority.load(self.keys).certificate.fingerprint(hashes.SHA256()).hex()

    def order(self, port: int, token: str | None = None, fingerprint: str = "") -> str:
        order = EnrolmentOrder(
            device=DEVICE,
            url=f"https://localhost:{port}",
            relay="wss://localhost:8443",
            ca_sha256=fingerprint or self.fingerprint,
            site="test",
            bay="bay-11",
            profile="circle-4-32mm",
            pcm="bay",
        )
        return order.text(token or self.book.issue(DEVICE))

    def configuration(self, *more: str, server: str = "localhost") -> Path:
        path = self.folder / "provision.toml"
        lines = ['authority = "keys"', 'seal_key = "keys/seal.pub"', 'updates = "updates"', *more]
        lines += ["[listen]", 'host = "127.0.0.1"', "port = 0", "[tls]"]
        lines += [f'certificate = "keys/{server}.pem"', f'key = "keys/{server}.key"']
        path.write_text("\n".join(lines) + "\n")
        return path


@contextmanager
def running(configuration: Path) -> Iterator[int]:
    """The service in a thread of its own; the port it listens on."""
    loop = asyncio.new_event_loop()
    started = threading.Event()
    port: list[int] = []
    end = asyncio.Event()

    async def serve() -> None:
        async with ProvisionServer(config.load(configuration)).running() as server:
            port.append(server.port)
            started.set()
            await end.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    try:
        assert started.wait(30)
        yield port[0]
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join(30)
        loop.close()

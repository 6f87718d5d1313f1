"""The hospital's side of an image run, on this machine: authority, relay, provisioning.

The guest reaches it at QEMU's user network's address of the host.
"""

import asyncio
import shutil
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from cryptography.hazmat.primitives import hashes

from bayscribe.wire.header import SegmentHeader
from bayscribe.wire.messages import Command
from bayscribe_relay import config as relay_config
from bayscribe_relay.cli import main as relay_command
from bayscribe_relay.ingest.server import IngestServer
from bayscribe_relay.pki.authority import Authority
from bayscribe_relay.pki.tokens import TokenBook
from bayscribe_relay.provision import config as provision_config
from bayscribe_relay.provision.order import EnrolmentOrder
from bayscribe_relay.provision.server import ProvisionServer
from bayscribe_relay.store.store import Store
from bayscribe_relay.streams.report import EncounterReport, device_report
from bayscribe_relay.streams.verify import walk

HOST = "10.0.2.2"
DEVICE = "bay-21"
T = TypeVar("T")


class HospitalSite:
    """Everything that a unit meets on its network, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.keys = folder / "keys"
        self.updates = folder / "updates"
        shutil.rmtree(folder, ignore_errors=True)
        self.updates.mkdir(parents=True)
        keys = str(self.keys)
        for words in (
            ["init", keys],
            ["server", "localhost", "--dir", keys, "--san", HOST],
            ["seal-key", "--dir", keys],
        ):
            if relay_command(["pki", *words]) != 0:
                raise RuntimeError(f"pki {words[0]} failed")
        tls = '[tls]\ncertificate = "keys/localhost.pem"\nkey = "keys/localhost.key"\n'
        (folder / "relay.toml").write_text(
            f"[listen]\nport = 0\n{tls}"
            'device_ca = "keys/ca.pem"\ncrl = "keys/crl.pem"\n'
            '[store]\nurl = "sqlite:///relay.db"\n[seal]\nkeys = ["keys/seal.open"]\n'
        )
        (folder / "provision.toml").write_text(
            'authority = "keys"\nseal_key = "keys/seal.pub"\nupdates = "updates"\n'
            f"[listen]\nport = 0\n{tls}"
        )
        self.config = relay_config.load(folder / "relay.toml")
        self._loop = asyncio.new_event_loop()
        self._thread: threading.Thread | None = None
        self._started = threading.Event()
        self._end = asyncio.Event()
        self.relay: IngestServer | None = None
        self.relay_port = 0
        self.provision_port = 0

    def start(self) -> None:
        """Start relay and provisioning."""
        self._thread = threading.Thread(
            target=lambda: self._loop.run_until_complete(self._serve()), daemon=True
        )
        self._thread.start()
        if not self._started.wait(60):
            raise RuntimeError("the relay did not start")

    async def _serve(self) -> None:
        provision = ProvisionServer(provision_config.load(self.folder / "provision.toml"))
        self.relay = IngestServer(self.config)
        async with self.relay.running() as relay, provision.running() as provisioning:
            self.relay_port, self.provision_port = relay.port, provisioning.port
            self._started.set()
            await self._end.wait()

    def stop(self) -> None:
        """Stop both."""
        if self._thread is not None:
            self._loop.call_soon_threadsafe(self._end.set)
            self._thread.join(30)

    def _in_loop(self, doing: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(doing, self._loop).result(30)

    def order(self, profile: str) -> str:
        """A fresh ``enrol.toml``, for a unit that records while it runs."""
        ca = Authority.load(self.keys).certificate
        order = EnrolmentOrder(
            device=DEVICE,
            url=f"https://{HOST}:{self.provision_port}",
            relay=f"wss://{HOST}:{self.relay_port}",
            ca_sha256=ca.fingerprint(hashes.SHA256()).hex(),
            site="hil",
            bay=DEVICE,
            profile=profile,
            pcm="bay",
        )
        return order.text(TokenBook(self.keys).issue(DEVICE))

    def command(self, name: str, arguments: dict[str, str]) -> bool:
        """Send a command to the unit; whether it was connected."""
        if self.relay is None:
            return False
        return self._in_loop(
            self.relay.hub.send(DEVICE, Command(id="hil", name=name, arguments=arguments))
        )

    def first_captured_s(self) -> dict[str, float]:
        """When each run's first stored sample was captured: seconds since 1970, by the unit's
        clock, by the run's id, oldest first."""
        store = Store(self.config.store.url)
        try:
            opening = relay_config.opening_keys(self.config)
            found: dict[str, float] = {}
            for mark in store.marks():
                for checked in walk(store, mark, opening):
                    if isinstance(checked.header, SegmentHeader):
                        found.setdefault(checked.header.boot, checked.header.wall_ns / 1e9)
        finally:
            store.close()
        return found

    def received(self) -> tuple[int, list[EncounterReport], list[str]]:
        """What the relay holds, verified while it is read.

        Returns:
            segments in all, encounters in order, and every problem.
        """
        store = Store(self.config.store.url)
        try:
            opening = relay_config.opening_keys(self.config)
            found = [device_report(store, mark, opening) for mark in store.marks()]
        finally:
            store.close()
        encounters = [encounter for report in found for encounter in report.encounters]
        problems = [problem for report in found for problem in report.problems]
        problems += [problem for encounter in encounters for problem in encounter.problems]
        return sum(len(e.segments) for e in encounters), encounters, problems

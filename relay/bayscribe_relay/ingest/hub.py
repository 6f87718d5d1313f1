"""What all connections of one relay share."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from bayscribe.wire.messages import Command, Credit, Prompt, PromptOutcome, PromptWithdrawn
from bayscribe.wire.seal import OpeningKey
from bayscribe_relay.config import IngestConfig
from bayscribe_relay.ingest.committer import Committer
from bayscribe_relay.pki.tls import Revocations
from bayscribe_relay.store.store import Store

ToDevice = Prompt | PromptWithdrawn | Command | Credit


class Connected(Protocol):
    """A device's live connection, as the hub sees it."""

    device: str

    async def send(self, message: ToDevice) -> bool:
        """Send a message; whether the connection took it."""
        ...

    def stop(self, code: int, reason: str) -> None:
        """End the connection with a close code."""
        ...


class Observer:
    """Who wants to know what the devices do; every method is called in the event loop.

    None may block or raise: the connection that calls waits for it.
    """

    def joined(self, device: str) -> None:
        """A device is connected and welcome."""

    def stored(self, device: str) -> None:
        """More of a device's records are durable."""

    def outcome(self, device: str, outcome: PromptOutcome) -> None:
        """A device said what became of a prompt; it is durable."""


class Hub:
    """Store, keys, threads and the register of connected devices.

    Attributes:
        counters: what has happened since start, by name, for operators and benchmarks.
        observers: told of what the devices do.
    """

    def __init__(
        self,
        store: Store,
        opening: tuple[OpeningKey, ...],
        revocations: Revocations,
        config: IngestConfig,
    ) -> None:
        self.store = store
        self.opening = opening
        self.revocations = revocations
        self.config = config
        self.committer = Committer(store)
        self.pool = ThreadPoolExecutor(config.verify_threads, thread_name_prefix="verify")
        self.connected: dict[str, Connected] = {}
        self.counters: dict[str, int] = {}
        self.observers: list[Observer] = []
        self._locks: dict[str, asyncio.Lock] = {}

    def lock(self, device: str) -> asyncio.Lock:
        """Held by the one connection that may move the device's mark."""
        return self._locks.setdefault(device, asyncio.Lock())

    def credit(self) -> int:
        """Records that one device may have in flight now.

        The memory bound is shared by those connected, and halved while the disk is
        behind.
        """
        share = self.config.records_in_memory // max(1, len(self.connected))
        if self.committer.waiting() > len(self.connected) // 2 + 8:
            share //= 2
        return max(1, min(self.config.credit_max, share))

    def count(self, name: str, by: int = 1) -> None:
        """Count something."""
        self.counters[name] = self.counters.get(name, 0) + by

    async def send(self, device: str, message: ToDevice) -> bool:
        """Send a prompt or a command to a device; False if it is not connected."""
        connection = self.connected.get(device)
        return connection is not None and await connection.send(message)

    def close(self) -> None:
        """Make what waits durable, then end the threads."""
        self.pool.shutdown(wait=True)
        self.committer.close()

"""Two bad wires: one that knows only bytes, one that ends TLS and mangles messages."""

import asyncio
import contextlib
import random
import ssl
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from bayscribe.uplink.config import UplinkConfig
from bayscribe.uplink.tls import client_context
from bayscribe.wire.messages import SUBPROTOCOL
from bayscribe_relay.pki.tls import server_context

CHUNK = 4096


class _InThread:
    """Runs a coroutine in a thread of its own for as long as the ``with`` lasts."""

    port: int

    def __enter__(self) -> int:
        self._up, self._loop = Event(), asyncio.new_event_loop()
        self._task: asyncio.Task[None] | None = None
        self._thread = Thread(target=self._run)
        self._thread.start()
        assert self._up.wait(10)
        return self.port

    def __exit__(self, *_: object) -> None:
        assert self._task is not None
        self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._task = self._loop.create_task(self._serve())
        with contextlib.suppress(asyncio.CancelledError):
            self._loop.run_until_complete(self._task)
        # Connections accepted in the last moment start tasks while others end.
        for _ in range(5):
            # One that asyncio is still accepting would be lost if its task were cancelled.
            self._loop.run_until_complete(asyncio.sleep(0.02))
            left = asyncio.all_tasks(self._loop)
            for task in left:
                task.cancel()
            self._loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
            self._close()
        self._loop.run_until_complete(asyncio.sleep(0.02))
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    async def _serve(self) -> None:
        raise NotImplementedError

    def _close(self) -> None:
        """Let go of what the tasks have left open."""


@dataclass(slots=True)
class Wire:
    """How one TCP connection behaves.

    Attributes:
        cut_after: bytes after which both sides are reset.
        hole_after: bytes after which nothing passes any more, without a word to anybody.
        delay_s: what every chunk waits.
        bytes_per_s: most that passes in each direction.
    """

    cut_after: int | None = None
    hole_after: int | None = None
    delay_s: float = 0.0
    bytes_per_s: float | None = None
    passed: int = 0


class TcpProxy(_InThread):
    """A wire between a unit and the relay that knows nothing of TLS.

    The first connections get the wires of the script, in order; later ones a good one.
    """

    def __init__(self, upstream: int, script: list[Wire]) -> None:
        self._upstream = upstream
        self._script = script
        self.connections = 0
        self._open: list[asyncio.StreamWriter] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._never = asyncio.Event()  # held here: a task that waits is kept by what it waits for

    def redirect(self, upstream: int) -> None:
        self._upstream = upstream

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._accepted, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._up.set()
        async with server:
            await server.serve_forever()

    def _accepted(self, near: asyncio.StreamReader, near_out: asyncio.StreamWriter) -> None:
        # Not the task's own business: one that is cancelled before its first step closes nothing.
        self._open.append(near_out)
        self._tasks.append(self._loop.create_task(self._accept(near, near_out)))

    def _close(self) -> None:
        for writer in self._open:
            writer.transport.abort()

    async def _accept(self, near: asyncio.StreamReader, near_out: asyncio.StreamWriter) -> None:
        wire = self._script[self.connections] if self.connections < len(self._script) else Wire()
        self.connections += 1
        try:
            far, far_out = await asyncio.open_connection("127.0.0.1", self._upstream)
        except OSError:
            near_out.transport.abort()
            return
        self._open.append(far_out)
        pumps = [
            asyncio.create_task(self._pump(wire, near, far_out)),
            asyncio.create_task(self._pump(wire, far, near_out)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            near_out.transport.abort()
            far_out.transport.abort()

    async def _pump(
        self, wire: Wire, source: asyncio.StreamReader, sink: asyncio.StreamWriter
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(CHUNK):
                if wire.hole_after is not None and wire.passed + len(data) > wire.hole_after:
                    await self._never.wait()
                if wire.cut_after is not None and wire.passed + len(data) > wire.cut_after:
                    sink.write(data[: max(0, wire.cut_after - wire.passed)])
                    return
                wire.passed += len(data)
                if wire.delay_s:
                    await asyncio.sleep(wire.delay_s)
                if wire.bytes_per_s is not None:
                    await asyncio.sleep(len(data) / wire.bytes_per_s)
                sink.write(data)
                await sink.drain()


@dataclass(slots=True)
class Mangling:
    """How likely each message suffers what, and how often in all.

    Attributes:
        corrupt: one bit of a message to the relay flips.
        replay: an earlier message of this or a former connection is sent again.
        swap: two messages change places.
        drop: a message vanishes.
        budget: after so many faults the wire is good.
    """

    corrupt: float = 0.0
    replay: float = 0.0
    swap: float = 0.0
    drop: float = 0.0
    delay_s: float = 0.0
    budget: int = 40
    done: dict[str, int] = field(default_factory=dict)


class MessageProxy(_InThread):
    """A man in the middle with everybody's keys: TLS proves nothing against it."""

    def __init__(self, site: Path, unit: UplinkConfig, mangling: Mangling, seed: int) -> None:
        self._unit = unit
        self._context: ssl.SSLContext = server_context(
            site / "relay.pem", site / "relay.key", site / "ca.pem", None
        )
        self.mangling = mangling
        self._random = random.Random(seed)
        self._seen: dict[str, list[bytes]] = {"up": [], "down": []}

    async def _serve(self) -> None:
        async with serve(
            self._accept,
            "127.0.0.1",
            0,
            ssl=self._context,
            subprotocols=[SUBPROTOCOL],  # type: ignore[list-item]  # a NewType of str
            compression=None,
        ) as server:
            self.port = next(iter(server.sockets)).getsockname()[1]
            self._up.set()
            await server.serve_forever()

    async def _accept(self, near: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed, InvalidHandshake, OSError):
            async with connect(
                self._unit.url,
                ssl=client_context(self._unit),
                server_hostname=self._unit.server_name,
                subprotocols=[SUBPROTOCOL],  # type: ignore[list-item]  # a NewType of str
                compression=None,
                proxy=None,
            ) as far:
                await self._both(self._pass("up", near, far), self._pass("down", far, near))
                await near.close()

    async def _both(self, *ways: Coroutine[Any, Any, None]) -> None:
        tasks = [asyncio.create_task(way) for way in ways]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _pass(
        self,
        way: str,
        source: ServerConnection | ClientConnection,
        sink: ServerConnection | ClientConnection,
    ) -> None:
        held: bytes | None = None
        async for data in source:
            assert isinstance(data, bytes)
            if self.mangling.delay_s:
                await asyncio.sleep(self._random.uniform(0, self.mangling.delay_s))
            for message in self._mangle(way, data):
                if held is None and self._hit("swap", self.mangling.swap):
                    held = message
                    continue
                await sink.send(message)
                if held is not None:
                    await sink.send(held)
                    held = None

    def _mangle(self, way: str, data: bytes) -> list[bytes]:
        seen = self._seen[way]
        seen.append(data)
        if self._hit("drop", self.mangling.drop):
            return []
        if way == "up" and self._hit("corrupt", self.mangling.corrupt):
            value = bytearray(data)
            bit = self._random.randrange(8 * len(value))
            value[bit // 8] ^= 1 << bit % 8
            return [bytes(value)]
        if self._hit("replay", self.mangling.replay):
            return [data, self._random.choice(seen)]
        return [data]

    def _hit(self, what: str, likely: float) -> bool:
        if likely <= 0 or sum(self.mangling.done.values()) >= self.mangling.budget:
            return False
        if self._random.random() >= likely:
            return False
        self.mangling.done[what] = self.mangling.done.get(what, 0) + 1
        return True

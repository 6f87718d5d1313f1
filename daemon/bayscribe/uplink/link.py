"""The thread that runs the protocol over TLS and WebSocket, for as long as the unit runs."""

import asyncio
import contextlib
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from websockets.asyncio.client import ClientConnection

from bayscribe.errors import BayscribeError, IntegrityError, LinkError, StorageError
from bayscribe.uplink.config import Backoff, UplinkConfig
from bayscribe.uplink.connection import relay_connection
from bayscribe.uplink.core import (
    Action,
    Alarm,
    AlarmCleared,
    AlarmCode,
    Close,
    Deliver,
    Identity,
    Send,
    State,
    UplinkCore,
)
from bayscribe.uplink.outgoing import Outgoing
from bayscribe.uplink.tls import client_context
from bayscribe.wire.messages import (
    CLOSE_MALFORMED,
    Command,
    Health,
    Prompt,
    PromptOutcome,
    PromptWithdrawn,
    decode_from_relay,
    encode,
)

READ_AHEAD = 4
"""Records read from the buffer at a time: bounds memory, not the window."""
OUTCOMES_KEPT = 256
"""Prompt outcomes kept while the link is down; a bay has a handful in an encounter."""

log = logging.getLogger("bayscribe.uplink")


def _ignore(_: object) -> None:
    """For callbacks that nobody asked for."""


@dataclass(frozen=True, slots=True)
class Callbacks:
    """Called in the uplink's thread; must return soon.

    Attributes:
        on_message: a prompt, its withdrawal or a command.
        on_alarm: an alarm of the stream, or None when all are over.
        on_online: whether the stream is up.
        on_reported: a prompt's outcome was sent.
    """

    on_message: Callable[[Prompt | PromptWithdrawn | Command], None] = _ignore
    on_alarm: Callable[[Alarm | None], None] = _ignore
    on_online: Callable[[bool], None] = _ignore
    on_reported: Callable[[PromptOutcome], None] = _ignore


@dataclass(frozen=True, slots=True)
class LinkStatus:
    """What health and telemetry show.

    Attributes:
        state: of the protocol.
        acknowledged: highest record known to be durable at the relay.
        connections: how often the link came up.
        failures: failed attempts since the last progress.
        last_problem: one line, or empty.
    """

    state: State
    acknowledged: int
    connections: int
    failures: int
    last_problem: str


class Uplink:
    """Streams a buffer to the relay.

    Args:
        config: where and with which certificates.
        identity: what hello says of the unit.
        outgoing: the buffer.
        callbacks: who is told.

    Raises:
        ConfigError: certificates or keys cannot be used.
    """

    def __init__(
        self,
        config: UplinkConfig,
        identity: Identity,
        outgoing: Outgoing,
        callbacks: Callbacks | None = None,
    ) -> None:
        self._config = config
        self._tls = client_context(config)
        self._core = UplinkCore(identity, outgoing)
        self._callbacks = callbacks or Callbacks()
        self._backoff = Backoff(config.retry_first_s, config.retry_most_s)
        self._outcomes: deque[PromptOutcome] = deque(maxlen=OUTCOMES_KEPT)
        self._health: Health | None = None
        self._connections = 0
        self._failures = 0
        self._problem = ""
        self._streaming_since: float | None = None
        self._last_exchange = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake: asyncio.Event | None = None
        self._main: asyncio.Task[None] | None = None
        self._running = threading.Event()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="uplink", daemon=True)

    # -- any thread

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()
        self._running.wait()

    def stop(self) -> None:
        """End the connection and the thread. What was not acknowledged stays buffered."""
        self._ending.set()
        if self._loop is not None and self._main is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._main.cancel)
        if self._thread.is_alive():
            self._thread.join()

    def wake(self) -> None:
        """A record was appended."""
        if self._loop is not None and self._wake is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._wake.set)

    def renew(self) -> None:
        """Use the certificate that lies in its file now, from the next connection on.

        Raises:
            ConfigError: it cannot be used; the old one stays in use.
        """
        self._tls = client_context(self._config)

    def send_outcome(self, outcome: PromptOutcome) -> None:
        """Report what became of a prompt, now or once the link is up."""
        self._outcomes.append(outcome)
        self.wake()

    def send_health(self, health: Health) -> None:
        """Report the unit's state; only the latest is kept."""
        self._health = health
        self.wake()

    def status(self) -> LinkStatus:
        """How it stands."""
        return LinkStatus(
            self._core.state,
            self._core.acknowledged,
            self._connections,
            self._failures,
            self._problem,
        )

    # -- the uplink's thread

    def _run(self) -> None:
        with asyncio.Runner() as runner:
            try:
                runner.run(self._forever())
            except asyncio.CancelledError:
                return
            finally:
                self._running.set()

    async def _forever(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._main = asyncio.current_task()
        self._running.set()
        while not self._ending.is_set():
            before = self._core.acknowledged
            try:
                await self._once(self._wake)
                problem = "the relay ended the connection"
            except (IntegrityError, StorageError) as error:
                problem = error.line()
                self._callbacks.on_alarm(Alarm(AlarmCode.BUFFER, problem))
            except BayscribeError as error:
                problem = error.line()
            except Exception as error:
                # Whatever it was, the unit must go on trying; the cause is logged in full.
                log.exception("uplink failed")
                problem = type(error).__name__
            if self._core.acknowledged > before or self._was_steady():
                self._backoff.reset()
                self._failures = 0
            self._failures += 1
            if problem != self._problem:
                log.warning("relay not reached: %s", problem)
            self._problem = problem
            await asyncio.sleep(self._backoff.next())

    def _was_steady(self) -> bool:
        """Whether the last connection streamed for longer than its death takes to notice."""
        since, self._streaming_since = self._streaming_since, None
        now = asyncio.get_running_loop().time()
        return since is not None and now - since > 2 * self._config.heartbeat_s

    async def _once(self, wake: asyncio.Event) -> None:
        """One connection, to its end.

        Raises:
            LinkError: it could not be made, was refused, or broke.
        """
        async with relay_connection(self._config, self._tls) as websocket:
            await self._converse(websocket, wake)

    async def _converse(self, websocket: ClientConnection, wake: asyncio.Event) -> None:
        sender = asyncio.create_task(self._send_side(websocket, wake))
        receiver = asyncio.create_task(self._receive_side(websocket, wake))
        try:
            await asyncio.wait([sender, receiver], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sender, receiver):
                task.cancel()
            results = await asyncio.gather(sender, receiver, return_exceptions=True)
            self._core.lost()
            self._callbacks.on_online(False)
        for result in results:
            if isinstance(result, Exception):
                raise result

    async def _send_side(self, websocket: ClientConnection, wake: asyncio.Event) -> None:
        """Everything that is sent goes through here, so that it goes in order."""
        await self._do(websocket, self._core.connected())
        while True:
            wake.clear()
            while actions := self._core.pump(READ_AHEAD):
                await self._do(websocket, actions)
            if self._core.state in (State.STREAMING, State.HELD):
                await self._send_reports(websocket)
            if self._core.state is State.HELD:
                await self._hold(websocket, wake)
                return
            await self._wait(wake)

    async def _wait(self, wake: asyncio.Event) -> None:
        """Wait for a record or a message; but not for ever for an answer that is due.

        A relay that answers pings while its ingest is stuck would otherwise hold the
        stream up until somebody noticed.

        Raises:
            LinkError: ``no-answer``.
        """
        now = asyncio.get_running_loop().time
        while not wake.is_set():
            if not self._core.expecting:
                await wake.wait()
                return
            left = self._last_exchange + self._config.answer_s - now()
            if left <= 0:
                raise LinkError("the relay does not answer", code="no-answer")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await wake.wait()

    async def _hold(self, websocket: ClientConnection, wake: asyncio.Event) -> None:
        """Keep the link up for prompts and reports; then it is tried again from the mark."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._backoff.bound()):
                while True:
                    await wake.wait()
                    wake.clear()
                    await self._send_reports(websocket)

    async def _send_reports(self, websocket: ClientConnection) -> None:
        while self._outcomes:
            await websocket.send(encode(self._outcomes[0]))
            self._callbacks.on_reported(self._outcomes.popleft())
        health, self._health = self._health, None
        if health is not None:
            await websocket.send(encode(health))

    async def _receive_side(self, websocket: ClientConnection, wake: asyncio.Event) -> None:
        async for data in websocket:
            try:
                message = decode_from_relay(data)
            except LinkError:
                await websocket.close(CLOSE_MALFORMED, "malformed message")
                raise
            before = self._core.state
            self._last_exchange = asyncio.get_running_loop().time()
            await self._do(websocket, self._core.receive(message))
            if before is State.GREETING and self._core.state is not State.GREETING:
                self._connections += 1
                if self._core.state is State.STREAMING:
                    self._streaming_since = asyncio.get_running_loop().time()
                self._callbacks.on_online(True)
                log.info("relay reached, %s", self._core.state)
            wake.set()

    async def _do(self, websocket: ClientConnection, actions: Sequence[Action]) -> None:
        for action in actions:
            match action:
                case Send(message):
                    await websocket.send(encode(message))
                    self._last_exchange = asyncio.get_running_loop().time()
                case Close(code, reason):
                    await websocket.close(code, reason)
                case Alarm(code, text):
                    log.error("ALARM %s: %s", code, text)
                    self._callbacks.on_alarm(action)
                case AlarmCleared():
                    log.info("the relay takes the stream again")
                    self._callbacks.on_alarm(None)
                case Deliver(message):
                    self._callbacks.on_message(message)

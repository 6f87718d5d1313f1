"""The relay's end of ``bayscribe.commit.v1``: keeps the channel and pushes letters.

One TLS 1.3 connection, kept for good, reconnected with full jitter. A letter is pushed
the moment it is durable; after a reconnect the letters under way are asked for by
``query``. Nothing is polled over the channel.
"""

import asyncio
import contextlib
import logging
import random
import ssl
import time
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec
import websockets
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from bayscribe.errors import BadUse, LinkError, StorageError
from bayscribe_relay.writeback import protocol
from bayscribe_relay.writeback.config import WritebackConfig
from bayscribe_relay.writeback.outbox import Letter, Outbox
from bayscribe_relay.writeback.protocol import Accepted, Commit, Committed, Progress, Query
from bayscribe_relay.writeback.states import Event, State

log = logging.getLogger("bayscribe.writeback")

BACKOFF_BASE_S: Final = 0.25
BACKOFF_MAX_S: Final = 8.0
LOOK_S: Final = 0.02
"""Between looks at whether another process has put a letter into an SQLite outbox."""
LOOK_SERVER_S: Final = 0.2
"""The same on a database server, where a look is a query."""
PROMISE_S: Final = 30.0
"""From signature to chart; the gateway is told when it ends."""
ASK_AGAIN_S: Final = 45.0
"""A letter under way of which nothing was heard this long is asked for."""


def client_context(config: WritebackConfig) -> ssl.SSLContext:
    """The TLS context towards the gateway: TLS 1.3, our certificate, its authority alone.

    Raises:
        BadUse: ``tls`` if a file is missing or does not fit.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    try:
        context.load_verify_locations(config.gateway_ca)
        context.load_cert_chain(config.certificate, config.key)
    except (OSError, ssl.SSLError) as error:
        raise BadUse(
            f"the TLS files of [writeback] under {Path(config.certificate).parent}: "
            f"{getattr(error, 'reason', None) or error.strerror or 'cannot be used'}",
            "make them with `bayscribe-relay pki`",
            code="tls",
        ) from None
    return context


class Sender:
    """Pushes letters and takes the gateway's answers.

    Args:
        config: the ``[writeback]`` table.
        outbox: where letters are.
        on_change: called with a letter after each durable change.
    """

    def __init__(
        self, config: WritebackConfig, outbox: Outbox, on_change: Callable[[Letter], None]
    ) -> None:
        self._config = config
        self._outbox = outbox
        self._on_change = on_change
        self._tls = client_context(config)
        self._link: ClientConnection | None = None
        self._flying: dict[str, float] = {}
        self._lost_at: float | None = time.monotonic()
        self._seen: int | None = None
        self._work: set[asyncio.Task[None]] = set()

    @property
    def connected(self) -> bool:
        """Whether the gateway is there."""
        return self._link is not None

    @property
    def flying(self) -> tuple[str, ...]:
        """Keys of the letters that are under way."""
        return tuple(self._flying)

    @property
    def unreachable(self) -> bool:
        """Whether the gateway has been away for longer than letters may wait."""
        lost = self._lost_at
        return lost is not None and time.monotonic() - lost > self._config.patience_s

    async def run(self) -> None:
        """Keep the channel until cancelled, whatever happens."""
        while True:
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._keep_link())
                    tasks.create_task(self._keep_leases())
                    tasks.create_task(self._look_for_letters())
            except* Exception as errors:  # noqa: BLE001 - letters must go on; the log says what
                names = ", ".join(type(error).__name__ for error in errors.exceptions)
                log.error("sender failed and begins again", extra={"cause": names})  # noqa: TRY400 - a traceback may hold a letter
            await asyncio.sleep(1.0)

    async def push(self, letter: Letter, bundle: bytes) -> None:
        """Send a letter whose lease is held here; without a link it goes once there is one."""
        self._flying[letter.key] = time.monotonic()
        if letter.state is State.QUEUED:
            await self._send(_commit(letter, bundle))
        else:
            await self._send(Query(key=letter.key))

    # -- the link

    async def _keep_link(self) -> None:
        tries = 0
        while True:
            try:
                async with connect(
                    self._config.gateway_url,
                    ssl=self._tls,
                    subprotocols=[Subprotocol(protocol.SUBPROTOCOL)],
                    max_size=protocol.MESSAGE_MAX,
                    compression=None,
                    ping_interval=protocol.HEARTBEAT_S,
                    ping_timeout=protocol.HEARTBEAT_S,
                    open_timeout=2 * protocol.HEARTBEAT_S,
                    close_timeout=1.0,
                    logger=protocol.quiet_logger(),
                ) as link:
                    tries = 0
                    await self._speak(link)
            except (OSError, LinkError, StorageError, websockets.WebSocketException) as error:
                log.info("gateway link ended", extra={"cause": type(error).__name__})
            tries += 1
            ceiling = min(BACKOFF_MAX_S, BACKOFF_BASE_S * 2 ** min(tries, 10))
            await asyncio.sleep(random.uniform(0, ceiling))

    async def _speak(self, link: ClientConnection) -> None:
        if link.subprotocol != protocol.SUBPROTOCOL:
            raise LinkError("the gateway does not speak our version", code="version")
        log.info("gateway linked")
        self._link, self._lost_at = link, None
        try:
            for key in [*self._flying, *self._outbox.unalerted()]:
                await link.send(protocol.encode(Query(key=key)))
            async for text in link:
                message = protocol.decode_to_relay(text)
                if message is not None:
                    self._later(self._heard(message))
        finally:
            self._link, self._lost_at = None, time.monotonic()

    async def _send(self, message: protocol.ToGateway) -> None:
        link = self._link
        if link is not None:
            with contextlib.suppress(websockets.ConnectionClosed):
                await link.send(protocol.encode(message))

    def _later(self, coroutine: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._work.add(task)
        task.add_done_callback(self._work.discard)

    # -- what the gateway says

    async def _heard(self, message: protocol.ToRelay) -> None:
        try:
            letter = await self._take(message)
        except StorageError as error:
            # The letter stays open and is asked for again.
            log.error("outbox failed", extra={"code": error.code})  # noqa: TRY400 - no traceback
            return
        if letter is not None:
            if letter.settled_ns is not None:
                self._flying.pop(letter.key, None)
            self._on_change(letter)

    async def _take(self, message: protocol.ToRelay) -> Letter | None:
        key, box = message.key, self._outbox
        if key in self._flying:
            self._flying[key] = time.monotonic()
        if isinstance(message, Accepted):
            return await box.happened(key, Event.ACCEPT)
        if isinstance(message, Committed):
            answer = msgspec.json.encode(message)
            return await box.happened(key, Event.COMMIT, answer=answer, attempts=message.attempts)
        if isinstance(message, Progress):
            return await self._progress(message)
        event = Event.GIVE_UP if message.retryable else Event.REFUSE
        answer = msgspec.json.encode(message)
        return await box.happened(
            key, event, reason=message.reason, answer=answer, attempts=message.attempts
        )

    async def _progress(self, message: Progress) -> Letter | None:
        key = message.key
        if message.state == "alerted":
            await self._outbox.alerted([key])
            return self._outbox.get(key)
        if message.state == "parked":
            return await self._outbox.happened(
                key, Event.PARK, reason=message.reason, attempts=message.attempt
            )
        if message.state == "unknown":
            return await self._forgotten(key)
        return await self._outbox.happened(key, Event.ACCEPT)

    async def _forgotten(self, key: str) -> Letter | None:
        """The gateway does not know a key: commit it, from whatever open state."""
        letter = await self._outbox.happened(key, Event.FORGET)
        if letter is not None and letter.state is State.QUEUED:
            await self.push(letter, self._outbox.bundle(key))
        return letter

    # -- letters

    async def _look_for_letters(self) -> None:
        while True:
            try:
                moved = self._outbox.changes()
                await asyncio.sleep(LOOK_S if moved is not None else LOOK_SERVER_S)
                await self._look(moved)
            except StorageError as error:
                log.error("outbox failed", extra={"code": error.code})  # noqa: TRY400 - no traceback
                await asyncio.sleep(1.0)

    async def _look(self, moved: int | None) -> None:
        if self._link is None:
            return
        changed = moved is None or moved != self._seen
        self._seen = moved
        room = self._config.in_flight_max - len(self._flying)
        if not changed or room <= 0 or not self._outbox.anything_free():
            return
        for letter, bundle in await self._outbox.claim(room):
            await self.push(letter, bundle)

    async def _keep_leases(self) -> None:
        while True:
            await asyncio.sleep(self._config.lease_s / 3)
            try:
                await self._keep_leases_once()
            except StorageError as error:
                log.error("outbox failed", extra={"code": error.code})  # noqa: TRY400 - no traceback

    async def _keep_leases_once(self) -> None:
        if self._flying:
            await self._outbox.renew(list(self._flying))
        # Leases that ran out elsewhere change no data_version: look at the clock's pace.
        self._seen = None
        now = time.monotonic()
        for key, heard in list(self._flying.items()):
            if now - heard > ASK_AGAIN_S:
                self._flying[key] = now
                await self._send(Query(key=key))
        if self.unreachable:
            await self._park_waiting()

    async def _park_waiting(self) -> None:
        before = time.time_ns() - int(self._config.patience_s * 1e9)
        reason = "the gateway is out of reach; it is sent as soon as it is back"
        for key in await self._outbox.park_overdue(before, reason):
            letter = self._outbox.get(key)
            if letter is not None:
                self._on_change(letter)


def _commit(letter: Letter, bundle: bytes) -> Commit:
    end = datetime.fromtimestamp(letter.received_ns / 1e9 + PROMISE_S, UTC)
    return Commit(
        key=letter.key,
        site=letter.site,
        bundle=msgspec.Raw(bundle),
        note_sha256=letter.note_sha256,
        deadline=end.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        replay=letter.replay,
    )

"""The MLLP listener: takes messages in, and acknowledges what is durable.

Each connection has a reader, which cuts frames and hands messages to the inbox, and a
writer, which answers in the order of arrival once they are on the disk; so one group commit
serves many messages of many connections. A database that fails gets no acknowledgement: the
connection ends, and the sender keeps what it was not told to let go.
"""

import asyncio
import contextlib
import logging
import ssl
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from bayscribe.errors import ConfigError, StorageError
from bayscribe_relay.emr_feed import acknowledge
from bayscribe_relay.emr_feed.config import FeedTls, MllpConfig
from bayscribe_relay.emr_feed.envelope import Envelope, envelope, messages_of
from bayscribe_relay.emr_feed.inbox import Inbox
from bayscribe_relay.hl7.er7 import Malformed
from bayscribe_relay.hl7.framing import END, START, Framer

log = logging.getLogger("bayscribe.feed")


@dataclass(slots=True)
class _Batch:
    """One frame's messages on their way to the disk."""

    envelopes: list[Envelope | Malformed]
    headers: list[bytes]
    durable: "asyncio.Future[list[bool]] | None"


@dataclass(slots=True)
class Counters:
    """What the listener has seen since it began."""

    connections: int = 0
    refused_connections: int = 0
    messages: int = 0
    duplicates: int = 0
    rejected: int = 0
    unreadable: int = 0
    not_durable: int = 0
    stray_bytes: int = 0
    open: int = field(default=0)


class MllpListener:
    """Listens as configured; ``port`` is the one it got.

    Attributes:
        counters: since start.
        port: bound port.
    """

    def __init__(self, config: MllpConfig, inbox: Inbox) -> None:
        self._config = config
        self._inbox = inbox
        self._tasks: set[asyncio.Task[None]] = set()
        self.counters = Counters()
        self.port = 0

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["MllpListener"]:
        """Listen until the end of the block.

        Raises:
            ConfigError: TLS files cannot be used.
            OSError: the port cannot be bound.
        """
        config = self._config
        tls = server_context(config.tls, "feed.mllp.tls") if config.tls is not None else None
        server = await asyncio.start_server(self._accept, config.host, config.port, ssl=tls)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.counters.open >= self._config.connections_max:
            self.counters.refused_connections += 1
            writer.transport.abort()
            return
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - start_server runs its callback as a task
        self._tasks.add(task)
        self.counters.open += 1
        self.counters.connections += 1
        try:
            await self._serve(reader, writer)
        except (OSError, EOFError, ssl.SSLError):
            log.info("a sender's connection ended")
        except StorageError as error:
            self.counters.not_durable += 1
            log.error("message not acknowledged: %s", error.line())  # noqa: TRY400 - one line
        except asyncio.CancelledError:
            # The listener ends; raised further, it would be logged as a fault of the stream.
            log.debug("connection ended with the listener")
        finally:
            self.counters.open -= 1
            self._tasks.discard(task)
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pending: asyncio.Queue[_Batch | None] = asyncio.Queue(self._config.in_flight)
        answering = asyncio.ensure_future(self._answer(pending, writer))
        reading = asyncio.ensure_future(self._read(reader, pending))
        try:
            await asyncio.wait({answering, reading}, return_when=asyncio.FIRST_COMPLETED)
            if not answering.done():
                await asyncio.shield(answering)
            answering.result()
            reading.result()
        finally:
            for task in (answering, reading):
                task.cancel()
            await asyncio.gather(answering, reading, return_exceptions=True)

    async def _read(
        self, reader: asyncio.StreamReader, pending: "asyncio.Queue[_Batch | None]"
    ) -> None:
        framer = Framer(self._config.frame_max)
        try:
            while True:
                limit = self._config.frame_s if framer.pending else None
                async with asyncio.timeout(limit):
                    data = await reader.read(65_536)
                if not data:
                    break
                for frame in framer.push(data):
                    await pending.put(self._take(frame))
        except ValueError:
            self.counters.unreadable += 1
            log.warning("a frame above feed.mllp.frame_max: connection ended")
        except TimeoutError:
            log.warning("a frame did not end within feed.mllp.frame_s: connection ended")
        self.counters.stray_bytes += framer.strayed
        await pending.put(None)

    def _take(self, frame: bytes) -> _Batch:
        now = time.time_ns()
        messages, headers = messages_of(frame)
        read: list[Envelope | Malformed] = []
        for data in messages:
            try:
                read.append(envelope(data, self._config.processing_ids))
            except Malformed as reason:
                read.append(reason)
        good = [e for e in read if isinstance(e, Envelope) and e.problem is None]
        durable = None
        if good:
            durable = asyncio.wrap_future(self._inbox.submit([e.receipt(now) for e in good]))
        return _Batch(read, headers, durable)

    async def _answer(
        self, pending: "asyncio.Queue[_Batch | None]", writer: asyncio.StreamWriter
    ) -> None:
        while (batch := await pending.get()) is not None:
            if batch.durable is not None:
                new = await batch.durable
                self.counters.messages += sum(new)
                self.counters.duplicates += len(new) - sum(new)
            told: list[bytes] = []
            for one in batch.envelopes:
                if isinstance(one, Envelope):
                    self.counters.rejected += one.problem is not None
                    told += acknowledge.answers(one)
                else:
                    self.counters.unreadable += 1
                    told.append(acknowledge.unreadable(str(one)))
            if batch.headers:
                told = [acknowledge.batch(batch.headers, told)]
            writer.write(b"".join(START + one + END for one in told))
            await writer.drain()


def server_context(tls: FeedTls, where: str) -> ssl.SSLContext:
    """TLS of a listener; mutual if ``client_ca`` is given.

    Raises:
        ConfigError: a file cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(tls.certificate, tls.key)
        if tls.client_ca is not None:
            context.load_verify_locations(tls.client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError):
        raise ConfigError(
            f"{where}: certificate, key or client_ca cannot be used", "give readable PEM files"
        ) from None
    return context

"""MLLP connections that carry one message at a time.

An answer is matched by MSA-2; after a time-out the connection is dropped, so that a late
acknowledgement can never meet the next message. A sender in the original acknowledgement
mode waits for the answer before it sends the next message (HL7 v2.5.1, 2.9.2.1), so notes
that are signed together need connections of their own. How many an interface admits is
learnt from the ones that it turns away; the notes then wait for a connection.
"""

import asyncio
import contextlib
import logging
import ssl
import time
from typing import Final

from bayscribe_relay.gateway.mdm.er7 import Message
from bayscribe_relay.gateway.outcome import TryAgain
from bayscribe_relay.hl7.framing import END, START, Framer

log = logging.getLogger("bayscribe.gateway")

CONNECT_S: Final = 5.0
IDLE_S: Final = 60.0
"""After so long without a message a connection is closed: an interface has few of them."""
ADMITTED_FOR_S: Final = 60.0
"""How long the number of connections that an interface admits is taken for granted."""
STRANGERS_MAX: Final = 100
"""Answers to other messages that are passed over before the connection is given up."""


class _Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.framer = Framer()
        self.answered = False
        self.idle_since = 0.0

    @property
    def usable(self) -> bool:
        return not (self.reader.at_eof() or self.writer.is_closing())

    def stale(self, now: float) -> bool:
        return not self.usable or now - self.idle_since >= IDLE_S

    def drop(self) -> None:
        self.writer.transport.abort()


class MllpClient:
    """Connections to one interface, opened when needed, at most ``most``.

    Args:
        host: where it listens.
        port: its port.
        tls: for MLLP over TLS.
        most: connections; each has one message in flight. An interface that turns
            connections away gets fewer for a while.
        ack_timeout_s: a message that is not answered by then has failed.
    """

    def __init__(
        self,
        host: str,
        port: int,
        tls: ssl.SSLContext | None,
        *,
        most: int,
        ack_timeout_s: float,
    ) -> None:
        self._address = (host, port)
        self._tls = tls
        self._most = most
        self._admitted, self._admitted_until = most, 0.0
        self._turn = asyncio.Condition()
        self._busy = 0
        self._idle: list[_Connection] = []
        self._sweep: asyncio.TimerHandle | None = None
        self._timeout_s = ack_timeout_s

    async def close(self) -> None:
        """Drop all idle connections."""
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        while self._idle:
            self._idle.pop().drop()

    async def exchange(self, message: bytes, control_id: str) -> Message:
        """Send a message and wait for the answer whose MSA-2 is its control id.

        Raises:
            TryAgain: no connection, no answer in time (``silent``), or none that is one.
        """
        connection = await self._take()
        answered = False
        try:
            async with asyncio.timeout(self._timeout_s):
                connection.writer.write(START + message + END)
                await connection.writer.drain()
                answer = await self._answer(connection, control_id)
            answered = True
        except TimeoutError:
            raise TryAgain(
                f"no acknowledgement within {self._timeout_s:g} s", silent=True
            ) from None
        except (OSError, EOFError, ValueError) as error:
            if not connection.answered and not isinstance(error, ValueError):
                self._turned_away()
            raise TryAgain(
                f"the connection to the interface broke: {type(error).__name__}"
            ) from None
        finally:
            await self._give_back(connection, keep=answered)
        return answer

    # -- whose turn it is

    def _limit(self) -> int:
        return self._admitted if time.monotonic() < self._admitted_until else self._most

    def _turned_away(self) -> bool:
        """Learn from a refused connection; False if it was the only one."""
        others = self._busy - 1 + len(self._idle)
        if others < 1:
            return False
        self._admitted = min(self._limit(), others)
        self._admitted_until = time.monotonic() + ADMITTED_FOR_S
        log.info("interface admits fewer connections", extra={"connections": self._admitted})
        return True

    async def _take(self) -> _Connection:
        """A connection of one's own, as soon as there may be one."""
        while True:
            async with self._turn:
                await self._turn.wait_for(lambda: self._busy < self._limit())
                self._busy += 1
            try:
                return await self._connection()
            except BaseException as error:
                waits = isinstance(error, TryAgain) and self._turned_away()
                await self._leave()
                if not waits:
                    raise

    async def _give_back(self, connection: _Connection, *, keep: bool) -> None:
        if keep:
            connection.answered, connection.idle_since = True, time.monotonic()
            self._idle.append(connection)
            if self._sweep is None:
                self._sweep = asyncio.get_running_loop().call_later(IDLE_S, self._drop_stale)
        else:
            connection.drop()
        await self._leave()

    async def _leave(self) -> None:
        self._busy -= 1
        async with self._turn:
            self._turn.notify_all()

    def _drop_stale(self) -> None:
        now = time.monotonic()
        stale = [connection for connection in self._idle if connection.stale(now)]
        self._idle = [connection for connection in self._idle if not connection.stale(now)]
        for connection in stale:
            connection.drop()
        self._sweep = None
        if self._idle:
            self._sweep = asyncio.get_running_loop().call_later(IDLE_S / 2, self._drop_stale)

    async def _connection(self) -> _Connection:
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                return connection
            connection.drop()
        host, port = self._address
        try:
            async with asyncio.timeout(CONNECT_S):
                reader, writer = await asyncio.open_connection(host, port, ssl=self._tls)
        except (OSError, TimeoutError) as error:
            raise TryAgain(f"the interface is out of reach: {type(error).__name__}") from None
        return _Connection(reader, writer)

    async def _answer(self, connection: _Connection, control_id: str) -> Message:
        for _ in range(STRANGERS_MAX):
            for frame in await _frames(connection):
                message = Message.parse(frame)
                if message is None or not message.field("MSA", 2):
                    raise ValueError("an acknowledgement that is none")
                if message.component("MSA", 2) == control_id:
                    return message
        raise ValueError("only acknowledgements of other messages")


async def _frames(connection: _Connection) -> list[bytes]:
    while True:
        data = await connection.reader.read(65_536)
        if not data:
            raise EOFError
        if frames := connection.framer.push(data):
            return frames


def client_context(ca: str | None, certificate: str | None, key: str | None) -> ssl.SSLContext:
    """TLS towards a document interface."""
    context = ssl.create_default_context(cafile=ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if certificate is not None:
        with contextlib.suppress(ssl.SSLCertVerificationError):
            context.load_cert_chain(certificate, key)
    return context

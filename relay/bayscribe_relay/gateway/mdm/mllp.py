"""MLLP connections that carry one message at a time.

An answer is matched by MSA-2; after a time-out the connection is dropped, so that a late
acknowledgement can never meet the next message.
"""

import asyncio
import contextlib
import ssl
from typing import Final

from bayscribe_relay.gateway.mdm.er7 import Message
from bayscribe_relay.gateway.outcome import TryAgain
from bayscribe_relay.hl7.framing import END, START, Framer

CONNECT_S: Final = 5.0
STRANGERS_MAX: Final = 100
"""Answers to other messages that are passed over before the connection is given up."""


class _Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.framer = Framer()

    @property
    def usable(self) -> bool:
        return not (self.reader.at_eof() or self.writer.is_closing())

    def drop(self) -> None:
        self.writer.transport.abort()


class MllpClient:
    """Connections to one interface, opened when needed, at most ``most``.

    Args:
        host: where it listens.
        port: its port.
        tls: for MLLP over TLS.
        most: connections; each has one message in flight.
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
        self._slots = asyncio.Semaphore(most)
        self._idle: list[_Connection] = []
        self._timeout_s = ack_timeout_s

    async def close(self) -> None:
        """Drop all idle connections."""
        while self._idle:
            self._idle.pop().drop()

    async def exchange(self, message: bytes, control_id: str) -> Message:
        """Send a message and wait for the answer whose MSA-2 is its control id.

        Raises:
            TryAgain: no connection, no answer in time (``silent``), or none that is one.
        """
        async with self._slots:
            connection = await self._connection()
            try:
                async with asyncio.timeout(self._timeout_s):
                    connection.writer.write(START + message + END)
                    await connection.writer.drain()
                    answer = await self._answer(connection, control_id)
            except TimeoutError:
                connection.drop()
                raise TryAgain(
                    f"no acknowledgement within {self._timeout_s:g} s", silent=True
                ) from None
            except (OSError, EOFError, ValueError) as error:
                connection.drop()
                raise TryAgain(
                    f"the connection to the interface broke: {type(error).__name__}"
                ) from None
            except BaseException:
                connection.drop()
                raise
            self._idle.append(connection)
            return answer

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

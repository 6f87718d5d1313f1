"""A sender of HL7 messages, as an EMR's interface engine is one."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator

from bayscribe_relay.hl7.er7 import Message
from bayscribe_relay.hl7.framing import END, START, Framer


class Sender:
    """One MLLP connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._framer = Framer()
        self._frames: list[bytes] = []

    @classmethod
    @contextlib.asynccontextmanager
    async def connected(
        cls, port: int, tls: ssl.SSLContext | None = None
    ) -> AsyncIterator["Sender"]:
        """Connect to a listener on this machine."""
        reader, writer = await asyncio.open_connection(
            "localhost" if tls else "127.0.0.1", port, ssl=tls
        )
        try:
            yield cls(reader, writer)
        finally:
            writer.transport.abort()

    async def write(self, data: bytes) -> None:
        """Bytes as they are."""
        self._writer.write(data)
        await self._writer.drain()

    async def put(self, *messages: str | bytes) -> None:
        """Messages in frames, in one write."""
        encoded = [m.encode() if isinstance(m, str) else m for m in messages]
        await self.write(b"".join(START + m + END for m in encoded))

    async def frame(self) -> str:
        """The next frame that comes back."""
        async with asyncio.timeout(60):
            while not self._frames:
                data = await self._reader.read(65_536)
                if not data:
                    raise EOFError
                self._frames += self._framer.push(data)
        return self._frames.pop(0).decode("latin-1")

    async def answer(self) -> Message:
        """The next acknowledgement."""
        return Message.parse(await self.frame())

    async def exchange(self, message: str | bytes) -> Message:
        """Send one and wait for its answer."""
        await self.put(message)
        return await self.answer()

    async def ended(self) -> bool:
        """Whether the other side ends the connection."""
        async with asyncio.timeout(60):
            with contextlib.suppress(OSError):
                while await self._reader.read(65_536):
                    pass
        return True


def verdict(answer: Message) -> tuple[str, str]:
    """MSA-1 and MSA-2."""
    msa = answer.first("MSA")
    assert msa is not None
    return msa.get(1), msa.get(2)


def adt(event: str, control: str, *segments: str, version: str = "2.5.1", more: str = "") -> str:
    """An ADT message with these segments."""
    head = (
        f"MSH|^~\\&|EMR|GH|BAYSCRIBE|RELAY|20261123093000-0500||ADT^{event}|{control}|P|{version}"
    )
    return "\r".join([head + more, *segments]) + "\r"

"""Connections to a document interface: as many as it admits, none for longer than needed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from bayscribe_relay.gateway.mdm import mllp
from bayscribe_relay.gateway.mdm.er7 import Message
from bayscribe_relay.gateway.mdm.mllp import MllpClient
from bayscribe_relay.gateway.outcome import TryAgain
from bayscribe_relay.hl7.framing import END, START, Framer


class Interface:
    """A document interface that serves so many connections and turns the others away.

    It answers when it is let (``answering``), each message on its own connection.
    """

    def __init__(self, admits: int) -> None:
        self.admits = admits
        self.answering = asyncio.Event()
        self.open = 0
        self.most = 0
        self.turned_away = 0
        self.waiting = 0
        self.port = 0
        self.changed = asyncio.Condition()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.open >= self.admits:
            self.turned_away += 1
            await self._tell()
            writer.close()
            return
        self.open += 1
        self.most = max(self.most, self.open)
        framer = Framer()
        try:
            while data := await reader.read(65_536):
                for frame in framer.push(data):
                    await self._answer(frame, writer)
        except ConnectionError:
            pass
        finally:
            self.open -= 1
            writer.close()
            await self._tell()

    async def _answer(self, frame: bytes, writer: asyncio.StreamWriter) -> None:
        message = Message.parse(frame)
        assert message is not None
        self.waiting += 1
        await self._tell()
        await self.answering.wait()
        self.waiting -= 1
        ack = f"MSH|^~\\&|A|B|C|D|20260101||ACK|1|P|2.5.1\rMSA|AA|{message.field('MSH', 10)}\r"
        writer.write(START + ack.encode() + END)
        await writer.drain()

    async def _tell(self) -> None:
        async with self.changed:
            self.changed.notify_all()

    async def until(self, waiting: int = 0, away: int = 0, still_open: int | None = None) -> None:
        def reached() -> bool:
            shut = still_open is None or self.open == still_open
            return self.waiting >= waiting and self.turned_away >= away and shut

        async with asyncio.timeout(60), self.changed:
            await self.changed.wait_for(reached)


@asynccontextmanager
async def interface(admits: int, most: int) -> AsyncIterator[tuple[Interface, MllpClient]]:
    """The interface, and the product's client of it."""
    other = Interface(admits)
    server = await asyncio.start_server(other.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    client = MllpClient("127.0.0.1", port, None, most=most, ack_timeout_s=60.0)
    other.port = port
    try:
        yield other, client
    finally:
        await client.close()
        await other.until(still_open=0)
        server.close()
        await server.wait_closed()


async def send(client: MllpClient, control: str) -> str:
    message = f"MSH|^~\\&|A|B|C|D|20260101||MDM^T02|{control}|P|2.5.1\r".encode()
    return (await client.exchange(message, control)).component("MSA", 2)


def test_notes_signed_together_do_not_wait_for_each_other() -> None:
    async def run() -> None:
        async with interface(admits=40, most=64) as (other, client):
            notes = [asyncio.create_task(send(client, f"N{n}")) for n in range(40)]
            await other.until(waiting=40)
            other.answering.set()
            assert await asyncio.gather(*notes) == [f"N{n}" for n in range(40)]

    asyncio.run(run())


def test_an_interface_that_turns_connections_away_is_given_no_more_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mllp, "ADMITTED_FOR_S", 3600.0)

    async def run() -> None:
        async with interface(admits=3, most=64) as (other, client):
            first = [asyncio.create_task(send(client, f"A{n}")) for n in range(8)]
            await other.until(waiting=3, away=5)
            other.answering.set()
            results = await asyncio.gather(*first, return_exceptions=True)
            assert sum(isinstance(result, TryAgain) for result in results) == 5
            again = await asyncio.gather(*(send(client, f"B{n}") for n in range(20)))
            assert again == [f"B{n}" for n in range(20)]
            assert (other.most, other.turned_away) == (3, 5)

    asyncio.run(run())


def test_a_note_that_gets_no_connection_waits_for_one_of_the_others() -> None:
    """The interface listens no more while it serves as many connections as it can."""

    async def run() -> None:
        other = Interface(admits=1)
        server = await asyncio.start_server(other.serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        client = MllpClient("127.0.0.1", port, None, most=64, ack_timeout_s=60.0)
        first = asyncio.create_task(send(client, "A"))
        await other.until(waiting=1)
        server.close()
        rest = [asyncio.create_task(send(client, f"B{n}")) for n in range(5)]
        other.answering.set()
        assert await asyncio.gather(first, *rest) == ["A", *(f"B{n}" for n in range(5))]
        await client.close()
        await other.until(still_open=0)
        with pytest.raises(TryAgain, match="out of reach"):
            await send(client, "C")

    asyncio.run(run())


def test_a_connection_without_work_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mllp, "IDLE_S", 0.05)

    async def run() -> None:
        async with interface(admits=4, most=4) as (other, client):
            other.answering.set()
            await asyncio.gather(*(send(client, f"N{n}") for n in range(4)))
            await other.until(still_open=0)
            assert await send(client, "later") == "later"

    asyncio.run(run())


def test_who_stops_waiting_for_a_connection_takes_none() -> None:
    async def run() -> None:
        async with interface(admits=1, most=1) as (other, client):
            first = asyncio.create_task(send(client, "A"))
            await other.until(waiting=1)
            second = asyncio.create_task(send(client, "B"))
            third = asyncio.create_task(send(client, "C"))
            await asyncio.sleep(0)
            second.cancel()
            with suppress(asyncio.CancelledError):
                await second
            other.answering.set()
            assert (await first, await third) == ("A", "C")

    asyncio.run(run())

"""HL7 messages a second with durable acknowledgement, and what kill -9 loses.

``python -m benchmarks.feed [--seconds S] [--connections N] [--kills N]``

A feed (listener, inbox on SQLite with ``synchronous=FULL``, worker) runs as a process of its
own; senders on N connections each send a message, wait for its acknowledgement, and send the
next. First without disturbance, for the rate; then the process is killed with SIGKILL again
and again and started anew, senders repeat what was not acknowledged, and in the end every
acknowledged message must stand in the inbox exactly once, interpreted, with its event.
"""

import argparse
import asyncio
import contextlib
import logging
import os
import random
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import psutil

from bayscribe_relay.clinical.store import ClinicalStore
from bayscribe_relay.emr_feed.config import FeedConfig, MllpConfig
from bayscribe_relay.emr_feed.feed import Feed
from bayscribe_relay.encounters.config import EncountersConfig
from bayscribe_relay.hl7.framing import END, START, Framer

VISITS: Final = 50


def visit_message(visit: int) -> str:
    """The registration of one of the patients."""
    return (
        f"MSH|^~\\&|EMR|GH|||20261123113000||ADT^A04|A{visit}|P|2.5.1\r"
        f"EVN||20261123113000\rPID|1||M{visit}^^^GH^MR||Doe^Jane||19560401|F\r"
        f"PV1|1|E|ED^{visit}^A||||||||||||||||V{visit}\r"
    )


def result_message(name: str, n: int) -> str:
    """A set of vital signs of one of the patients."""
    visit, minute = n % VISITS, n // VISITS % 1_000
    at = f"20261123{12 + minute // 60 % 12:02d}{minute % 60:02d}{n % 60:02d}"
    return (
        f"MSH|^~\\&|EMR|GH|||{at}||ORU^R01|{name}-{n}|P|2.5.1\r"
        f"PID|1||M{visit}^^^GH^MR||Doe^Jane||19560401|F\r"
        f"PV1|1|E|ED^{visit}^A||||||||||||||||V{visit}\r"
        f"OBR|1||{name}-{n}|VS^Vital signs^L|||{at}\r"
        f"OBX|1|NM|8867-4^Heart rate^LN||{60 + n % 60}|/min|||||F|||{at}\r"
    )


class Sender:
    """One connection that sends a message after the other, over restarts of the other side."""

    def __init__(self, name: str, port: int) -> None:
        self.acknowledged: list[str] = []
        self.waits: list[float] = []
        self._name, self._port = name, port
        self._n = 0

    async def run(self, until: float) -> None:
        """Send until an instant of the monotonic clock."""
        while time.monotonic() < until:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            except OSError:
                await asyncio.sleep(0.05)
                continue
            try:
                await self._talk(reader, writer, until)
            except (OSError, EOFError):
                continue
            finally:
                writer.transport.abort()

    async def _talk(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, until: float
    ) -> None:
        framer = Framer()
        while time.monotonic() < until:
            message, begun = result_message(self._name, self._n), time.monotonic()
            writer.write(START + message.encode() + END)
            frames: list[bytes] = []
            while not frames:
                data = await reader.read(65_536)
                if not data:
                    raise EOFError
                frames = framer.push(data)
            if f"MSA|AA|{self._name}-{self._n}".encode() not in frames[0]:
                raise AssertionError(frames[0])
            self.acknowledged.append(f"{self._name}-{self._n}")
            self.waits.append(time.monotonic() - begun)
            self._n += 1


@contextlib.contextmanager
def feed_process(folder: Path, port: int) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A feed as a process of its own, and its port."""
    command = [sys.executable, "-m", "benchmarks.feed", "--serve", str(folder)]
    process = subprocess.Popen([*command, "--port", str(port)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process, int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


async def serve(folder: Path, port: int) -> None:
    """The process under test."""
    store = ClinicalStore(f"sqlite:///{folder}/relay.db")
    config = FeedConfig(site="demo", mllp=MllpConfig(port=port))
    async with Feed.running(config, store, EncountersConfig()) as feed:
        assert feed.mllp is not None
        print(feed.mllp.port, flush=True)
        await asyncio.Event().wait()


async def senders(name: str, port: int, connections: int, seconds: float) -> list[Sender]:
    """Let them send for a while."""
    made = [Sender(f"{name}{i}", port) for i in range(connections)]
    until = time.monotonic() + seconds
    await asyncio.gather(*(sender.run(until) for sender in made))
    return made


async def register(port: int) -> None:
    """Open the stays that the results are of."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for visit in range(VISITS):
        writer.write(START + visit_message(visit).encode() + END)
        await reader.readuntil(END)
    writer.close()


def uninterpreted(folder: Path) -> int:
    """Messages that the worker has not come to."""
    with contextlib.closing(sqlite3.connect(folder / "relay.db", timeout=30)) as link:
        query = "SELECT count(*) FROM feed_messages WHERE state = 'received'"
        return int(link.execute(query).fetchone()[0])


def settle(folder: Path) -> float:
    """Wait until everything is interpreted; the seconds that it took."""
    begun = time.monotonic()
    while uninterpreted(folder):
        time.sleep(0.1)
    return time.monotonic() - begun


def rate(folder: Path, connections: int, seconds: float) -> None:
    """The undisturbed rate."""
    with feed_process(folder, 0) as (process, port):
        asyncio.run(register(port))
        usage = psutil.Process(process.pid)
        before = sum(usage.cpu_times()[:2])
        made = asyncio.run(senders("R", port, connections, seconds))
        behind = uninterpreted(folder)
        took = settle(folder)
        spent = sum(usage.cpu_times()[:2]) - before
    waits = sorted(wait for sender in made for wait in sender.waits)
    quantiles = statistics.quantiles(waits, n=100)
    print(
        f"{len(waits) / seconds:.0f} messages/s acknowledged durably on {connections} connections "
        f"(median {quantiles[49] * 1e3:.0f} ms, p99 {quantiles[98] * 1e3:.0f} ms); "
        f"interpretation {behind} behind at the end, done {took:.1f} s later: "
        f"{len(waits) / (seconds + took):.0f} messages/s into the record; "
        f"{spent / len(waits) * 1e3:.1f} ms of one core a message, "
        f"load average {os.getloadavg()[0]:.0f} on {os.cpu_count()} cores"
    )


def kills(folder: Path, connections: int, number: int) -> bool:
    """Kill and restart; whether every promise was kept."""
    rng = random.Random(1)

    async def story() -> list[Sender]:
        with feed_process(folder, 0) as (process, port):
            await register(port)
        seconds = number * 3.0
        sending = asyncio.create_task(senders("K", port, connections, seconds))
        for _ in range(number):
            with feed_process(folder, port) as (process, _):
                await asyncio.sleep(rng.uniform(0.5, 2.0))
                os.kill(process.pid, signal.SIGKILL)
        with feed_process(folder, port):
            return await sending

    made = asyncio.run(story())
    with feed_process(folder, 0):
        settle(folder)
    told = [name for sender in made for name in sender.acknowledged]
    with contextlib.closing(sqlite3.connect(folder / "relay.db")) as link:
        rows = link.execute("SELECT control_id, state FROM feed_messages").fetchall()
        events = link.execute("SELECT id FROM clinical_events").fetchall()
    states = dict(rows)
    lost = [name for name in told if states.get(name) != "done"]
    twice = len(rows) - len(states)
    of_results = [ident for (ident,) in events if ":K" in ident]
    missing = len({n for n, s in rows if n.startswith("K")}) - len(set(of_results))
    print(
        f"{number} kills with SIGKILL: {len(told)} messages acknowledged, {len(lost)} lost, "
        f"{twice} kept twice, {missing} without their event"
    )
    return not (lost or twice or missing)


def main() -> int:
    """Measure, print; 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.feed", description=__doc__)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--kills", type=int, default=8)
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, default=0, help=argparse.SUPPRESS)
    options, _ = parser.parse_known_args()
    logging.basicConfig(level=logging.ERROR)
    if options.serve is not None:
        asyncio.run(serve(options.serve, options.port))
        return 0
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        rate(Path(first), options.connections, options.seconds)
        kept = kills(Path(second), options.connections, options.kills)
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())

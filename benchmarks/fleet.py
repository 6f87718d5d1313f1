"""Five hundred units on one broker and one fleet page: how far the page lags the truth.

A real mosquitto with the product's configuration, each unit over its own TLS 1.3 connection
with its own certificate. Units say their levels every second and health every ten; now and
then one changes its activity, raises or clears an alarm, or is cut off without a word. The
page's JSON is asked four times a second over HTTP and compared with what the units know. What the
page says of its own (that a unit is away, or comes and goes) is no news of a unit and is left out.
All of it runs on this machine: units, broker, page and the comparison share its processors.
"""

import argparse
import asyncio
import contextlib
import random
import resource
import ssl
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import psutil

from bayscribe.telemetry.messages import now
from bayscribe.wire.fleet import Buffer, Health, Levels, ProblemLine, Status, Topic, encode
from bayscribe_relay.fleet import broker
from bayscribe_relay.pki import files
from bayscribe_relay.pki.authority import Authority, Issued

ACTIVITIES = ("recording", "idle", "muted")
PROBLEM = ProblemLine(code="microphone-dead", check="microphones", severity="alarm", words="one")
TARGET_S = 2.0
POLL_S = 0.25


@dataclass
class Truth:
    """What a unit knows of itself, and since when."""

    activity: str = "recording"
    severity: str = "ok"
    online: bool = True
    since: float = 0.0


@dataclass
class Lag:
    """How long changes took to show."""

    shown_s: list[float] = field(default_factory=list)
    worst_open_s: float = 0.0


class SimulatedUnit:
    """A unit without a microphone: MQTT 5 over TLS, written out by hand to be light."""

    def __init__(self, name: str, port: int, context: ssl.SSLContext, seed: int) -> None:
        self.name = name
        self.truth = Truth(since=time.monotonic())
        self._port = port
        self._context = context
        self._random = random.Random(seed)
        self._writer: asyncio.StreamWriter | None = None
        self.reading: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        """Connect, with a last will, and say hello."""
        reader, self._writer = await asyncio.open_connection(
            "127.0.0.1", self._port, ssl=self._context, server_hostname="localhost"
        )
        will = encode(Status(state="offline"))
        name = self.name.encode()
        body = _text(b"MQTT") + bytes([5, 0b00101110]) + struct.pack(">H", 30) + b"\x00"
        body += _text(name) + b"\x00" + _text(self._topic("status")) + _text(will)
        self._writer.write(b"\x10" + _length(len(body)) + body)
        answer = await reader.readexactly(4)
        if answer[0] != 0x20 or answer[3] != 0:
            raise ConnectionError(f"{self.name} was refused: {answer.hex()}")
        self.reading = asyncio.create_task(_discard(reader))
        self.truth.online, self.truth.since = True, time.monotonic()
        self.say_status()
        self.say_health()

    def _topic(self, channel: str) -> bytes:
        return str(Topic("demo", self.name, self.name, channel)).encode()

    def _publish(self, channel: str, payload: bytes, *, retain: bool = False) -> None:
        if self._writer is not None and not self._writer.is_closing():
            body = _text(self._topic(channel)) + b"\x00" + payload
            self._writer.write(bytes([0x30 | int(retain)]) + _length(len(body)) + body)

    def say_status(self) -> None:
        """What the unit does."""
        truth = self.truth
        status = msgspec.convert(
            {
                "state": "online",
                "at": now(),
                "activity": truth.activity,
                "severity": truth.severity,
                "may_go_live": truth.severity == "ok",
                "software": "0.1.0",
            },
            Status,
        )
        self._publish("status", encode(status), retain=True)

    def say_health(self) -> None:
        """How it stands."""
        bad = self.truth.severity == "alarm"
        health = Health(
            at=now(),
            severity="alarm" if bad else "ok",
            may_go_live=not bad,
            problems=(PROBLEM,) if bad else (),
            celsius=51.0,
        )
        self._publish("health", encode(health))

    def say_levels(self) -> None:
        """What it hears."""
        levels = tuple(round(self._random.uniform(55, 75), 1) for _ in range(4))
        self._publish("levels", encode(Levels(at=now(), db_spl=levels)))

    def change(self) -> None:
        """Something happens in the bay."""
        truth = self.truth
        truth.since = time.monotonic()
        if self._random.random() < 0.5:
            others = [word for word in ACTIVITIES if word != truth.activity]
            truth.activity = self._random.choice(others)
        else:
            truth.severity = "alarm" if truth.severity == "ok" else "ok"
        self.say_status()
        self.say_health()

    def cut(self) -> None:
        """The cable is pulled; the broker sees the connection break."""
        if self._writer is not None:
            self.truth.online, self.truth.since = False, time.monotonic()
            self._writer.transport.abort()
            self._writer = None

    async def live(self, change_every_s: float) -> None:
        """Until cancelled."""
        await asyncio.sleep(self._random.random())
        tick = 0
        while True:
            await asyncio.sleep(1.0)
            tick += 1
            if self._writer is None:
                if self._random.random() < 0.2:
                    await self.connect()
                continue
            self.say_levels()
            if tick % 10 == 0:
                self.say_health()
                self._publish("buffer", encode(_buffer()))
            if self._random.random() < 1 / change_every_s:
                self.change()
            elif self._random.random() < 0.1 / change_every_s:
                self.cut()


def _buffer() -> Buffer:
    return Buffer(at=now(), level="ok", pending=1, pending_mib=0.1, relay_up=True)


def _text(data: bytes) -> bytes:
    return struct.pack(">H", len(data)) + data


def _length(value: int) -> bytes:
    out = bytearray()
    while True:
        value, low = divmod(value, 128)
        out.append(low | (0x80 if value else 0))
        if not value:
            return bytes(out)


async def _discard(reader: asyncio.StreamReader) -> None:
    with contextlib.suppress(OSError):
        while await reader.read(4096):
            pass


def _own_severity(shown: dict[str, Any]) -> str:
    """How bad it is by what the unit said, without what the page says of its connection."""
    own = [line["severity"] for line in shown["problems"] if line["check"] != "fleet"]
    if len(own) == len(shown["problems"]):
        return str(shown["severity"])
    return str(own[0]) if own else "ok"


class Watcher:
    """Compares the page with the truth."""

    def __init__(self, units: list[SimulatedUnit], url: str) -> None:
        self._units = units
        self._url = url
        self.lag = Lag()
        self.polls = 0
        self._behind: dict[str, float] = {}

    async def watch(self) -> None:
        """Until cancelled."""
        async with aiohttp.ClientSession() as session:
            while True:
                await asyncio.sleep(POLL_S)
                asked = time.monotonic()
                async with session.get(self._url) as answer:
                    page = await answer.json()
                self._compare({unit["device"]: unit for unit in page["units"]}, asked)
                self.polls += 1

    def _compare(self, page: dict[str, dict[str, Any]], asked: float) -> None:
        for unit in self._units:
            truth, shown = unit.truth, page.get(unit.name)
            same = shown is not None and shown["online"] == truth.online
            if same and shown is not None and truth.online:
                same = (shown["activity"], _own_severity(shown)) == (
                    truth.activity,
                    truth.severity,
                )
            since = self._behind.pop(unit.name, None)
            if not same:
                self._behind[unit.name] = truth.since
                self.lag.worst_open_s = max(self.lag.worst_open_s, asked - truth.since)
            elif since is not None:
                self.lag.shown_s.append(asked - since)


def _site(folder: Path, units: int) -> tuple[int, list[ssl.SSLContext]]:
    """Certificates and configurations; the broker's port and every unit's TLS."""
    authority = Authority.create("Benchmark CA")
    (folder / "ca.pem").write_bytes(Issued(authority.certificate, None).pem())
    named = [
        ("localhost", authority.server("localhost", ["127.0.0.1"])),
        (broker.FLEET_USER, authority.relay_client(broker.FLEET_USER)),
        *((name(i), authority.device(name(i))) for i in range(units)),
    ]
    for stem, issued in named:
        (folder / f"{stem}.pem").write_bytes(issued.pem())
        if issued.key is not None:
            (folder / f"{stem}.key").write_bytes(files.key_pem(issued.key))
    port = _free_port()
    acl = folder / "acl"
    acl.write_text(broker.access_list())
    acl.chmod(0o600)
    text = broker.configuration(port, folder, "localhost", acl, host="127.0.0.1")
    (folder / "mosquitto.conf").write_text("user root\n" + text)
    (folder / "fleet.toml").write_text(
        f'[fleet]\nhost = "localhost"\nport = {port}\nca = "ca.pem"\n'
        f'certificate = "fleet.pem"\nkey = "fleet.key"\npage_port = 0\n'
    )
    contexts = []
    for i in range(units):
        context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(folder / f"{name(i)}.pem", folder / f"{name(i)}.key")
        contexts.append(context)
    return port, contexts


def name(number: int) -> str:
    """A unit's name."""
    return f"bay-{number:03}"


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def simulate(folder: Path, options: argparse.Namespace) -> bool:
    """Run it all; whether every change showed within the target."""
    port, contexts = _site(folder, options.units)
    log = (folder / "log").open("wb")
    mosquitto = subprocess.Popen(  # noqa: ASYNC220 - started once, before anything runs
        ["/usr/sbin/mosquitto", "-c", str(folder / "mosquitto.conf")], stdout=log, stderr=log
    )
    await asyncio.sleep(1.0)
    command = [sys.executable, "-m", "bayscribe_relay.cli", "fleet", "serve"]
    page = await asyncio.create_subprocess_exec(
        *command, "--config", str(folder / "fleet.toml"), stdout=subprocess.PIPE
    )
    try:
        assert page.stdout is not None
        url = (await page.stdout.readline()).decode().strip() + "data.json"
        units = [SimulatedUnit(name(i), port, c, i) for i, c in enumerate(contexts)]
        begin = time.monotonic()
        for start in range(0, len(units), 25):
            await asyncio.gather(*(unit.connect() for unit in units[start : start + 25]))
        print(f"units                {len(units)}, connected in {time.monotonic() - begin:.1f} s")
        return await _measure(units, url, options, page.pid, mosquitto.pid)
    finally:
        page.terminate()
        await page.wait()
        mosquitto.terminate()
        mosquitto.wait()
        log.close()


async def _measure(
    units: list[SimulatedUnit], url: str, options: argparse.Namespace, page: int, mosquitto: int
) -> bool:
    watcher = Watcher(units, url)
    living = [asyncio.create_task(unit.live(options.change_every)) for unit in units]
    await asyncio.sleep(3.0)
    processes = {"fleet page": psutil.Process(page), "mosquitto": psutil.Process(mosquitto)}
    before = {who: sum(one.cpu_times()[:2]) for who, one in processes.items()}
    watching = asyncio.create_task(watcher.watch())
    await asyncio.sleep(options.seconds)
    used = {who: sum(one.cpu_times()[:2]) - before[who] for who, one in processes.items()}
    for task in (*living, watching):
        task.cancel()
    await asyncio.gather(*living, watching, return_exceptions=True)
    for unit in units:
        unit.cut()
    await asyncio.gather(*(unit.reading for unit in units if unit.reading is not None))
    lags = sorted(watcher.lag.shown_s)
    worst = max([watcher.lag.worst_open_s, *lags[-1:]])
    for who, seconds in used.items():
        memory = processes[who].memory_info().rss / (1 << 20)
        print(f"{who:20} {100 * seconds / options.seconds:.0f} % of a CPU, {memory:.0f} MiB")
    own = resource.getrusage(resource.RUSAGE_SELF)
    print(f"simulation           {own.ru_utime + own.ru_stime:.0f} CPU-s beside it")
    middle = lags[len(lags) // 2] if lags else 0.0
    print(f"changes seen late    {len(lags)} at {watcher.polls} looks, median {middle:.2f} s")
    print(f"page behind truth    at most {worst:.2f} s (target {TARGET_S:g} s)")
    return worst <= TARGET_S and watcher.polls > 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run it; exit status 0 if the page kept within the target."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--units", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--change-every", type=float, default=20.0, help="seconds, per unit")
    options = parser.parse_args(argv if argv is not None else [])
    with tempfile.TemporaryDirectory() as folder:
        good = asyncio.run(simulate(Path(folder), options))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

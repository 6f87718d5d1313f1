"""``bayscribe commission``: guided commissioning, on the terminal or a local web page."""

import argparse
import asyncio
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bayscribe import logs
from bayscribe.commands import add_config
from bayscribe.errors import BadUse

if TYPE_CHECKING:
    from bayscribe.commission.bench import Bench
    from bayscribe.commission.session import Session


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = (
        "The daemon must be stopped: both need the array. docs/commissioning.md is the guide.\n"
        "exit status: 0 every step passed or was left out with a reason, 1 not, 2 bad use."
    )
    add_config(parser)
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--web",
        metavar="ADDRESS:PORT",
        help="a page on this one address, opened by the code that is printed here",
    )
    how.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        help="scripted: answers from FILE, events as JSON lines on standard output",
    )
    how.add_argument(
        "--verify",
        action="store_true",
        help="only check the signature of the report that the unit has",
    )
    how.add_argument("--sweep", type=Path, metavar="FILE", help="write the sweep as WAV, and end")


def run(options: argparse.Namespace) -> int:
    """Commission; 0 if every step passed or was left out with a reason."""
    if options.sweep is not None:
        from bayscribe.commission.web import sweep_wav

        options.sweep.write_bytes(sweep_wav())
        return 0
    from bayscribe.audio.capture import CaptureSource
    from bayscribe.commission.bench import Bench
    from bayscribe.commission.session import Session
    from bayscribe.config import load_config

    path = options.config.absolute()
    bench = Bench.of(load_config(path), path)
    logs.set_up("stderr", "error")
    if options.verify:
        return _verify(bench)
    config = bench.config
    source = CaptureSource(
        bench.profile,
        config.array.pcm,
        period_frames=config.array.period_frames,
        periods=config.array.periods,
    )
    session = Session(bench, source)
    session.open()
    try:
        return _front(options, session)
    finally:
        session.close()


def _front(options: argparse.Namespace, session: "Session") -> int:
    from bayscribe.commission import scripted, terminal

    if options.json is not None:
        done = scripted.run(session, scripted.load(options.json), sys.stdout)
    elif options.web is not None:
        done = asyncio.run(_serve(session, options.web))
    else:
        done = terminal.run(session, sys.stdout)
    return 0 if done else 1


def _verify(bench: "Bench") -> int:
    from bayscribe.commission import record

    results = record.load(bench.folder, bench.device, bench.signing_key().public_key())
    if results is None:
        print("this unit has not been commissioned")
        return 1
    print(f"{results.device} in {results.bay}, commissioned {results.at}: the signature is good")
    return 0


def _address(text: str) -> tuple[str, int]:
    host, separator, port = text.rpartition(":")
    if not separator or not port.isdigit() or not host:
        raise BadUse(f"--web {text!r} is not ADDRESS:PORT", "for instance 192.168.99.1:8800")
    return host.strip("[]"), int(port)


async def _serve(session: "Session", address: str) -> bool:
    from aiohttp import web

    from bayscribe.commission.web import Front, new_code

    host, port = _address(address)
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    code = new_code()
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    runner = web.AppRunner(Front(session, code, (place,)).application(), access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        print(f"http://{place}/  code {code}", flush=True)
        await ended.wait()
    except OSError as error:
        raise BadUse(f"cannot listen on {place}: {error.strerror}", "check --web") from None
    finally:
        await runner.cleanup()
    return session.current is None

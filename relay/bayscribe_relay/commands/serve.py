"""``bayscribe-relay serve``: take in the streams until told to stop."""

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import sys
from pathlib import Path

from bayscribe.errors import BadUse
from bayscribe_relay import config
from bayscribe_relay.ingest.server import IngestServer
from bayscribe_relay.notify import notify
from bayscribe_relay.writeback.config import Outgoing


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--config", type=Path, required=True, help="TOML file")
    parser.add_argument("--verbose", action="store_true", help="log more")


def run(options: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT; SIGHUP reads certificate and revocations again."""
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.DEBUG if options.verbose else logging.INFO,
        format="%(message)s" if "JOURNAL_STREAM" in os.environ else "%(levelname)s %(message)s",
    )
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    loaded = config.load(options.config)
    outgoing = None
    if loaded.writeback is not None:
        outgoing = Outgoing(loaded.store.url, loaded.writeback)
    return asyncio.run(_serve(IngestServer(loaded), outgoing))


async def _serve(server: IngestServer, outgoing: Outgoing | None) -> int:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    loop.add_signal_handler(signal.SIGHUP, server.reload)
    try:
        async with server.running(), contextlib.AsyncExitStack() as more:
            if outgoing is not None:
                # A relay that writes nothing back needs none of its libraries.
                from bayscribe_relay.writeback.service import Writeback

                await more.enter_async_context(Writeback.running(outgoing))
            notify(f"READY=1\nSTATUS=listening on port {server.port}")
            await ended.wait()
            notify("STOPPING=1")
    except OSError as error:
        raise BadUse(
            f"cannot listen: {error.strerror or error}", "check listen.host and listen.port"
        ) from None
    return 0

"""``bayscribe-relay serve``: run every configured part until told to stop."""

import argparse
import asyncio
import logging
import os
import signal
import sys
from pathlib import Path

from bayscribe.errors import BadUse
from bayscribe_relay import config
from bayscribe_relay.ingest.server import IngestServer
from bayscribe_relay.notify import notify
from bayscribe_relay.services import Services


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
    return asyncio.run(_serve(loaded))


async def _serve(loaded: config.RelayConfig) -> int:
    server = IngestServer(loaded)
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    loop.add_signal_handler(signal.SIGHUP, server.reload)
    try:
        async with server.running(), Services.running(loaded, server):
            notify(f"READY=1\nSTATUS=listening on port {server.port}")
            await ended.wait()
            notify("STOPPING=1")
    except OSError as error:
        raise BadUse(
            f"cannot listen: {error.strerror or error}",
            "check the host and port of every table that listens",
        ) from None
    return 0

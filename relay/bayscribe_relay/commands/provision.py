"""``bayscribe-relay provision``: enrol new units and hand out updates."""

import argparse
import asyncio
import logging
import os
import signal
import sys
from pathlib import Path

from bayscribe.errors import BadUse
from bayscribe_relay.notify import notify
from bayscribe_relay.provision import config
from bayscribe_relay.provision.server import ProvisionServer


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--config", type=Path, required=True, help="TOML file")


def run(options: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT."""
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.INFO,
        format="%(message)s" if "JOURNAL_STREAM" in os.environ else "%(levelname)s %(message)s",
    )
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    return asyncio.run(_serve(ProvisionServer(config.load(options.config))))


async def _serve(server: ProvisionServer) -> int:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    try:
        async with server.running():
            notify(f"READY=1\nSTATUS=listening on port {server.port}")
            await ended.wait()
            notify("STOPPING=1")
    except OSError as error:
        raise BadUse(
            f"cannot listen: {error.strerror or error}", "check listen.host and listen.port"
        ) from None
    return 0

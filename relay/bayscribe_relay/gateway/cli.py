"""``bayscribe-gateway``: the service that talks to the EMRs."""

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from bayscribe import __version__
from bayscribe.errors import BadUse, BayscribeError
from bayscribe_relay.gateway import config
from bayscribe_relay.gateway.server import Gateway
from bayscribe_relay.notify import notify


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0 done; 1 it ran and the answer is no; 2 bad use or bad input.
    """
    parser = argparse.ArgumentParser(
        prog="bayscribe-gateway", description="The gateway of Bayscribe: writes notes to EMRs."
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    serve = commands.add_parser("serve", help="take notes from relays and write them")
    serve.add_argument("--config", type=Path, required=True, help="TOML file")
    serve.add_argument("--verbose", action="store_true", help="log more")
    serve.set_defaults(run=_serve)
    check = commands.add_parser("check", help="read the configuration and say whether it is good")
    check.add_argument("--config", type=Path, required=True, help="TOML file")
    check.set_defaults(run=_check)
    options = parser.parse_args(argv)
    try:
        return int(options.run(options))
    except BayscribeError as error:
        print(f"bayscribe-gateway: {error.line()}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        return 1


def _check(options: argparse.Namespace) -> int:
    loaded = config.load(options.config)
    Gateway(loaded)
    print(f"{options.config}: good; sites: {', '.join(sorted(loaded.sites))}")
    return 0


def _serve(options: argparse.Namespace) -> int:
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.DEBUG if options.verbose else logging.INFO,
        format="%(message)s" if "JOURNAL_STREAM" in os.environ else "%(levelname)s %(message)s",
    )
    for name in ("asyncio", "websockets"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return asyncio.run(_until_told(Gateway(config.load(options.config))))


async def _until_told(gateway: Gateway) -> int:
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    try:
        async with gateway.running():
            print(f"listening on port {gateway.port}", flush=True)
            notify(f"READY=1\nSTATUS=listening on port {gateway.port}")
            await ended.wait()
            notify("STOPPING=1")
    except OSError as error:
        raise BadUse(
            f"cannot listen: {error.strerror or error}", "check listen.host and listen.port"
        ) from None
    return 0


if __name__ == "__main__":
    sys.exit(main())

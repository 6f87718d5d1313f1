"""``bayscribe-relay fleet``: keys, broker configuration, the page, and commands to units."""

import argparse
import asyncio
import contextlib
import json
import signal
import time
from dataclasses import asdict
from pathlib import Path
from typing import get_args

import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from bayscribe.errors import BadUse, LinkError
from bayscribe.wire.signed_command import CommandName
from bayscribe_relay.fleet import broker
from bayscribe_relay.fleet.config import load
from bayscribe_relay.fleet.subscriber import Fleet
from bayscribe_relay.pki import files

CONNECT_S = 10.0
SETTLE_S = 1.0
"""Seconds in which the broker has handed over all retained states."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    key = actions.add_parser("key", help="make the key pair that signs commands to units")
    key.add_argument("--dir", type=Path, default=Path(), help="folder (default: here)")
    key.set_defaults(action_run=_key)
    conf = actions.add_parser("broker", help="write mosquitto.conf and its access list")
    conf.add_argument("server", help="name of the broker's certificate, from `pki server`")
    conf.add_argument("--dir", type=Path, default=Path(), help="folder of the authority")
    conf.add_argument("--out", type=Path, default=Path(), help="folder for the two files")
    conf.add_argument("--port", type=int, default=8883)
    conf.set_defaults(action_run=_broker)
    listing = actions.add_parser("list", help="how every unit stands")
    listing.add_argument("--json", action="store_true")
    listing.set_defaults(action_run=_list)
    serve = actions.add_parser("serve", help="the fleet page alone, without a relay")
    serve.set_defaults(action_run=_serve)
    command = actions.add_parser("command", help="send a signed command and print its answer")
    command.add_argument("device")
    command.add_argument("name", choices=get_args(CommandName))
    command.add_argument("arguments", nargs="*", metavar="KEY=VALUE", help="@FILE as VALUE reads")
    command.set_defaults(action_run=_command)
    for one in (listing, serve, command):
        one.add_argument("--config", type=Path, required=True, help="TOML file with [fleet]")


def run(options: argparse.Namespace) -> int:
    """Carry out the action."""
    status: int = options.action_run(options)
    return status


def _key(options: argparse.Namespace) -> int:
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    secret, open_ = options.dir / "fleet-command.key", options.dir / "fleet-command.pub"
    if open_.exists():
        raise BadUse(f"{open_} exists", "move it away first; keys are never overwritten")
    files.write_new(secret, files.key_pem(key), files.SECRET_MODE)
    files.write_new(open_, public, files.PUBLIC_MODE)
    print(secret, open_, sep="\n")
    return 0


def _broker(options: argparse.Namespace) -> int:
    folder = options.out.resolve()
    conf, acl = folder / "mosquitto.conf", folder / "bayscribe.acl"
    tls, crl = options.dir.resolve(), options.dir.resolve() / "crl.pem"
    text = broker.configuration(
        options.port, tls, options.server, acl, crl=crl if crl.exists() else None
    )
    files.replace(conf, text.encode(), files.PUBLIC_MODE)
    files.replace(acl, broker.access_list().encode(), files.SECRET_MODE)
    print(conf, acl, sep="\n")
    return 0


def _connected(options: argparse.Namespace) -> Fleet:
    fleet = Fleet(load(options.config))
    fleet.start()
    if not fleet.connected.wait(CONNECT_S):
        fleet.stop()
        raise LinkError("the broker is not reached", "check host, port and certificates")
    time.sleep(SETTLE_S)
    return fleet


def _list(options: argparse.Namespace) -> int:
    fleet = _connected(options)
    try:
        rows = fleet.rows()
    finally:
        fleet.stop()
    if options.json:
        units = [asdict(row) | {"problems": msgspec.to_builtins(row.problems)} for row in rows]
        print(json.dumps({"units": units}))
        return 0
    for row in rows:
        print(f"{row.severity:8} {row.activity:10} {row.site}/{row.bay}/{row.device}")
        for one in row.problems:
            print(f"         {one.severity}: {one.words} [{one.code}]")
    return 0


def _command(options: argparse.Namespace) -> int:
    arguments = dict(_argument(word) for word in options.arguments)
    fleet = _connected(options)
    try:
        answer = fleet.command(options.device, options.name, arguments)
    finally:
        fleet.stop()
    print(json.dumps(msgspec.to_builtins(answer)))
    return 0 if answer.outcome == "done" else 1


def _argument(word: str) -> tuple[str, str]:
    key, separator, value = word.partition("=")
    if not separator:
        raise BadUse(f"argument {word!r} is not KEY=VALUE")
    if value.startswith("@"):
        value = files.read(Path(value[1:])).decode("utf-8", "replace")
    return key, value


def _serve(options: argparse.Namespace) -> int:
    return asyncio.run(_serve_page(options))


async def _serve_page(options: argparse.Namespace) -> int:
    from aiohttp import web

    from bayscribe_relay.fleet.routes import fleet_routes

    config = load(options.config)
    fleet = Fleet(config)
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    fleet.start()
    runner = web.AppRunner(fleet_routes(fleet))
    await runner.setup()
    try:
        site = web.TCPSite(runner, config.page_host, config.page_port)
        await site.start()
        for address in runner.addresses:
            print(f"http://{address[0]}:{address[1]}/", flush=True)
        await ended.wait()
    except OSError as error:
        raise BadUse(f"cannot listen: {error.strerror}", "check page_host, page_port") from None
    finally:
        await runner.cleanup()
        with contextlib.suppress(RuntimeError):
            fleet.stop()
    return 0

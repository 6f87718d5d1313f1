"""``python -m emr``: run the fault-injecting EMR (with ``tests`` on the module path).

Prints one JSON line with its addresses once it listens, then serves until it is told to
stop.
"""

import argparse
import asyncio
import contextlib
import json
import signal
import ssl
from pathlib import Path

import msgspec
from aiohttp import web

from emr.admin import Admin
from emr.faults import FaultPlan
from emr.http_server import FhirServer
from emr.mllp import MllpServer, listen
from emr.settings import PROFILES, Settings
from emr.store import Store


def main() -> None:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser(prog="emr", description="A fault-injecting EMR.")
    parser.add_argument("--store", type=Path, required=True, help="SQLite file of the record")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="FHIR; 0 picks a free one")
    parser.add_argument("--mllp-port", type=int, default=0)
    parser.add_argument("--settings", type=Path, help="JSON file (emr.settings.Settings)")
    parser.add_argument("--profile", choices=sorted(PROFILES), help="latency profile")
    parser.add_argument("--tls-cert", type=Path, help="serve both sides over TLS")
    parser.add_argument("--tls-key", type=Path)
    parser.add_argument("--client-ca", type=Path, help="demand client certificates of this CA")
    asyncio.run(_serve(parser.parse_args()))


def _settings(args: argparse.Namespace) -> Settings:
    settings = Settings()
    if args.settings is not None:
        settings = msgspec.json.decode(args.settings.read_bytes(), type=Settings)
    if args.profile is not None:
        settings.latency = PROFILES[args.profile]
    return settings


def _tls(args: argparse.Namespace) -> ssl.SSLContext | None:
    if args.tls_cert is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(args.tls_cert, args.tls_key)
    if args.client_ca is not None:
        context.load_verify_locations(args.client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


async def _serve(args: argparse.Namespace) -> None:
    settings, context = _settings(args), _tls(args)
    store, plan = Store(args.store), FaultPlan(settings)
    server, mllp = FhirServer(store, settings, plan), MllpServer(store, settings, plan)
    runner = web.AppRunner(server.application(), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, args.host, args.port, ssl_context=context, backlog=512).start()
    admin = web.AppRunner(Admin(server, mllp).application(), access_log=None)
    await admin.setup()
    await web.TCPSite(admin, "127.0.0.1", 0).start()
    listener = await listen(mllp, args.host, args.mllp_port, context)
    scheme = "https" if context else "http"
    origin = f"{scheme}://{args.host}:{runner.addresses[0][1]}"
    mllp_port = listener.sockets[0].getsockname()[1]
    hand = f"http://127.0.0.1:{admin.addresses[0][1]}/_admin"
    ready = {"fhir": f"{origin}/fhir", "admin": hand, "mllp_port": mllp_port}
    print(json.dumps(ready), flush=True)  # noqa: T201 - the line that whoever started it waits for
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
    listener.close()
    mllp.drop_all()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(asyncio.gather(runner.cleanup(), admin.cleanup()), 3)
    store.close()


if __name__ == "__main__":
    main()

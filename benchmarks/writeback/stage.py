"""Relay, gateway and EMR on this machine, set up from nothing in one folder."""

import contextlib
import json
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from bayscribe_relay.pki import files
from bayscribe_relay.pki.authority import Authority, Issued
from benchmarks.writeback.alerts import AlertReceiver
from benchmarks.writeback.notes import hospital
from benchmarks.writeback.services import Service
from emr.process import EmrProcess
from free_ports import free_ports

BIN: Final = Path(sys.executable).parent
FHIR_SITE: Final = "demo"
MDM_SITE: Final = "mdm"


@dataclass(frozen=True)
class Setting:
    """How the stage is to be set up.

    Attributes:
        encounters: how many the EMR knows.
        emr: members of ``emr.settings.Settings``.
        site: members of both sites' tables in the gateway's configuration.
        store_url: SQLAlchemy URL of the relay's store; SQLite in the folder when absent.
        journal_url: the same of the gateway's journal.
    """

    encounters: int = 40
    emr: dict[str, Any] = field(default_factory=dict)
    site: dict[str, str | float] = field(default_factory=dict)
    store_url: str | None = None
    journal_url: str | None = None


@dataclass
class Stage:
    """What runs."""

    folder: Path
    emr: EmrProcess
    alerts: AlertReceiver
    relay: Service
    gateway: Service
    relay_config: Path
    store_url: str


@contextlib.contextmanager
def stage(folder: Path, setting: Setting) -> Iterator[Stage]:
    """Start everything; end everything afterwards. Logs stay in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    _certificates(folder)
    store_url = setting.store_url or f"sqlite:///{folder / 'relay.db'}"
    ports = free_ports(2)
    with EmrProcess(folder / "emr", setting.emr) as emr, AlertReceiver() as alerts:
        emr.seed(*hospital(setting.encounters))
        gateway_config = _gateway_config(folder, setting, emr, alerts, ports[0])
        relay_config = _relay_config(folder, store_url, alerts, ports)
        gateway = Service(
            "gateway",
            [str(BIN / "bayscribe-gateway"), "serve", "--config", str(gateway_config)],
            folder / "gateway.log",
            lambda: _listens(ports[0]),
        )
        relay = Service(
            "relay",
            [str(BIN / "bayscribe-relay"), "serve", "--config", str(relay_config)],
            folder / "relay.log",
            lambda: _listens(ports[1]),
        )
        try:
            gateway.start()
            relay.start()
            _await_tables(store_url)
            yield Stage(folder, emr, alerts, relay, gateway, relay_config, store_url)
        finally:
            relay.stop()
            gateway.stop()


def _await_tables(store_url: str) -> None:
    """Wait until the relay has made its tables: it listens a moment before."""
    engine, end = sa.create_engine(store_url), time.monotonic() + 20
    while not sa.inspect(engine).has_table("letters"):
        if time.monotonic() > end:
            raise RuntimeError("the relay has made no outbox")
        time.sleep(0.05)
    engine.dispose()


def _certificates(folder: Path) -> None:
    authority = Authority.create("Harness CA")
    files.write_new(folder / "ca.pem", Issued(authority.certificate, None).pem(), 0o644)
    for name, issued in (
        ("relay", authority.server("localhost", ["localhost", "127.0.0.1"])),
        ("gateway", authority.gateway("localhost", ["localhost", "127.0.0.1"])),
        ("relay-client", authority.relay_client("relay-1")),
    ):
        if issued.key is None:
            raise RuntimeError(f"no key for {name}")
        files.write_new(folder / f"{name}.pem", issued.pem(), 0o644)
        files.write_new(folder / f"{name}.key", files.key_pem(issued.key), 0o600)
    from bayscribe.wire.seal import Kem, OpeningKey

    key = OpeningKey.generate(Kem.X25519)
    files.write_new(folder / "seal.open", key.to_text().encode(), 0o600)


def _gateway_config(
    folder: Path, setting: Setting, emr: EmrProcess, alerts: AlertReceiver, port: int
) -> Path:
    common = {"alert_webhook": alerts.url, "operations_contact": "ops", "site_contact": "it"}
    fhir = {"fhir_base": emr.fhir, **common, **setting.site}
    mdm = {
        "mdm_host": "127.0.0.1",
        "mdm_port": emr.mllp_port,
        "mdm_query": "qbp",
        "prefer": "mdm",
        **common,
        **setting.site,
    }
    tables: dict[str, dict[str, Any]] = {
        "listen": {"host": "127.0.0.1", "port": port},
        "tls": {"certificate": "gateway.pem", "key": "gateway.key", "relay_ca": "ca.pem"},
        "journal": {"url": setting.journal_url or "sqlite:///gateway.db"},
        f"sites.{FHIR_SITE}": fhir,
        f"sites.{MDM_SITE}": mdm,
    }
    return _write_toml(folder / "gateway.toml", tables)


def _relay_config(folder: Path, store_url: str, alerts: AlertReceiver, ports: list[int]) -> Path:
    tables: dict[str, dict[str, Any]] = {
        "listen": {"host": "127.0.0.1", "port": ports[1]},
        "tls": {"certificate": "relay.pem", "key": "relay.key", "device_ca": "ca.pem"},
        "store": {"url": store_url},
        "seal": {"keys": ["seal.open"]},
        "writeback": {
            "gateway_url": f"wss://localhost:{ports[0]}",
            "certificate": "relay-client.pem",
            "key": "relay-client.key",
            "gateway_ca": "ca.pem",
            "alert_webhook": alerts.url,
        },
    }
    return _write_toml(folder / "relay.toml", tables)


def _write_toml(path: Path, tables: dict[str, dict[str, Any]]) -> Path:
    lines = []
    for name, members in tables.items():
        lines.append(f"[{name}]")
        lines.extend(f"{key} = {json.dumps(value)}" for key, value in members.items())
    path.write_text("\n".join(lines) + "\n")
    return path


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True

"""A real mosquitto with the product's own configuration, and the site's authority."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives import serialization

from bayscribe.telemetry.config import BrokerFiles
from bayscribe_relay.fleet import broker
from bayscribe_relay.fleet.config import FleetConfig
from bayscribe_relay.pki import files
from bayscribe_relay.pki.authority import Authority, Issued
from free_ports import free_port

PATIENCE_S = 30.0


def until(condition: Callable[[], object], what: str, patience_s: float = PATIENCE_S) -> None:
    end = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < end, f"waited for {what}"
        time.sleep(0.02)


class SiteBroker:
    """A site: its authority, its broker, its fleet's keys."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = Authority.create("Test site CA")
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "ca.pem").write_bytes(Issued(self.authority.certificate, None).pem())
        self.keep("localhost", self.authority.server("localhost", ["127.0.0.1"]))
        self.keep(broker.FLEET_USER, self.authority.relay_client(broker.FLEET_USER))
        acl = folder / "bayscribe.acl"
        acl.write_text(broker.access_list())
        acl.chmod(0o600)
        text = broker.configuration(self.port, folder, "localhost", acl, host="127.0.0.1")
        if os.getuid() == 0:
            text = "user root\n" + text
        (folder / "mosquitto.conf").write_text(text)
        from cryptography.hazmat.primitives.asymmetric import ec

        self.command_key = ec.generate_private_key(ec.SECP256R1())
        (folder / "command.key").write_bytes(files.key_pem(self.command_key))
        (folder / "command.pub").write_bytes(
            self.command_key.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        )

    def keep(self, name: str, issued: Issued) -> tuple[Path, Path]:
        certificate, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        certificate.write_bytes(issued.pem())
        if issued.key is not None:
            key.write_bytes(files.key_pem(issued.key))
            key.chmod(0o600)
        return certificate, key

    def device(self, name: str, authority: Authority | None = None) -> BrokerFiles:
        certificate, key = self.keep(name, (authority or self.authority).device(name))
        return BrokerFiles(
            ca=self.folder / "ca.pem",
            certificate=certificate,
            key=key,
            command_key=self.folder / "command.pub",
        )

    def fleet_config(self) -> FleetConfig:
        user = self.folder / broker.FLEET_USER
        return FleetConfig(
            host="localhost",
            port=self.port,
            ca=str(self.folder / "ca.pem"),
            certificate=f"{user}.pem",
            key=f"{user}.key",
            command_key=str(self.folder / "command.key"),
        )

    def start(self) -> None:
        program = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
        log = (self.folder / "mosquitto.log").open("ab")
        self._process = subprocess.Popen(
            [program, "-c", str(self.folder / "mosquitto.conf")], stdout=log, stderr=log
        )
        log.close()
        until(self._listens, "mosquitto")

    def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "mosquitto.log").read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def kill(self) -> None:
        """As a power cut would."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

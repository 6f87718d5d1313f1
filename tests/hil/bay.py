"""A whole bay on one machine: authority, relay, appliance and a recorded microphone.

Everything in it is the product's own executables, started as the services they are; it
is what the demonstration, the hardware-in-loop runs and the tests stand on.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import soundfile

from bayscribe.audio.profiles import load_profile
from bayscribe.audio.recorded_pcm import make_pcm
from free_ports import free_port

REPOSITORY = Path(__file__).resolve().parents[2]
SCENES = REPOSITORY / "tests" / "scenes"
EXCERPT = SCENES / "excerpt-4mic-70db" / "mics.flac"
VOICE = SCENES / "sepsis-4mic-70db" / "enrol_clinician.flac"
BIN = REPOSITORY / ".venv" / "bin"
DEVICE = "bay-07"
PCM = "bay07"
PROFILES = {4: "circle-4-32mm.toml", 6: "circle-6-46mm.toml"}

RELAY_TOML = """\
[listen]
host = "127.0.0.1"
port = {port}

[tls]
certificate = "../keys/localhost.pem"
key = "../keys/localhost.key"
device_ca = "../keys/ca.pem"
crl = "../keys/crl.pem"

[store]
url = "sqlite:///relay.db"

[seal]
keys = ["../keys/seal.open"]
"""

UNIT_TOML = """\
primary = "clinician"

[unit]
site = "demo"
bay = "{device}"
state_directory = "{out}/state"
runtime_directory = "{out}/run"
log = "stderr"

[array]
profile = "{profile}"
pcm = "{pcm}"

[encounter]
mode = "always"

[uplink]
url = "wss://localhost:{port}"
relay_ca = "../keys/ca.pem"
certificate = "../keys/{device}.pem"
key = "../keys/{device}.key"

[seal]
relay_key = "../keys/seal.pub"

[[voices]]
label = "clinician"
recording = "{enrolment}"
"""


class BayError(Exception):
    """Something did not come out as it must."""


class Service:
    """A service as systemd would start it, without systemd: waits for READY by socket."""

    def __init__(
        self, name: str, command: Sequence[str], log: Path, environment: dict[str, str]
    ) -> None:
        self.name = name
        self.log = log
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        address = log.with_suffix(".notify")
        address.unlink(missing_ok=True)
        self._socket.bind(str(address))
        self._file = log.open("wb")
        self.process = subprocess.Popen(
            command,
            stdout=self._file,
            stderr=subprocess.STDOUT,
            env=os.environ | environment | {"NOTIFY_SOCKET": str(address)},
        )

    def await_ready(self, timeout: float = 60) -> None:
        """Wait until the service says that it is ready.

        Raises:
            BayError: it ended, or never said so.
        """
        self._socket.settimeout(0.2)
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise BayError(f"{self.name} ended:\n{self.log.read_text()[-2000:]}")
            try:
                if b"READY=1" in self._socket.recv(4096):
                    threading.Thread(target=self._drain, daemon=True).start()
                    return
            except TimeoutError:
                continue
        raise BayError(f"{self.name} did not become ready; see {self.log}")

    def _drain(self) -> None:
        """Take the watchdog's messages, as the service manager does."""
        self._socket.settimeout(None)
        with contextlib.suppress(OSError):
            while self._socket.recv(4096):
                pass

    def stop(self) -> None:
        """Stop it in order."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._socket.close()
        self._file.close()


class Bay:
    """One bay in a folder of its own.

    Args:
        folder: for keys, configurations, state and logs; must not exist yet.
        profile: of the array that the recorded microphone stands for.
        voice: enrolment recording of the clinician.
    """

    def __init__(self, folder: Path, profile: Path, voice: Path) -> None:
        self.folder = folder
        self.profile = profile
        self.port = free_port()
        self.keys = folder / "keys"
        self.unit = folder / "unit"
        self.relay = folder / "relay"
        self.alsa = folder / "alsa"
        self.services: dict[str, Service] = {}
        for place in (self.keys, self.unit, self.relay, self.alsa):
            place.mkdir(parents=True)
        self._make_keys()
        (self.relay / "relay.toml").write_text(RELAY_TOML.format(port=self.port))
        (self.unit / "bayscribe.toml").write_text(
            UNIT_TOML.format(
                port=self.port,
                device=DEVICE,
                pcm=PCM,
                out=self.unit,
                profile=profile,
                enrolment=voice,
            )
        )
        array = load_profile(str(profile))
        self.environment = make_pcm(PCM, array, self.alsa, directory=self.alsa / PCM)
        self.environment["BAYSCRIBE_RECORDED_MIC"] = str(self.alsa)

    def _make_keys(self) -> None:
        relay = str(BIN / "bayscribe-relay")
        sh(relay, "pki", "init", str(self.keys))
        sh(relay, "pki", "server", "localhost", "--dir", str(self.keys), "--san", "127.0.0.1")
        sh(relay, "pki", "device", DEVICE, "--dir", str(self.keys))
        sh(relay, "pki", "seal-key", "--dir", str(self.keys))

    @property
    def relay_command(self) -> list[str]:
        """How the relay is started."""
        return [str(BIN / "bayscribe-relay"), "serve", "--config", str(self.relay / "relay.toml")]

    @property
    def unit_command(self) -> list[str]:
        """How the appliance is started; it also needs :attr:`environment`."""
        return [str(BIN / "bayscribe"), "run", "--config", str(self.unit / "bayscribe.toml")]

    def start_relay(self) -> Service:
        """Start the relay and wait until it is ready."""
        return self._start("relay", self.relay_command)

    def start_unit(self) -> Service:
        """Start the appliance and wait until it is ready."""
        return self._start("appliance", self.unit_command)

    def _start(self, name: str, command: Sequence[str]) -> Service:
        service = Service(name, command, self.folder / f"{name}.log", self.environment)
        self.services[name] = service
        service.await_ready()
        return service

    def stop(self) -> None:
        """Stop everything in order: the appliance first."""
        for service in reversed(self.services.values()):
            service.stop()

    def play(self, recording: Path, *arguments: str) -> str:
        """Play a recording into the microphone, in real time, to its end."""
        command = [str(BIN / "bayscribe"), "replay", str(recording)]
        command += ["--array", str(self.profile), "--pcm", PCM, *arguments]
        return sh(*command, environment=self.environment)

    def streams(self, *arguments: str) -> str:
        """What the relay says it holds."""
        config = str(self.relay / "relay.toml")
        return sh(str(BIN / "bayscribe-relay"), "streams", *arguments, "--config", config)

    def device(self) -> dict[str, Any]:
        """The device's stream at the relay, verified while it is listed."""
        listed: list[dict[str, Any]] = json.loads(self.streams("--json"))["devices"]
        return listed[0] if listed else {"encounters": [], "verified": True, "records": 0}

    def closed_device(self, patience_s: float = 30) -> dict[str, Any]:
        """The stream once its newest encounter is closed at the relay.

        Raises:
            BayError: the closing record never arrived.
        """
        end = time.monotonic() + patience_s
        while True:
            device = self.device()
            if device["encounters"] and device["encounters"][-1]["closed_reason"]:
                return device
            if time.monotonic() > end:
                raise BayError("the relay never got the closing record")
            time.sleep(0.2)

    def state(self) -> dict[str, Any]:
        """The appliance's state file."""
        found: dict[str, Any] = json.loads((self.unit / "run" / "state.json").read_text())
        return found


def profile_for(recording: Path) -> Path:
    """The array profile of one of the repository's scenes."""
    return SCENES / PROFILES[int(soundfile.info(recording).channels)]


def sh(*command: str, environment: dict[str, str] | None = None) -> str:
    """Run a command that must succeed; its standard output."""
    return subprocess.run(
        command,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | (environment or {}),
    ).stdout

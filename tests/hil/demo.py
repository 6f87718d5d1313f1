"""The README's demonstration: a recorded 70 dB bay, from the PCM to the relay's disk.

Makes development certificates and configurations, starts the relay and the appliance as
the services they are, plays a recording of this repository into the ALSA PCM that the
appliance captures from, waits until the relay has acknowledged the closing record, and
prints what arrived: turns, segments, hashes checked, overruns, CPU and memory.
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import soundfile

from bayscribe.audio.profiles import load_profile
from bayscribe.audio.recorded_pcm import make_pcm

REPOSITORY = Path(__file__).resolve().parents[2]
SCENES = REPOSITORY / "tests" / "scenes"
BIN = REPOSITORY / ".venv" / "bin"
DEVICE = "bay-07"
PCM = "bay07"
PORT = 18443
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


class DemoError(Exception):
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
            DemoError: it ended, or never said so.
        """
        self._socket.settimeout(0.2)
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise DemoError(f"{self.name} ended:\n{self.log.read_text()[-2000:]}")
            try:
                if b"READY=1" in self._socket.recv(4096):
                    threading.Thread(target=self._drain, daemon=True).start()
                    return
            except TimeoutError:
                continue
        raise DemoError(f"{self.name} did not become ready; see {self.log}")

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


class Demo:
    """One demonstration run in a folder of its own."""

    def __init__(self, scene: Path, out: Path) -> None:
        self.scene = scene
        self.profile = scene.parent / PROFILES[_microphones(scene)]
        self.out = out
        self.keys = out / "keys"
        self.unit = out / "unit"
        self.relay = out / "relay"
        self.alsa = out / "alsa"
        self.services: list[Service] = []

    def run(self) -> None:
        """Run it all.

        Raises:
            DemoError: something did not arrive or did not verify.
        """
        self._prepare()
        try:
            self._serve()
            self._play()
            figures = self._finish()
        finally:
            for service in reversed(self.services):
                service.stop()
        self._report(figures)

    def _prepare(self) -> None:
        step("certificates, keys and configurations")
        shutil.rmtree(self.out, ignore_errors=True)
        for folder in (self.keys, self.unit, self.relay, self.alsa):
            folder.mkdir(parents=True)
        relay = str(BIN / "bayscribe-relay")
        sh(relay, "pki", "init", str(self.keys))
        sh(relay, "pki", "server", "localhost", "--dir", str(self.keys), "--san", "127.0.0.1")
        sh(relay, "pki", "device", DEVICE, "--dir", str(self.keys))
        sh(relay, "pki", "seal-key", "--dir", str(self.keys))
        (self.relay / "relay.toml").write_text(RELAY_TOML.format(port=PORT))
        (self.unit / "bayscribe.toml").write_text(
            UNIT_TOML.format(
                port=PORT,
                device=DEVICE,
                pcm=PCM,
                out=self.unit,
                profile=self.profile,
                enrolment=self.scene / "enrol_clinician.flac",
            )
        )
        print(f"   relay configuration   {self.relay / 'relay.toml'}")
        print(f"   unit configuration    {self.unit / 'bayscribe.toml'}")
        print(f"   development keys      {self.keys}")

    def _serve(self) -> None:
        step("relay and appliance")
        self._start("relay", "bayscribe-relay", "serve", self.relay / "relay.toml", {})
        profile = load_profile(str(self.profile))
        alsa = make_pcm(PCM, profile, self.alsa, directory=self.alsa / PCM)
        self._start("appliance", "bayscribe", "run", self.unit / "bayscribe.toml", alsa)

    def _start(
        self, name: str, program: str, verb: str, config: Path, environment: dict[str, str]
    ) -> None:
        command = [str(BIN / program), verb, "--config", str(config)]
        service = Service(name, command, self.out / f"{name}.log", environment)
        self.services.append(service)
        service.await_ready()
        print(f"   {name:9} ready, log in {service.log}")

    def _play(self) -> None:
        recording = self.scene / "mics.flac"
        step(f"playing {recording.relative_to(REPOSITORY)} into PCM {PCM}, in real time")
        played = subprocess.run(
            [
                str(BIN / "bayscribe"),
                "replay",
                str(recording),
                "--array",
                str(self.profile),
                "--pcm",
                PCM,
            ],
            env=os.environ | {"BAYSCRIBE_RECORDED_MIC": str(self.alsa)},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        print(f"   {played.stdout.strip()}")

    def _finish(self) -> dict[str, Any]:
        """Stop the appliance in order; what the relay holds and what the unit used."""
        step("stopping the appliance in order, and asking the relay what it holds")
        state = json.loads((self.unit / "run" / "state.json").read_text())
        self.services[-1].stop()
        end = time.monotonic() + 30
        while True:
            listed = json.loads(self._streams("--json"))
            device = next(iter(listed["devices"]), None)
            if device and device["encounters"] and device["encounters"][-1]["closed_reason"]:
                return {"state": state, "device": device}
            if time.monotonic() > end:
                raise DemoError("the relay never got the closing record")
            time.sleep(0.2)

    def _streams(self, *arguments: str) -> str:
        config = str(self.relay / "relay.toml")
        return sh(str(BIN / "bayscribe-relay"), "streams", *arguments, "--config", config)

    def _report(self, figures: dict[str, Any]) -> None:
        print(self._streams())
        state, device = figures["state"], figures["device"]
        encounter = device["encounters"][-1]
        segments = encounter["segment_list"]
        verified = sum(1 for row in segments if not row["problem"])
        print(f"segments          {len(segments)}, hashes verified at the relay {verified}")
        print(f"audio             {encounter['audio_s']:.1f} s, missing {encounter['gap_samples']}")
        print(f"turns             {len(encounter['turns'])}")
        print(f"overruns          {state['overruns']}")
        print(f"analysis shed     {state['shed_quanta']} of {state['quanta']} quanta")
        print(f"CPU               {state['cpu_s'] / encounter['audio_s']:.3f} CPU-s per s of audio")
        print(f"peak memory       {state['peak_rss_mib']:.0f} MiB")
        if not device["verified"] or verified != len(segments) or not segments:
            raise DemoError("something at the relay does not verify")
        if state["overruns"] or not encounter["turns"]:
            raise DemoError("audio was lost, or nobody was heard")


def _microphones(scene: Path) -> int:
    return int(soundfile.info(scene / "mics.flac").channels)


def step(text: str) -> None:
    """Say what happens next."""
    print(f"== {text}", flush=True)


def sh(*command: str) -> str:
    """Run a command that must succeed; its standard output."""
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demonstration; exit status 0 only if everything arrived and verified."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scene", default="sepsis-4mic-70db", help="folder in tests/scenes")
    parser.add_argument("--out", type=Path, default=REPOSITORY / ".demo")
    options = parser.parse_args(argv)
    try:
        Demo(SCENES / options.scene, options.out.resolve()).run()
    except (DemoError, subprocess.CalledProcessError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

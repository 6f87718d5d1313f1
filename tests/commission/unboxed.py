"""A unit out of its box, at a site with authority, provisioning and relay, and its sounds."""

import os
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile

from audio.recorded_bay import RATE
from bayscribe.audio.recorded_mic import RecordedMicrophone
from bayscribe.audio.recorded_pcm import make_pcm
from bayscribe.audio.recording import Recording
from bayscribe.audio.replay import replay
from bayscribe.stream import Pcm
from commission.bay_sounds import (
    PROFILE_PATH,
    SCENES,
    claps,
    profile,
    quiet,
    room,
    swept,
    talk,
    tone,
)
from enrol.provision_site import DEVICE, ProvisionSite
from free_ports import free_port
from hil.bay import BIN, RELAY_TOML, Service

PCM = "bay"
CONFIG = """\
[unit]
site = "demo"
bay = "bay-07"
state_directory = "{folder}/state"
runtime_directory = "{folder}/run"
log = "stderr"
[array]
profile = "{profile}"
pcm = "bay"
[uplink]
url = "wss://localhost:1"
relay_ca = "ca.pem"
certificate = "device.crt"
key = "device.key"
[seal]
relay_key = "seal.pub"
"""
"""Of a unit without a site."""

UNIT_TOML = """\
primary = "clinician"
[unit]
site = "test"
bay = "{device}"
state_directory = "{folder}/state"
runtime_directory = "{folder}/run"
log = "stderr"
[array]
profile = "{profile}"
pcm = "{pcm}"
[encounter]
mode = "always"
[uplink]
url = "wss://localhost:{port}"
relay_ca = "relay-ca.crt"
certificate = "device.crt"
key = "device.key"
[seal]
relay_key = "relay-seal.pub"
[[voices]]
label = "clinician"
recording = "{voice}"
"""


def _two_voices() -> Pcm:
    return np.concatenate([talk("dry_clinician", 20.0, 12.0), talk("dry_patient", 200.0, 12.1)])


SOUNDS: dict[str, Callable[[], Pcm]] = {
    "array": lambda: room(4.1),
    "channels-front": lambda: claps(0.0),
    "channels-left": lambda: claps(90.0),
    "level": lambda: tone(6.5),
    "noise": lambda: quiet(10.3),
    "reverberation": lambda: swept(12.1, 0.5),
    "bed": lambda: talk("dry_clinician", 20.0, 8.1),
    "door": lambda: talk("dry_nurse", 130.0, 8.1),
    "alarm": lambda: talk("dry_patient", 250.0, 8.1),
    "voices": _two_voices,
}


class Unboxed:
    """One site and one unit that has neither key nor certificate."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.site = ProvisionSite(folder / "site")
        (self.site.keys / "seal.open").write_text(self.site.opening.to_text())
        self.relay_port = free_port()
        self.unit = folder / "unit"
        self.unit.mkdir(mode=0o700)
        self.config = self.unit / "bayscribe.toml"
        voice = SCENES / "sepsis-4mic-70db" / "enrol_clinician.flac"
        self.config.write_text(
            UNIT_TOML.format(
                device=DEVICE,
                folder=self.unit,
                profile=PROFILE_PATH,
                pcm=PCM,
                port=self.relay_port,
                voice=voice,
            )
        )
        mic = folder / "mic" / PCM
        self.environment = make_pcm(PCM, profile(), folder / "alsa", directory=mic)
        self.microphone = RecordedMicrophone(mic, profile().alsa_channels, RATE)
        self.ended = threading.Event()
        self.services: list[Service] = []

    def service(self, name: str, *command: str) -> Service:
        made = Service(name, command, self.folder / f"{name}.log", self.environment)
        self.services.append(made)
        made.await_ready()
        return made

    def start_relay(self) -> None:
        relay = self.folder / "relay"
        relay.mkdir()
        text = RELAY_TOML.format(port=self.relay_port).replace("../keys", str(self.site.keys))
        (relay / "relay.toml").write_text(text)
        self.service(
            "relay", str(BIN / "bayscribe-relay"), "serve", "--config", str(relay / "relay.toml")
        )

    def start_daemon(self) -> Service:
        return self.service(
            "appliance", str(BIN / "bayscribe"), "run", "--config", str(self.config)
        )

    def bayscribe(self, *words: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [str(BIN / "bayscribe"), *words, "--config", str(self.config)],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | self.environment,
        )

    def play(self, sound: Pcm) -> threading.Thread:
        """In real time, in a thread of its own."""
        path = self.folder / "sound.wav"
        soundfile.write(path, sound, RATE, subtype="PCM_16")

        def run() -> None:
            with Recording(path, profile()) as recording:
                replay(recording, self.microphone, should_stop=self.ended.is_set)

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    def close(self) -> None:
        self.ended.set()
        for service in reversed(self.services):
            service.stop()
        self.microphone.close()

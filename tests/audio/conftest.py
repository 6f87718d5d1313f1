"""A recorded microphone of one's own for each test, under the real ALSA."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from audio.recorded_bay import Bay, OpenBay
from bayscribe.audio.profiles import ArrayProfile
from bayscribe.audio.recorded_mic import Idle
from bayscribe.resources import firmware_config


@pytest.fixture(scope="session", autouse=True)
def plugin() -> None:
    folder = firmware_config() / "recorded-mic"
    out = firmware_config().parent / ".build" / "alsa"
    subprocess.run(["sh", str(folder / "build.sh"), str(out)], check=True, capture_output=True)


@pytest.fixture
def open_bay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenBay]:
    bays: list[Bay] = []

    def make(profile: ArrayProfile, idle: Idle = Idle.WAIT) -> Bay:
        bay = Bay(tmp_path, profile, idle)
        for name, value in bay.environment.items():
            monkeypatch.setenv(name, value)
        bays.append(bay)
        return bay

    yield make
    for bay in bays:
        bay.close()

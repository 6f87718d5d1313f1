"""A prompt from the relay's socket to the loudspeaker of a running unit, and back."""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from hil.bay import SCENES, VOICE, Bay
from security.relay_double import RelayDouble

pytestmark = pytest.mark.slow
PROFILE = SCENES / "circle-4-32mm.toml"


@pytest.fixture
def bay(tmp_path: Path) -> Iterator[Bay]:
    made = Bay(tmp_path / "bay", PROFILE, VOICE)
    try:
        yield made
    finally:
        made.stop()


def test_a_prompt_waits_for_silence_sounds_and_is_reported(bay: Bay, tmp_path: Path) -> None:
    heard = tmp_path / "heard.raw"
    with (bay.alsa / "asound.conf").open("a") as file:
        file.write(
            f'pcm.tofile {{ type file slave.pcm null format raw file "{heard}" }}\n'
            "pcm.speaker { type plug slave { pcm tofile rate 48000 channels 1 format S16_LE } }\n"
        )
    with (bay.unit / "bayscribe.toml").open("a") as file:
        file.write('\n[prompts]\ndevice = "speaker"\n')
    quiet = tmp_path / "quiet.wav"
    hiss = np.random.default_rng(1).normal(0, 30, (20 * 16_000, 4))
    soundfile.write(quiet, np.round(hiss).astype(np.int16), 16_000, subtype="PCM_16")
    with RelayDouble(bay.keys, bay.port) as relay:
        unit = bay.start_unit()
        relay.await_hello()
        relay.prompt("live-1", "Was the lactate repeated?", time.time_ns() + 120 * 10**9)
        bay.play(quiet)
        outcome = relay.await_outcome()
        unit.stop()
    assert (outcome.id, outcome.outcome, outcome.reason) == ("live-1", "played", "")
    played = np.fromfile(heard, "<i2")
    assert np.abs(played).max() > 3000
    assert "lactate" not in (bay.folder / "appliance.log").read_text()

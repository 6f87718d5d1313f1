"""The default model on real recordings, through the sealed store."""

import asyncio
import json
import re
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bayscribe.assembly import Assembly, read_voices
from bayscribe.audio.profiles import load_profile
from bayscribe.audio.recording import Recording
from bayscribe.stream import CutSegment, Turn
from bayscribe_relay.clinical.speech import Utterance
from bayscribe_relay.transcribe.config import TranscribeConfig
from bayscribe_relay.transcribe.progress import Progress
from bayscribe_relay.transcribe.service import Transcriber
from transcribe.stored_speech import RATE, SCENES, Bay, cut, done, read, turn, until

RECORDING = "e" * 32
SCENE = SCENES / "sepsis-6mic-60db"


@pytest.fixture
def bay(tmp_path: Path) -> Iterator[Bay]:
    made = Bay(tmp_path)
    yield made
    made.close()


def transcribed(bay: Bay) -> list[Utterance]:

    async def main() -> None:
        config = TranscribeConfig(look_s=0.2)
        async with Transcriber.running(config, bay.store, bay.clinical, [bay.opening]):
            await until(done(bay), "the whole transcript")

    asyncio.run(main())
    return bay.clinical.utterances(recording=RECORDING)


def plain(text: str) -> list[str]:
    return re.findall(r"[a-z']+", text.lower())


def script(role: str, until_s: float) -> list[dict[str, Any]]:
    turns = json.loads((SCENE / "script.json").read_text(encoding="utf-8"))["turns"]
    return [t for t in turns if t["talker"] == role and t["end"] < until_s]


def test_clean_speech_is_recognised_at_its_times(bay: Bay) -> None:
    said = script("clinician", 40.0)
    pcm = read(SCENE / "dry_clinician.flac")[: 41 * RATE]
    turns = [turn(k, t["start"], t["end"]) for k, t in enumerate(said, 1)]
    ends = [t["end"] + 0.3 for t in said]
    bay.whole(RECORDING, cut(pcm, turns, ends))
    found = transcribed(bay)
    sentences = [s for t in said for s in t["sentences"]]
    words = [w for u in found for w in u.words]
    heard = {w for each in words for w in plain(each.text)}
    wanted = [w for s in sentences for w in plain(s["text"])]
    assert sum(w in heard for w in wanted) >= 0.85 * len(wanted)
    off = [min(abs(w.start - s["start"]) for w in words) for s in sentences]
    assert statistics.median(off) < 0.3
    assert all(u.primary for u in found)
    assert all(0 <= w.probability <= 1 for w in words)


def test_a_noisy_bay_through_the_whole_appliance(bay: Bay) -> None:
    bay.whole(RECORDING, appliance(SCENE, "circle-6-46mm.toml", 16.0))
    found = transcribed(bay)
    heard = [w for u in found for w in plain(u.text)]
    wanted = {w for t in script("clinician", 99) + script("patient", 99) for w in plain_turn(t)}
    wanted |= {w for t in script("nurse", 99) + script("therapist", 99) for w in plain_turn(t)}
    assert {"attending", "tonight"} <= set(heard)
    assert sum(w in wanted for w in heard) >= 0.6 * len(heard)
    assert all(w.start >= u.start - 0.8 and w.end <= u.end + 0.8 for u in found for w in u.words)


@pytest.mark.parametrize("second", [0, 60])
def test_wrong_turns_over_a_minute_of_noise_give_no_words(bay: Bay, second: int) -> None:
    noise = read(Path(__file__).parent / "ed-noise-70db.flac")
    noise = noise[second * RATE : (second + 60) * RATE]
    bay.whole(RECORDING, cut(noise, everywhere(60), range(3, 60, 3)))
    found = transcribed(bay)
    assert len(found) >= 5
    assert [u.text for u in found] == [""] * len(found)
    assert all(u.not_transcribed == "" for u in found)
    counts = Progress(bay.clinical, "look", 1.0).counts(RECORDING)
    assert sum(n for why, n in counts.items() if why.startswith("dropped-")) >= 1


def test_wrong_turns_over_silence_give_no_words(bay: Bay) -> None:
    bay.whole(RECORDING, cut(np.zeros(12 * RATE, np.int16), everywhere(12), (10,)))
    assert {u.text for u in transcribed(bay)} == {""}
    assert Progress(bay.clinical, "look", 1.0).counts(RECORDING) == {"segments-quiet": 2}


def plain_turn(said: dict[str, Any]) -> list[str]:
    return [w for s in said["sentences"] for w in plain(s["text"])]


def everywhere(seconds: int) -> list[Turn]:
    return [turn(k + 1, k, k + 1, "clinician" if k % 20 < 10 else "nurse") for k in range(seconds)]


def appliance(scene: Path, profile: str, seconds: float) -> list[CutSegment]:
    """The first seconds of a scene through the unit's own line of stages."""
    loaded = load_profile(str(SCENES / profile))
    enrolment = SCENE if "6mic" in scene.name else SCENES / "sepsis-4mic-70db"
    voices = read_voices([("clinician", enrolment / "enrol_clinician.flac")])
    pipeline = Assembly(loaded.geometry, voices, "clinician").pipeline()
    segments: list[CutSegment] = []
    with Recording(scene / "mics.flac", loaded) as recording:
        for block in recording.blocks(640):
            segments += pipeline.push(block).segments
            if block.end >= seconds * RATE:
                break
    return segments + pipeline.flush().segments

"""The transcript: word errors, cost, latency at the pace of speech, and an hour of noise.

Usage::

    python -m benchmarks.transcript                        the committed scenes
    python -m benchmarks.transcript --noise-minutes 60     noise alone

Scenes go through the appliance's own stages, are sealed, stored and transcribed by the default
model in its own process. Word error rate is against the script, spelled as the model spells
(digits and number words are not made equal), over all speakers in order of time; at 70 dB most
of the script is beyond the model, and the gate leaves out what it is unsure of, so how many of
the kept words are right (`precision`) says more about what a reader sees.
"""

import argparse
import asyncio
import json
import resource
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import quantiles
from typing import Any

import numpy as np
import soundfile

from bayscribe.assembly import Assembly, read_voices
from bayscribe.audio.profiles import load_profile
from bayscribe.audio.recording import Recording
from bayscribe.stream import CutSegment, Turn
from bayscribe_relay.clinical.speech import Utterance, Word
from bayscribe_relay.clinical.store import Changes
from bayscribe_relay.transcribe.config import TranscribeConfig
from bayscribe_relay.transcribe.gate import plain
from bayscribe_relay.transcribe.model import find_model
from bayscribe_relay.transcribe.progress import Progress
from bayscribe_relay.transcribe.service import Transcriber

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "tests"))

from transcribe.stored_speech import (  # noqa: E402 - the tests' folder comes first
    RATE,
    SCENES,
    Bay,
    cut,
    done,
    read,
    turn,
)

ARRAYS = {"sepsis-6mic-60db": "circle-6-46mm.toml", "sepsis-4mic-70db": "circle-4-32mm.toml"}
RECORDING = "e" * 32
BLOCK = 640
PATIENCE_S = 3_600.0

Timed = tuple[float, CutSegment]
"""When a segment was cut, in seconds of the recording, and the segment."""


def main(arguments: Sequence[str] = ()) -> int:
    """Print the figures; 0 unless noise became words."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.transcript")
    parser.add_argument("--noise-minutes", type=float, default=0.0)
    parser.add_argument("--noise", type=Path, help="folder of transcript_noise.py's files")
    parser.add_argument("--scenes-python", default=str(REPOSITORY / ".venv-scenes/bin/python"))
    options = parser.parse_args(arguments)
    model = find_model(None)
    print(f"model {model.name}, package {model.version}, SHA-256 {model.sha256}")
    if options.noise_minutes > 0:
        return noise(options)
    scenes = {name: segments(SCENES / name, array) for name, array in ARRAYS.items()}
    for name, made in scenes.items():
        accuracy(name, made)
    clean()
    for name, made in scenes.items():
        latency(name, made)
    return 0


# -- accuracy and cost


def accuracy(name: str, made: Sequence[Timed]) -> None:
    """Word error rate, precision and cost of one scene, transcribed in one go."""
    script = json.loads((SCENES / name / "script.json").read_text(encoding="utf-8"))
    sentences = [s for t in script["turns"] for s in t["sentences"]]
    print(f"{name}: " + measured([each for _, each in made], sentences))


def clean() -> None:
    """The same for one dry voice with the script's own turns: what the model can do at best."""
    folder = SCENES / "sepsis-6mic-60db"
    script = json.loads((folder / "script.json").read_text(encoding="utf-8"))
    said = [t for t in script["turns"] if t["talker"] == "clinician"]
    pcm = read(folder / "dry_clinician.flac")
    turns = [turn(k, t["start"], t["end"]) for k, t in enumerate(said, 1)]
    pieces = cut(pcm, turns, [min(t["end"] + 0.3, len(pcm) / RATE - 0.1) for t in said])
    sentences = [s for t in said for s in t["sentences"]]
    print("dry clinician, true turns: " + measured(pieces, sentences))


def measured(made: Sequence[CutSegment], sentences: Sequence[dict[str, Any]]) -> str:
    """One line of figures."""
    began, cpu = time.monotonic(), cpu_seconds()
    found, counts = transcribed(made)
    wall, cpu = time.monotonic() - began, cpu_seconds() - cpu
    audio = sum(len(each.pcm) for each in made) / RATE
    words = sorted((w for u in found for w in u.words), key=lambda w: w.start)
    heard = [w for word in words for w in plain(word.text).split()]
    wanted = [
        w for s in sorted(sentences, key=lambda s: s["start"]) for w in plain(s["text"]).split()
    ]
    errors, right = distance(wanted, heard), sum(near(word, sentences) for word in words)
    return (
        f"WER {100 * errors / len(wanted):.1f} % of {len(wanted)} words; {len(words)} words kept, "
        f"{100 * right / max(1, len(words)):.0f} % of them in the script there; "
        f"{cpu / audio:.3f} CPU-s and {wall / audio:.3f} s per second of audio, "
        f"start of the process included; left out: {counts}"
    )


def near(word: Word, sentences: Sequence[dict[str, Any]]) -> bool:
    """Whether a word is in a sentence that is said within a second of it."""
    return any(
        set(plain(word.text).split()) <= set(plain(s["text"]).split())
        for s in sentences
        if s["start"] - 1 <= word.end and word.start <= s["end"] + 1
    )


def distance(wanted: Sequence[str], heard: Sequence[str]) -> int:
    """Edit distance in words."""
    row = np.arange(len(heard) + 1)
    for k, word in enumerate(wanted, 1):
        last, row = row, np.empty_like(row)
        row[0] = k
        for j, each in enumerate(heard, 1):
            row[j] = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (word != each))
    return int(row[-1])


def transcribed(made: Iterable[CutSegment]) -> tuple[list[Utterance], dict[str, int]]:
    """A recording's utterances, and what was left out of it."""
    with tempfile.TemporaryDirectory() as folder:
        bay = Bay(Path(folder))
        bay.whole(RECORDING, made)
        asyncio.run(_run(bay))
        found = bay.clinical.utterances(recording=RECORDING)
        counts = Progress(bay.clinical, "bench", 1.0).counts(RECORDING)
        bay.close()
        return [u for u in found if not u.withdrawn], counts


async def _run(bay: Bay) -> None:
    async with Transcriber.running(TranscribeConfig(), bay.store, bay.clinical, [bay.opening]):
        await _until_done(bay)


async def _until_done(bay: Bay) -> None:
    deadline, reached = time.monotonic() + PATIENCE_S, done(bay)
    while not await asyncio.to_thread(reached):
        if time.monotonic() > deadline:
            raise TimeoutError("the transcript does not come")
        await asyncio.sleep(0.05)


def cpu_seconds() -> float:
    """CPU time of this process and of the children that have ended."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in both)


# -- latency


def latency(name: str, made: Sequence[Timed]) -> None:
    """Play a scene's segments at the pace at which they were cut."""
    with tempfile.TemporaryDirectory() as folder:
        bay = Bay(Path(folder))
        seen = asyncio.run(_live(bay, made))
        last = [u for u in bay.clinical.utterances(recording=RECORDING) if not u.withdrawn]
        bay.close()
    words = [seen[w.text, round(w.start, 2)] - w.end for u in last for w in u.words]
    turns = [max(seen[w.text, round(w.start, 2)] for w in u.words) - u.end for u in last if u.words]
    for what, values in (("end of a word", words), ("end of a turn", turns)):
        cuts = quantiles(values, n=20)
        print(f"{name}: {what} to stored: p50 {cuts[9]:.2f} s, p95 {cuts[18]:.2f} s")


async def _live(bay: Bay, made: Sequence[Timed]) -> dict[tuple[str, float], float]:
    """When each word was first in the store, in seconds of the recording."""
    seen: dict[tuple[str, float], float] = {}
    changes = Changes(bay.clinical)
    config = TranscribeConfig()
    async with Transcriber.running(config, bay.store, bay.clinical, [bay.opening]) as running:
        warm = time.monotonic()
        bay.open(RECORDING)
        running.notify(bay.device)
        await _until_done(bay)
        began = max(time.monotonic(), warm)
        feeder = asyncio.create_task(_feed(bay, made, running, began))
        while not feeder.done() or not await asyncio.to_thread(done(bay)):
            now = time.monotonic() - began
            for change in changes.take():
                found = bay.clinical.utterance(change.ref) if change.what == "utterance" else None
                for word in found.words if found else ():
                    seen.setdefault((word.text, round(word.start, 2)), now)
            await asyncio.sleep(0.03)
    for utterance in bay.clinical.utterances(recording=RECORDING):
        for word in utterance.words:
            seen.setdefault((word.text, round(word.start, 2)), time.monotonic() - began)
    return seen


async def _feed(bay: Bay, made: Sequence[Timed], running: Transcriber, began: float) -> None:
    for ready, each in made:
        await asyncio.sleep(max(0.0, began + ready - time.monotonic()))
        bay.record([each])
        running.notify(bay.device)
    bay.end()
    running.notify(bay.device)


def segments(scene: Path, array: str) -> list[Timed]:
    """A scene through the unit's own line of stages."""
    profile = load_profile(str(SCENES / array))
    voices = read_voices([("clinician", scene / "enrol_clinician.flac")])
    return _through(scene / "mics.flac", Assembly(profile.geometry, voices, "clinician"), profile)


def _through(path: Path, assembly: Assembly, profile: Any) -> list[Timed]:  # noqa: ANN401 - of load_profile
    pipeline, made = assembly.pipeline(), list[Timed]()
    end = 0.0
    with Recording(path, profile) as recording:
        for block in recording.blocks(BLOCK):
            end = block.end / RATE
            made += [(end, each) for each in pipeline.push(block).segments]
    return made + [(end, each) for each in pipeline.flush().segments]


# -- noise


def noise(options: argparse.Namespace) -> int:
    """Noise with the turns that the unit finds in it, and with a turn in every second."""
    import subprocess

    with tempfile.TemporaryDirectory() as made:
        folder = options.noise or Path(made)
        if options.noise is None:
            maker = REPOSITORY / "benchmarks/transcript_noise.py"
            minutes = str(options.noise_minutes)
            command = [options.scenes_python, str(maker), "--minutes", minutes, "--out", made]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        totals = dict.fromkeys(("minutes", "turn_s", "own", "wrong"), 0.0)
        for path in sorted(folder.glob("*.flac")):
            if totals["minutes"] >= options.noise_minutes:
                break
            _noise_file(path, totals)
            print(
                "  " + "  ".join(f"{name} {value:.1f}" for name, value in totals.items()),
                flush=True,
            )
    print(
        f"{totals['minutes']:.1f} min of 70 dB SPL noise: the unit puts turns on "
        f"{totals['turn_s'] / 60:.1f} min of it (no voice enrolled); words with those turns: "
        f"{totals['own']:.0f}; with a turn in every second: {totals['wrong']:.0f}"
    )
    return int(totals["own"] + totals["wrong"] > 0)


def _noise_file(path: Path, totals: dict[str, float]) -> None:
    profile = load_profile(str(SCENES / "circle-4-32mm.toml"))
    timed = _through(path, Assembly(profile.geometry, (), None), profile)
    own = [each for _, each in timed]
    totals["minutes"] += soundfile.info(path).duration / 60
    turns = [t for each in own for t in each.turns]
    revised = {t.revises for t in turns}
    totals["turn_s"] += sum(t.end - t.start for t in turns if t.id not in revised) / RATE
    beam = np.concatenate([each.pcm for each in own])
    seconds = len(beam) // RATE
    every: list[Turn] = [turn(k + 1, k, k + 1) for k in range(seconds)]
    wrong = cut(beam, every, [float(k) for k in range(3, seconds, 3)])
    for name, made in (("own", own), ("wrong", wrong)):
        found, counts = transcribed(made)
        texts = [u.text for u in found if u.words]
        totals[name] += sum(len(u.words) for u in found)
        print(f"  {path.name} {name}: {counts} {texts}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""How well a prompt finds a moment in which nobody speaks.

Runs the line and the judge of quiet moments over the repository's scenes as a unit does
live, as if a prompt waited all the time, and holds every 40 ms in which it would begin to
play against the truth. Depends on scene, array and the networks; says nothing of rooms
that the scenes are not like.
"""

import json
from pathlib import Path

import numpy as np
import soundfile

from bayscribe.assembly import Assembly
from bayscribe.audio.profiles import load_profile
from bayscribe.diarize.interpreter import load_network
from bayscribe.diarize.speech import VoiceActivity
from bayscribe.prompts.config import BayPromptsConfig
from bayscribe.prompts.quiet import QuietMoment
from bayscribe.stream import Block
from bayscribe.units import SAMPLE_RATE, SampleIndex

SCENES = Path(__file__).resolve().parents[1] / "tests" / "scenes"
RUNS = {
    "sepsis-4mic-70db": "circle-4-32mm.toml",
    "sepsis-6mic-60db": "circle-6-46mm.toml",
}
PERIOD = 640
SECONDS = 120.0


def spoken(scene: Path, samples: int) -> np.ndarray:
    """Whether anybody speaks, by the scene's truth, per period."""
    truth = np.zeros(samples // PERIOD + 1, np.bool_)
    for row in (scene / "ref.rttm").read_text().splitlines():
        begin, length = (float(word) for word in row.split()[3:5])
        first, last = begin * SAMPLE_RATE / PERIOD, (begin + length) * SAMPLE_RATE / PERIOD
        truth[int(first) : int(np.ceil(last))] = True
    return truth


def measure(name: str, most_s: float) -> dict[str, object]:
    """One scene."""
    scene = SCENES / name
    mics = soundfile.read(scene / "mics.flac", dtype="int16", frames=int(most_s * SAMPLE_RATE))[0]
    truth = spoken(scene, len(mics))
    assembly = Assembly(load_profile(str(SCENES / RUNS[name])).geometry, (), None)
    line, activity = assembly.pipeline(), VoiceActivity(load_network("speech"))
    moment, least = QuietMoment(), BayPromptsConfig().quiet_s
    would: list[int] = []
    for number in range(len(mics) // PERIOD):
        pcm = mics[number * PERIOD : (number + 1) * PERIOD]
        block = Block(SampleIndex(number * PERIOD), pcm)
        now = activity.push(block.first, np.round(pcm.mean(axis=1)).astype(np.int16))
        output = line.push(block)
        moment.hear(now, output.speech, output.tracks)
        if moment.lasts_s() >= least:
            would.append(number)
    over = [number for number in would if truth[number]]
    starts = [a for k, a in enumerate(would) if k == 0 or a != would[k - 1] + 1]
    quiet = _pauses(~truth[: len(mics) // PERIOD], round(least * SAMPLE_RATE / PERIOD))
    return {
        "scene": name,
        "seconds": round(len(mics) / SAMPLE_RATE, 1),
        "true_pauses": quiet,
        "moments": len(starts),
        "first_at_s": round(starts[0] * PERIOD / SAMPLE_RATE, 2) if starts else None,
        "over_a_talker_percent": round(100 * len(over) / max(1, len(would)), 2),
        "begun_over_a_talker": sum(bool(truth[number]) for number in starts),
    }


def _pauses(silent: np.ndarray, least: int) -> int:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], silent.astype(np.int8), [0]])))
    return int((edges[1::2] - edges[::2] >= least).sum())


def main() -> int:
    """Print one JSON object a scene."""
    for name in RUNS:
        print(json.dumps(measure(name, SECONDS)), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""Whose speech is whose, by where and through what it was heard.

Runs ``bayscribe process`` over the repository's scenes: through the whole array where it
hung (ceiling, shelf), through one of its microphones, and as a video visit would hear the
same talk (the dry voices, mixed to mono; clinician left and everybody else right). Scored in
10 ms frames in which exactly one person speaks:

- ``own``: share of the clinician's speech that is labelled as the clinician's;
- ``foreign``: share of the others' speech that is labelled as the clinician's;
- ``missed``: share of all speech without any label;
- ``false_s``: seconds labelled where nobody speaks.

Depends on scene, voices, networks; two scenes are no field study.
"""

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from bayscribe.offline import Offline, Request
from bayscribe.units import SAMPLE_RATE

SCENES = Path(__file__).resolve().parents[1] / "tests" / "scenes"
ROLES = ("clinician", "nurse", "patient", "therapist")
ARRAYS = {
    "sepsis-4mic-70db": ("circle-4-32mm.toml", "ceiling, 70 dB SPL"),
    "sepsis-6mic-60db": ("circle-6-46mm.toml", "shelf, 60 dB SPL"),
}
FRAME = SAMPLE_RATE // 100
PEAK = 12_000
ROOM_GAIN = 4.0


def turns(path: Path, frames: int, label: str | None = None) -> Any:  # noqa: ANN401 - bool (frames,)
    """Frames in which ``label`` speaks, or anybody, by an RTTM file."""
    found = np.zeros(frames, np.int64)
    for row in path.read_text().splitlines():
        words = row.split()
        if label is None or words[7] == label:
            begin, length = float(words[3]), float(words[4])
            found[round(begin * 100) : round((begin + length) * 100)] += 1
    return found


def score(truth: Path, found: Path, frames: int) -> dict[str, float]:
    """The four figures."""
    everybody = turns(truth, frames)
    own = (turns(truth, frames, "clinician") > 0) & (everybody == 1)
    others = (everybody == 1) & ~own
    said, any_said = turns(found, frames, "clinician") > 0, turns(found, frames) > 0
    return {
        "own": round(float(said[own].mean()), 3),
        "foreign": round(float(said[others].mean()), 3),
        "missed": round(float(1 - any_said[everybody > 0].mean()), 3),
        "false_s": round(float((any_said & (everybody == 0)).sum()) / 100, 1),
    }


def sources(name: str, folder: Path) -> list[tuple[str, Path, str]]:
    """What is processed of a scene: how it was heard, the recording, the profile."""
    scene = SCENES / name
    mics = soundfile.read(scene / "mics.flac", dtype="int16")[0]
    dry = {role: soundfile.read(scene / f"dry_{role}.flac", dtype="float64")[0] for role in ROLES}
    together = np.sum(list(dry.values()), axis=0)
    gain = PEAK / np.abs(together).max()
    rng = np.random.default_rng(1)
    near = dry["clinician"] * gain
    far = (together - dry["clinician"]) * gain
    made = {
        "one microphone": (mics[:, 0] * ROOM_GAIN, "generic-mono"),
        "video visit, mono": (near + far + rng.normal(0, 8, len(near)), "telehealth-mono"),
        "video visit, stereo": (
            np.stack([near, far], 1) + rng.normal(0, 8, (len(near), 2)),
            "telehealth-stereo",
        ),
    }
    array, where = ARRAYS[name]
    listed = [(f"array, {where}", scene / "mics.flac", str(SCENES / array))]
    for number, (how, (sound, profile)) in enumerate(made.items()):
        path = folder / f"{number}.wav"
        whole = np.round(np.clip(sound, -32768, 32767)).astype(np.int16)
        soundfile.write(path, whole, SAMPLE_RATE, subtype="PCM_16")
        listed.append((how, path, profile))
    return listed


def main() -> int:
    """Print one JSON object a run."""
    for name in ARRAYS:
        with tempfile.TemporaryDirectory() as made:
            folder = Path(made)
            for how, recording, profile in sources(name, folder):
                voice = (("clinician", SCENES / name / "enrol_clinician.flac"),)
                out = folder / "out"
                Offline(Request(recording, profile, voice, "clinician", out)).run()
                frames = soundfile.info(recording).frames // FRAME + 1
                figures = score(SCENES / name / "ref.rttm", out / "turns.rttm", frames)
                print(json.dumps({"scene": name, "heard": how, **figures}), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

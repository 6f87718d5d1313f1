"""What the near-speech network is trained on: its inputs along scenes, with the truth.

Runs in the product's own environment, on folders of ``mics.flac``, ``noise.flac`` and
``scene.json`` as ``benchmarks/scenes/render.py --noise`` writes them; one ``.npz`` a recording
for ``near.py``. The beam is the product's own, and the same weights make the beam of the noise
alone: what is left is the speech in it. Each scene is heard as it is, once at another level of
speech, and as often as is asked for in another scene's noise.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import soundfile
from benchmarks.hearing.line import Line

from bayscribe.audio.profiles import load_profile
from bayscribe.diarize.nearness import FFT, HOP, bands
from bayscribe.units import SAMPLE_RATE

_FULL = 32768.0
_TINY = 1e-10
_TAPER = np.hanning(FFT + 1)[:-1]
_SHARES = bands()
_MEANS = (_SHARES / _SHARES.sum(axis=1, keepdims=True)).T


def nepers(sound: np.ndarray, frames: int) -> np.ndarray:
    """Power by band of a float signal, nepers, (frames, bands)."""
    spans = np.arange(FFT)[None] + HOP * np.arange(frames)[:, None]
    power = np.abs(np.fft.rfft(sound[spans] * _TAPER, axis=1)) ** 2
    return np.log(power @ _MEANS + _TINY)


def talking(scene: Path, frames: int) -> np.ndarray:
    """Whether anybody talks in the middle of a frame, and whether two do, bool (frames, 2)."""
    middles = (np.arange(frames) * HOP + FFT / 2) / SAMPLE_RATE
    count = np.zeros(frames)
    for turn in json.loads((scene / "scene.json").read_text())["turns"]:
        for start, end in turn.get("vad") or [[turn["start"], turn["end"]]]:
            count += (middles >= start) & (middles < end)
    return np.stack([count > 0, count > 1], axis=1)


def write(target: Path, scene: Path, speech: np.ndarray, noise: np.ndarray, array: str) -> None:
    """One recording of float speech and noise (frames, mics), full scale 32,768."""
    geometry = np.array([(m.x, m.y, m.z) for m in load_profile(array).microphones])
    pcm, alone = (
        np.clip(np.rint(sound), -32768, 32767).astype(np.int16) for sound in (speech + noise, noise)
    )
    line = Line(pcm, geometry)
    beam, rest = line.beam / _FULL, line.again(alone) / _FULL
    frames = len(line.inputs)
    np.savez(
        target,
        x=line.inputs.astype(np.float16),
        beam=nepers(beam, frames).astype(np.float16),
        speech=nepers(beam - rest, frames).astype(np.float16),
        talking=talking(scene, frames),
    )


def parts(scene: Path) -> tuple[np.ndarray, np.ndarray]:
    """Speech and noise of a scene, float (frames, mics), full scale 32,768."""
    pcm, _ = soundfile.read(scene / "mics.flac", dtype="int16")
    noise, _ = soundfile.read(scene / "noise.flac", dtype="int16")
    return pcm - noise.astype(np.float64), noise.astype(np.float64)


def mixed(speech: np.ndarray, noise: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Another scene's noise at -6 to 8 dB below the speech, from anywhere in it."""
    start = int(random.integers(len(noise)))
    turned = np.resize(np.roll(noise, -start, axis=0), speech.shape)
    rms = [np.sqrt(np.square(sound).mean()) for sound in (speech, turned)]
    return turned * (rms[0] / rms[1] / 10 ** (random.uniform(-6, 8) / 20))


def main() -> None:
    """Several files a scene."""
    parser = argparse.ArgumentParser(description="Inputs to train the near-speech network on.")
    parser.add_argument("scenes", type=Path, nargs="+", help="folders of scenes of one array")
    parser.add_argument("--array", required=True, help="profile that the scenes were made with")
    parser.add_argument("--mixes", type=int, default=4, help="in others' noise (default 4)")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for number, scene in enumerate(options.scenes):
        random = np.random.default_rng([number, 9])
        speech, noise = parts(scene)
        name = f"{Path(options.array).stem}-{scene.name}"
        write(options.out / f"{name}.npz", scene, speech, noise, options.array)
        if not options.mixes:
            continue
        louder = speech * 10 ** (random.uniform(-6, 4) / 20)
        write(options.out / f"{name}-level.npz", scene, louder, noise, options.array)
        for k in range(options.mixes):
            other = options.scenes[int(random.integers(len(options.scenes)))]
            heard = mixed(speech, parts(other)[1], random)
            level = 10 ** (random.uniform(-6, 6) / 20)
            target = options.out / f"{name}-mix{k}.npz"
            write(target, scene, level * speech, level * heard, options.array)


if __name__ == "__main__":
    main()

"""What the bearing network is trained on: its inputs along scenes, with the truth.

Runs in the product's own environment, on folders of ``mics.flac`` and ``scene.json`` as
``benchmarks/scenes`` renders them; writes one ``.npz`` a scene for ``bearings.py``. The
noise field is learnt as in the product, with the network that is shipped.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import soundfile

from bayscribe.audio.profiles import load_profile
from bayscribe.diarize.interpreter import load_network
from bayscribe.dsp.bearings import AZIMUTHS, Weighed
from bayscribe.dsp.localize import Localizer
from bayscribe.dsp.spectra import BLOCK
from bayscribe.units import SAMPLE_RATE

NEAR_DEG = 7.6
"""Cells of 5 degrees that count as a talker's own."""


class Recording:
    """The shipped network, keeping everything that it is asked."""

    def __init__(self):
        self._network = load_network("bearings")
        self.maps, self.scalars = [], []

    def __call__(self, maps, scalars):
        self.maps.append(maps.astype(np.float16))
        self.scalars.append(scalars)
        out = self._network.run({"maps": maps[None], "scalars": scalars[None]})
        return Weighed(out["logits"][0], *(float(odds) for odds in out["odds"][0]))


def truth(scene: dict, frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Who talks where, bool (frames, AZIMUTHS), and how many, float (frames,)."""
    where, count = np.zeros((frames, AZIMUTHS), bool), np.zeros(frames)
    edges = np.arange(frames + 1) * BLOCK / SAMPLE_RATE
    azimuths = np.arange(AZIMUTHS) * 360 / AZIMUTHS
    for turn in scene["turns"]:
        share = np.zeros(frames)
        for start, end in turn.get("vad") or [[turn["start"], turn["end"]]]:
            share += np.diff(np.clip(edges, start, end)) * SAMPLE_RATE / BLOCK
        count += share
        for start, end, azimuth, _ in scene["azimuth_track"][turn["talker"]]:
            middle = edges[:-1] + BLOCK / SAMPLE_RATE / 2
            there = (share >= 0.5) & (middle >= start - 0.05) & (middle <= end + 0.05)
            near = np.abs((azimuths - azimuth + 180) % 360 - 180) <= NEAR_DEG
            where |= there[:, None] & near
    return where, count


def main() -> None:
    parser = argparse.ArgumentParser(description="Inputs to train the bearing network on.")
    parser.add_argument("scenes", type=Path, nargs="+", help="folders of scenes")
    parser.add_argument("--array", required=True, help="profile that the scenes were made with")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    geometry = np.array([(m.x, m.y, m.z) for m in load_profile(options.array).microphones])
    for folder in options.scenes:
        pcm, _ = soundfile.read(folder / "mics.flac", dtype="int16")
        recording = Recording()
        localizer = Localizer(geometry, network=recording)
        localizer.push(0, pcm)
        localizer.flush()
        maps, scalars = np.stack(recording.maps), np.stack(recording.scalars)
        where, count = truth(json.loads((folder / "scene.json").read_text()), len(maps))
        target = options.out / f"{folder.name}.npz"
        np.savez_compressed(target, maps=maps, scalars=scalars, where=where, count=count)


if __name__ == "__main__":
    main()

"""What the presence network is trained on: its input vectors along scenes, with the truth.

Runs in the product's own environment, on folders of ``mics.flac`` and ``ref.rttm`` as
``benchmarks/scenes`` renders them; writes one ``.npz`` a scene for ``presence.py``.
"""

import argparse
from pathlib import Path

import numpy as np
import soundfile

from bayscribe.audio.channel_check import ChannelCheck
from bayscribe.audio.profiles import load_profile
from bayscribe.diarize.interpreter import load_network
from bayscribe.diarize.presence import FRAME, Presence
from bayscribe.diarize.speech import VoiceActivity
from bayscribe.diarize.turns import SpeakerTurns
from bayscribe.diarize.voice import VoiceEncoder
from bayscribe.dsp.adaptive import BeamSteerer
from bayscribe.dsp.bearings import Weighed
from bayscribe.dsp.localize import Localizer
from bayscribe.pipeline import Pipeline, Stages
from bayscribe.segments.cutter import SegmentCutter
from bayscribe.stream import Block
from bayscribe.units import SAMPLE_RATE, SampleIndex


class Recording(Presence):
    """Keeps every vector that it decides from."""

    def __init__(self) -> None:
        super().__init__(load_network("presence"))
        self.vectors: list[np.ndarray] = []

    def push(self, frame, told):
        vector = self.vector(frame, told)
        if vector is not None:
            self.vectors.append(vector)
        return None if vector is None else 0.0


def vectors(scene: Path, array: str) -> np.ndarray:
    """Vectors (frames, INPUTS) along the beam of a scene, made by the product's own line."""
    pcm, _ = soundfile.read(scene / "mics.flac", dtype="int16")
    geometry = np.array([(m.x, m.y, m.z) for m in load_profile(array).microphones])
    bearings = load_network("bearings")

    def weigh(maps, scalars):
        out = bearings.run({"maps": maps[None], "scalars": scalars[None]})
        return Weighed(out["logits"][0], *(float(odds) for odds in out["odds"][0]))

    presence, localizer = Recording(), Localizer(geometry, network=weigh)
    activity, encoder = (
        VoiceActivity(load_network("speech")),
        VoiceEncoder(load_network("speaker")),
    )
    stages = Stages(
        ChannelCheck(geometry),
        localizer,
        BeamSteerer(geometry, noise=localizer.noise),
        SpeakerTurns(activity, encoder, [], None, presence=presence),
        SegmentCutter(),
    )
    line = Pipeline(stages, len(geometry))
    line.push(Block(SampleIndex(0), pcm))
    line.flush()
    return np.stack(presence.vectors)


def truth(scene: Path, frames: int) -> np.ndarray:
    """Share of each frame that lies in a turn of the reference, float (frames,)."""
    edges = np.arange(frames + 1) * FRAME / SAMPLE_RATE
    share = np.zeros(frames)
    for line in (scene / "ref.rttm").read_text().splitlines():
        start, length = (float(value) for value in line.split()[3:5])
        inside = np.diff(np.clip(edges, start, start + length)) * SAMPLE_RATE / FRAME
        share = np.maximum(share, inside)
    return share


def main() -> None:
    """One file a scene."""
    parser = argparse.ArgumentParser(description="Inputs to train the presence network on.")
    parser.add_argument("scenes", type=Path, nargs="+", help="folders of scenes")
    parser.add_argument("--array", required=True, help="profile that the scenes were made with")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for scene in options.scenes:
        found = vectors(scene, options.array)
        np.savez(options.out / f"{scene.name}.npz", V=found, y=truth(scene, len(found)))


if __name__ == "__main__":
    main()

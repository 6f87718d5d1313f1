"""The product's line up to the beam, keeping what the near-speech network is asked.

For training it (``models/recipes/near_inputs.py``) and for trying its mask (``masked.py``).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bayscribe.audio.channel_check import ChannelCheck
from bayscribe.diarize.interpreter import Floats, load_network
from bayscribe.diarize.nearness import Hearing
from bayscribe.dsp.adaptive import BeamSteerer
from bayscribe.dsp.beam import FixedPointBeam
from bayscribe.dsp.bearings import Weighed
from bayscribe.dsp.localize import Localizer
from bayscribe.dsp.weights import WeightSet
from bayscribe.pipeline import Pipeline, Stages
from bayscribe.segments.cutter import SegmentCutter
from bayscribe.stream import Analysis, Block, Pcm, SpeechFrame, TrackFrame
from bayscribe.units import SampleIndex

Geometry = NDArray[np.float64]


class Kept:
    """In the place of the speaker stage: asks for the network's inputs, and keeps them."""

    def __init__(self, geometry: Geometry) -> None:
        self._hearing = Hearing(geometry)
        self.inputs: list[Floats] = []
        self.beam: list[Pcm] = []

    def use(self, active: NDArray[np.bool_]) -> None:
        """Leave out microphones."""
        self._hearing.use(active)

    def push(
        self,
        first: SampleIndex,  # noqa: ARG002 - part of the stage's contract
        beam: Pcm,
        mics: Pcm,
        tracks: Sequence[TrackFrame],
    ) -> Analysis:
        """Keep beam and inputs."""
        self.beam.append(beam)
        self.inputs.append(self._hearing.push(beam, mics, tracks))
        return Analysis()

    def flush(self) -> Analysis:
        """Nothing is held back."""
        return Analysis()


class Steered(BeamSteerer):
    """Remembers every change of weights."""

    changes: tuple[tuple[SampleIndex, WeightSet], ...] = ()

    def push(
        self, frames: Sequence[TrackFrame], speech: Sequence[SpeechFrame] = ()
    ) -> list[tuple[SampleIndex, WeightSet]]:
        """As its parent."""
        changes = super().push(frames, speech)
        self.changes += tuple(changes)
        return changes


class Line:
    """One recording through it.

    Attributes:
        beam: int16 (n,).
        inputs: float32 (frames, INPUTS).

    Args:
        pcm: int16 (n, mics).
        geometry: (mics, 3), metres.
    """

    def __init__(self, pcm: Pcm, geometry: Geometry) -> None:
        network = load_network("bearings")

        def weigh(maps: Floats, scalars: Floats) -> Weighed:
            out = network.run({"maps": maps[None], "scalars": scalars[None]})
            speech, overlap = (float(odds) for odds in out["odds"][0])
            return Weighed(out["logits"][0], speech, overlap)

        kept, localizer = Kept(geometry), Localizer(geometry, network=weigh)
        self._steered = Steered(geometry, noise=localizer.noise)
        stages = Stages(ChannelCheck(geometry), localizer, self._steered, kept, SegmentCutter())
        line = Pipeline(stages, len(geometry))
        line.push(Block(SampleIndex(0), pcm))
        line.flush()
        self.beam, self.inputs = np.concatenate(kept.beam), np.concatenate(kept.inputs)

    def again(self, pcm: Pcm) -> Pcm:
        """Another sound int16 (frames, mics) through the very same beam."""
        beam = FixedPointBeam(self._steered.initial)
        for at, weights in self._steered.changes:
            beam.steer(weights, at)
        return np.concatenate([beam.push(pcm), beam.flush()])[: len(self.beam)]

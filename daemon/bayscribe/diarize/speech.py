"""Voice activity: a recurrent network on 32 ms of the beam at a time."""

import numpy as np

from bayscribe.diarize.interpreter import Floats, Network
from bayscribe.stream import Pcm, SpeechFrame
from bayscribe.units import SampleIndex

HOP = 512
"""Samples a frame: what the network was trained on at 16 kHz."""

_CONTEXT = 64
_STATE = 128


class VoiceActivity:
    """Beam in, probabilities of speech out.

    Args:
        network: ``speech`` of the manifest.
    """

    def __init__(self, network: Network) -> None:
        self._network = network
        self._held: Pcm = np.empty(0, np.int16)
        self._at = 0
        self.reset()

    def reset(self) -> None:
        """Forget what was heard: the stream jumps."""
        self._held = self._held[:0]
        self._context = np.zeros(_CONTEXT, np.float32)
        self._h: Floats = np.zeros((1, _STATE), np.float32)
        self._c: Floats = np.zeros((1, _STATE), np.float32)

    def push(self, first: SampleIndex, beam: Pcm) -> list[SpeechFrame]:
        """Take the next samples, int16 (n,); the frames that are complete."""
        if first != self._at + len(self._held):
            self.reset()
            self._at = int(first)
        self._held = np.concatenate([self._held, beam])
        frames: list[SpeechFrame] = []
        while len(self._held) >= HOP:
            frame, self._held = self._held[:HOP], self._held[HOP:]
            self._at += HOP
            frames.append(SpeechFrame(SampleIndex(self._at), self._step(frame)))
        return frames

    def _step(self, frame: Pcm) -> float:
        samples = frame.astype(np.float32) / np.float32(32768)
        x = np.concatenate([self._context, samples])[None]
        self._context = samples[-_CONTEXT:]
        out = self._network.run({"x": x, "h": self._h, "c": self._c})
        self._h, self._c = out["h_out"], out["c_out"]
        return float(out["prob"][0, 0])

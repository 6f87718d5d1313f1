"""What a voice sounds like: mel energies in, a unit vector out (CAM++)."""

import kaldi_native_fbank as knf
import numpy as np

from bayscribe.diarize.interpreter import Floats, Network
from bayscribe.stream import Pcm
from bayscribe.units import SAMPLE_RATE

FRAMES = 150
MELS = 80
SHIFT = 160
WINDOW = 400 + (FRAMES - 1) * SHIFT
"""Samples that one embedding needs: 1.5 s and a frame's overhang."""

DIMENSIONS = 192


class VoiceEncoder:
    """Speech in, unit vectors out.

    Args:
        network: ``speaker`` of the manifest.
    """

    def __init__(self, network: Network) -> None:
        self._network = network
        options = knf.FbankOptions()
        options.frame_opts.dither = 0.0
        options.frame_opts.samp_freq = SAMPLE_RATE
        options.mel_opts.num_bins = MELS
        self._options = options

    def encode(self, pcm: Pcm) -> Floats:
        """The voice in a window: int16 (WINDOW,) -> float32 (192,), of length one."""
        energies = self._fbank(pcm[:WINDOW])
        energies -= energies.mean(axis=0, keepdims=True)
        vector = self._network.run({"fbank": energies[None]})["embedding"][0]
        length = np.float32(max(float(np.linalg.norm(vector)), 1e-9))
        unit: Floats = vector / length
        return unit

    def _fbank(self, pcm: Pcm) -> Floats:
        """Kaldi log-mel energies, input scaled to [-1, 1]: float32 (FRAMES, MELS)."""
        bank = knf.OnlineFbank(self._options)
        samples = pcm.astype(np.float32) / np.float32(32768)
        bank.accept_waveform(SAMPLE_RATE, samples.tolist())
        bank.input_finished()
        return np.stack([bank.get_frame(k) for k in range(FRAMES)]).astype(np.float32)

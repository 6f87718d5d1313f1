"""Beams for analysis: several directions at once, in floating point, never recorded.

What is kept and hashed is the fixed-point beam alone. These serve the networks that
tell voices apart when two tracked talkers speak at the same time.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bayscribe.dsp.adaptive import LOOK_ELEVATION_DEG
from bayscribe.dsp.geometry import Floats
from bayscribe.dsp.weights import TAPS, SteeringGrid
from bayscribe.errors import AudioFormatError
from bayscribe.stream import Pcm
from bayscribe.units import SAMPLE_RATE

_FRAME = 128
_Work = NDArray[np.float32]


class AnalysisBeams:
    """Superdirective beams towards any azimuths, chosen anew with every push.

    Output k lies on input k and comes ``delay`` samples late, as with the fixed-point beam.

    Args:
        mics: float64 (M, 3), metres, profile order.
        sample_rate: Hz.
    """

    def __init__(self, mics: Floats, sample_rate: int = SAMPLE_RATE) -> None:
        self._grid = SteeringGrid(mics, sample_rate=sample_rate)
        self._mics = len(mics)
        self.delay = TAPS // 2
        self._held = self._silence()
        self._matrices: dict[bytes, _Work] = {}

    def push(self, pcm: Pcm, azimuths_deg: Sequence[float]) -> _Work:
        """Filter the next frames.

        Args:
            pcm: int16 (n, M).
            azimuths_deg: where to listen, for the samples that this push completes.

        Returns:
            float32 (K, n'), full scale is one: one row for each azimuth.

        Raises:
            AudioFormatError: another sample format or number of microphones.
        """
        if pcm.dtype != np.int16 or pcm.ndim != 2 or pcm.shape[1] != self._mics:
            raise AudioFormatError(
                f"beam input is {pcm.dtype} {pcm.shape}, expected int16 (n, {self._mics})"
            )
        self._held = np.concatenate([self._held, pcm.astype(np.float32) / 32768])
        ready = max(0, len(self._held) - (TAPS - 1))
        heard = self._beams(ready, azimuths_deg)
        self._held = self._held[ready:].copy()
        return heard

    def flush(self, azimuths_deg: Sequence[float]) -> _Work:
        """The samples still held, as if silence followed; then begin anew."""
        rest = self.push(np.zeros((self.delay, self._mics), np.int16), azimuths_deg)
        self._held = self._silence()
        return rest

    def _silence(self) -> _Work:
        return np.zeros((TAPS - 1 - self.delay, self._mics), np.float32)

    def _beams(self, count: int, azimuths_deg: Sequence[float]) -> _Work:
        if count == 0 or not azimuths_deg:
            return np.zeros((len(azimuths_deg), count), np.float32)
        frames = -(-count // _FRAME)
        padded = np.zeros((frames * _FRAME + TAPS - 1, self._mics), np.float32)
        padded[: count + TAPS - 1] = self._held[: count + TAPS - 1]
        width = (_FRAME + TAPS - 1) * self._mics
        spans = np.lib.stride_tricks.sliding_window_view(padded.reshape(-1), width)
        rows = np.ascontiguousarray(spans[:: _FRAME * self._mics][:frames])
        made = [(rows @ self._matrix(a)).reshape(-1)[:count] for a in azimuths_deg]
        return np.stack(made)

    def _matrix(self, azimuth_deg: float) -> _Work:
        weights = self._grid.at(azimuth_deg, LOOK_ELEVATION_DEG)
        if weights.sha256 not in self._matrices:
            backwards = weights.q15[:, ::-1].T.astype(np.float32) / 32768
            matrix = np.zeros((_FRAME + TAPS - 1, self._mics, _FRAME), np.float32)
            for output in range(_FRAME):
                matrix[output : output + TAPS, :, output] = backwards
            self._matrices[weights.sha256] = matrix.reshape(-1, _FRAME)
        return self._matrices[weights.sha256]

"""Whether somebody near speaks: a small network over what everything else says of it.

Voice activity alone hears the babble of a bay as speech. Per 100 ms this joins it with
the level of the beam in bands above their own floors, the tracks' salience, and what the
network of :mod:`bayscribe.dsp.bearings` says of any talker and of two. A frame is decided
:data:`LATENCY` frames after it ended.
"""

from collections import deque
from itertools import pairwise

import numpy as np

from bayscribe.diarize.interpreter import Floats, Network
from bayscribe.stream import Pcm
from bayscribe.units import SAMPLE_RATE

FRAME = 1600
BEFORE, AFTER = 20, 4
"""Frames of context."""

LATENCY = AFTER
"""Frames behind a frame that its decision waits for."""

_FLOOR_FRAMES = 150
_FLOOR_PERCENTILE = 15
_EDGES_HZ = np.array([200, 400, 600, 850, 1150, 1500, 2000, 2600, 3400, 4500, 6000])
_EDGES = (_EDGES_HZ * FRAME // SAMPLE_RATE).tolist()
_WHOLE = slice(40, 350)
_TAPER = np.hanning(FRAME)
TOLD = 5
"""Log-odds that are told: voice activity, first and second track, any talker, two."""

INPUTS = (BEFORE + 1 + AFTER) * (TOLD + len(_EDGES))
"""Numbers that the network decides from."""


class Presence:
    """Frames of the beam in, log-odds of near speech out.

    Args:
        network: ``presence`` of the manifest.
    """

    def __init__(self, network: Network) -> None:
        self._network = network
        self.reset()

    def reset(self) -> None:
        """Forget what was heard: the stream jumps."""
        self._levels: deque[Floats] = deque(maxlen=_FLOOR_FRAMES)
        self._rows: deque[Floats] = deque(maxlen=LATENCY + 1 + BEFORE)
        self._count = 0

    def push(self, frame: Pcm, told: Floats) -> float | None:
        """Take a frame int16 (1600,) and what is told of it, float32 (TOLD,).

        Returns:
            Log-odds for the frame :data:`LATENCY` frames ago; None before there is one.
        """
        vector = self.vector(frame, told)
        if vector is None:
            return None
        return float(self._network.run({"x": vector[None]})["odds"][0, 0])

    def vector(self, frame: Pcm, told: Floats) -> Floats | None:
        """What :meth:`push` decides from, float32 (INPUTS,)."""
        self._rows.append(np.concatenate([told, self._above(frame)]))
        self._count += 1
        if self._count <= LATENCY:
            return None
        at = len(self._rows) - LATENCY - 1
        reach = np.clip(np.arange(at - BEFORE, at + AFTER + 1), 0, len(self._rows) - 1)
        return np.concatenate([self._rows[k] for k in reach]).astype(np.float32)

    def _above(self, frame: Pcm) -> Floats:
        """Levels of bands and of all, dB above what 15 % of the last frames stay below."""
        power = np.abs(np.fft.rfft(frame * _TAPER)) ** 2
        bands = [power[a:b].mean() for a, b in pairwise(_EDGES)]
        level = 10 * np.log10(np.array([*bands, power[_WHOLE].sum()]) + 1.0)
        self._levels.append(level.astype(np.float32))
        floor = np.percentile(np.stack(self._levels), _FLOOR_PERCENTILE, axis=0)
        return np.asarray(level - floor, np.float32)

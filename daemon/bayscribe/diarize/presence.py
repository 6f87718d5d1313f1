"""Whether somebody near speaks: a small network over what everything else says of it.

Voice activity alone hears the babble of a bay as speech. Per 100 ms this joins it with
the level of the beam in bands above their own floors, the tracks' salience, and a
segmentation network's view of the last five seconds. A frame is decided
:data:`LATENCY` frames after it ended.
"""

from collections import deque
from itertools import pairwise

import numpy as np

from bayscribe.diarize.interpreter import Floats, Network
from bayscribe.stream import Pcm
from bayscribe.units import SAMPLE_RATE

FRAME = 1600
LATENCY = 6
"""Frames behind a frame that its decision waits for."""

BEFORE, AFTER = 5, 4
"""Frames of context; of the segmentation, which comes last, only those before."""

SEGMENTATION_EVERY = 5
"""Frames between two runs of the segmentation network, 42 ms of CPU each."""

SETTLED = 2
"""Frames at the end of a segmentation window that are not taken from it: no context."""

_WINDOW = 80_000
_FLOOR_FRAMES = 150
_FLOOR_PERCENTILE = 15
_EDGES_HZ = np.array([200, 400, 600, 850, 1150, 1500, 2000, 2600, 3400, 4500, 6000])
_EDGES = (_EDGES_HZ * FRAME // SAMPLE_RATE).tolist()
_WHOLE = slice(40, 350)
_TAPER = np.hanning(FRAME)
_BANDS = len(_EDGES)
_ROW = 2 + _BANDS
INPUTS = (BEFORE + 1 + AFTER) * _ROW + (BEFORE + 1) * 2
"""Numbers that the network decides from."""


class Presence:
    """Frames of the beam in, log-odds of near speech out.

    Args:
        segmentation: ``segmentation`` of the manifest.
        fusion: ``presence`` of the manifest.
    """

    def __init__(self, segmentation: Network, fusion: Network) -> None:
        self._segmentation = segmentation
        self._fusion = fusion
        self.reset()

    def reset(self) -> None:
        """Forget what was heard: the stream jumps."""
        self._heard = np.zeros(_WINDOW, np.int16)
        self._levels: deque[Floats] = deque(maxlen=_FLOOR_FRAMES)
        self._rows: deque[Floats] = deque(maxlen=LATENCY + 1 + BEFORE)
        self._segments: deque[Floats] = deque(maxlen=2 * (LATENCY + 1 + BEFORE))
        self._count = 0

    def push(self, frame: Pcm, vad: float, track: float) -> float | None:
        """Take a frame int16 (1600,) and the log-odds of voice activity and tracks.

        Returns:
            Log-odds for the frame :data:`LATENCY` frames ago; None before there is one.
        """
        vector = self.vector(frame, vad, track)
        if vector is None:
            return None
        return float(self._fusion.run({"x": vector[None]})["odds"][0, 0])

    def vector(self, frame: Pcm, vad: float, track: float) -> Floats | None:
        """What :meth:`push` decides from, float32 (INPUTS,)."""
        self._heard = np.concatenate([self._heard[FRAME:], frame])
        self._rows.append(np.concatenate([np.array([vad, track]), self._above(frame)]))
        self._count += 1
        if self._count % SEGMENTATION_EVERY == 0:
            self._segment()
        if self._count <= LATENCY:
            return None
        rows = _context(list(self._rows), LATENCY + 1, BEFORE, AFTER)
        behind = self._segmented() - (self._count - 1 - LATENCY)
        segments = _context(list(self._segments), behind, BEFORE, 0)
        return np.concatenate([*rows, *segments]).astype(np.float32)

    def _above(self, frame: Pcm) -> Floats:
        """Levels of bands and of all, dB above what 15 % of the last frames stay below."""
        power = np.abs(np.fft.rfft(frame * _TAPER)) ** 2
        bands = [power[a:b].mean() for a, b in pairwise(_EDGES)]
        level = 10 * np.log10(np.array([*bands, power[_WHOLE].sum()]) + 1.0)
        self._levels.append(level.astype(np.float32))
        floor = np.percentile(np.stack(self._levels), _FLOOR_PERCENTILE, axis=0)
        return np.asarray(level - floor, np.float32)

    def _segmented(self) -> int:
        """How many frames the segmentation has been entered for."""
        return self._count // SEGMENTATION_EVERY * SEGMENTATION_EVERY - SETTLED

    def _segment(self) -> None:
        """Enter log-odds of speech and of overlap for the frames that are settled now."""
        wav = (self._heard.astype(np.float32) / np.float32(32768))[None]
        scores = self._segmentation.run({"wav": wav})["output_0"][0]
        chances = np.exp(scores - scores.max(axis=1, keepdims=True))
        chances /= chances.sum(axis=1, keepdims=True)
        both = np.stack([1 - chances[:, 0], chances[:, 4:].sum(axis=1)], axis=1)
        frame = (np.arange(len(both)) + 0.5) * _WINDOW / len(both) // FRAME
        last = _WINDOW // FRAME - SETTLED
        new = SEGMENTATION_EVERY - (SETTLED if self._count == SEGMENTATION_EVERY else 0)
        for number in range(last - new, last):
            mean = np.clip(both[frame == number].mean(axis=0), 1e-4, 1 - 1e-4)
            self._segments.append(np.log(mean / (1 - mean)).astype(np.float32))


def _context(rows: list[Floats], behind: int, before: int, after: int) -> list[Floats]:
    """Rows around the one that is ``behind``-th from the end; edges are repeated."""
    at = len(rows) - behind
    return [rows[min(max(k, 0), len(rows) - 1)] for k in range(at - before, at + after + 1)]

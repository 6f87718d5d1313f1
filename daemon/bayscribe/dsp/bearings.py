"""Bearings told by a small network from maps of evidence.

The likelihood ratio of :mod:`bayscribe.dsp.localize` knows one plane wave and the shape of
the noise; it does not know what a voice in a room looks like: how its echoes move, in which
bands it shows, how it comes and goes against babble. A convolutional network over azimuth,
closed round the circle, learns that from simulated bays. It sees the maps in four bands
over 0.7 s, and how far the microphones' level lies above its floor; never the geometry, so
that it serves every flat array of three microphones and more. It only weighs evidence: which
talker is where is still the tracker's to decide.
"""

from collections import deque
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bayscribe.dsp.spectra import WINDOW, Spectra
from bayscribe.units import SAMPLE_RATE

Maps = NDArray[np.float32]

PAST, FUTURE = 4, 2
"""Blocks of context: the one in question is decided FUTURE blocks later."""

AZIMUTHS = 72
BAND_EDGES_HZ = (500.0, 1000.0, 2000.0, 4000.0, 8000.0)
"""Evidence is told apart in these bands: room and array answer to each in another way."""

LEVEL_EDGES_HZ = (100, 200, 400, 600, 850, 1150, 1500, 2000, 2600, 3400, 4500, 6000, 7900)
"""Bands of the microphones' level."""

BANDS, SCALARS = len(BAND_EDGES_HZ) - 1, len(LEVEL_EDGES_HZ) + 1
CONTEXT = PAST + 1 + FUTURE

FLOOR_BLOCKS = 150
_FLOOR_PERCENTILE = 15
_OFFSET = np.array([8.0] * (SCALARS - 2) + [1.0, 4.0])
_SCALE = np.array([8.0] * (SCALARS - 2) + [2.0, 2.0])


@dataclass(frozen=True, slots=True)
class Weighed:
    """Log-odds of a talker at each azimuth float32 (AZIMUTHS,), of any talker, and of two."""

    azimuths: Maps
    speech: float
    overlap: float


class BearingNetwork(Protocol):
    """Weighs maps of evidence."""

    def __call__(self, maps: Maps, scalars: Maps) -> Weighed:
        """Weigh one block.

        Args:
            maps: float32 (CONTEXT * BANDS + BANDS, AZIMUTHS), the short spans in order of
                time and then the long one.
            scalars: float32 (CONTEXT * SCALARS,).

        """
        ...


class Levels:
    """How far the microphones' level lies above what is usual in quiet, by band."""

    def __init__(self) -> None:
        bins = np.searchsorted(np.fft.rfftfreq(WINDOW, 1 / SAMPLE_RATE), LEVEL_EDGES_HZ)
        self._edges = bins.tolist()
        self._past: deque[Maps] = deque(maxlen=FLOOR_BLOCKS)

    def push(self, spectra: Spectra) -> Maps:
        """Decibels above the floor, float32 (SCALARS - 2,), of a block of working mics."""
        power = (np.abs(spectra) ** 2).mean(axis=(0, 2))
        bands = zip(self._edges[:-1], self._edges[1:], strict=True)
        mean = np.array([power[low:high].mean() for low, high in bands])
        level = (10 * np.log10(mean + 1e-12)).astype(np.float32)
        self._past.append(level)
        floor = np.percentile(np.stack(self._past), _FLOOR_PERCENTILE, axis=0)
        return np.asarray(level - floor, np.float32)


class BearingContext:
    """Maps block by block in, the network's word on each.

    Args:
        network: weighs them.
    """

    def __init__(self, network: BearingNetwork) -> None:
        self._network = network
        self._rows: list[tuple[Maps, Maps]] = []
        self._next = 0

    def add(self, maps: Maps, levels: Maps, tonal: float, mics: int) -> None:
        """Take in the map of a block over a span of three.

        Args:
            maps: float32 (BANDS, AZIMUTHS), mean log-likelihood ratio per bin.
            levels: of :class:`Levels`.
            tonal: share of bins that belong to tones, 0..1.
            mics: how many work.
        """
        scalars = (np.append(levels, [10 * tonal, mics]) - _OFFSET) / _SCALE
        self._rows.append((_compressed(maps), scalars.astype(np.float32)))

    def weigh(self, wide: Maps) -> Weighed:
        """Weigh the next block: ``FUTURE`` blocks behind it should have been added.

        At the end of a stream the last one stands for those that do not come.

        Args:
            wide: the block's map over the long span, float32 (BANDS, AZIMUTHS).
        """
        reach = np.arange(self._next - PAST, self._next + FUTURE + 1)
        near = [self._rows[k] for k in np.clip(reach, 0, len(self._rows) - 1)]
        maps, scalars = (np.stack(each) for each in zip(*near, strict=True))
        self._next += 1
        cut = max(0, self._next - PAST)
        self._rows, self._next = self._rows[cut:], self._next - cut
        stacked = np.concatenate([maps.reshape(-1, AZIMUTHS), _compressed(wide)])
        return self._network(stacked, scalars.reshape(-1))


def _compressed(maps: Maps) -> Maps:
    return np.log1p(np.maximum(10 * maps, 0)).astype(np.float32)

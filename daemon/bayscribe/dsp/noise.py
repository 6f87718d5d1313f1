"""The noise field of the bay: the covariance between microphones when nobody talks."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Covariance = NDArray[np.complex64]
"""complex64 (bins, mics, mics), Hermitian."""

LEAST_WEIGHT = 0.3
"""What a block counts in which somebody certainly talks. More than nothing, so that a
field that was taken for a talker from the start is learnt in the end."""

_PRIOR_BLOCKS = 6.0
_MEMORY_BLOCKS = 400.0
_LOADING = 0.003
_MOST_WEIGHT = 2.0


@dataclass(frozen=True, slots=True)
class NoiseShape:
    """The noise field as it was learnt up to some sample.

    Attributes:
        frequencies: float64 (bins,), Hz, evenly spaced.
        covariance: complex64 (bins, m, m) between the microphones in use.
        active: bool (M,), which those are.
    """

    frequencies: NDArray[np.float64]
    covariance: Covariance
    active: NDArray[np.bool_]


class NoiseField:
    """Running mean of power-normalised covariances, over what is probably no talker.

    A block counts by the chance that nobody talked in it, and each of its bins in
    inverse proportion to how far its power lies above what is usual there: speech is loud and
    sparse, so what is left over is the bed. The covariance itself is normalised by its
    power: what counts here is the field's shape, not its level.

    Args:
        prior: (bins, mics, mics), what is assumed before anything is heard: the coherence
            of a diffuse field.
    """

    def __init__(self, prior: NDArray[np.float64]) -> None:
        self._sum = (prior * _PRIOR_BLOCKS).astype(np.complex64)
        self._weight = np.full((len(prior), 1, 1), _PRIOR_BLOCKS, np.float32)
        self._usual = np.zeros(len(prior), np.float32)
        self._blocks = 0

    def add(self, block: Covariance, silence: float) -> None:
        """Take in one block's covariance; ``silence`` 0..1 is the chance that nobody talked."""
        power = np.einsum("fmm->f", block).real / block.shape[1]
        level = np.log(np.maximum(power, np.float32(1e-20)))
        self._blocks += 1
        self._usual += (level - self._usual) / np.float32(min(self._blocks, _MEMORY_BLOCKS))
        quiet = np.minimum(np.exp(self._usual - level), np.float32(_MOST_WEIGHT))
        certain = np.float32(LEAST_WEIGHT + (1 - LEAST_WEIGHT) * silence)
        weight = (quiet * certain)[:, None, None]
        keep = 1 - weight / np.float32(_MEMORY_BLOCKS)
        shape = block * np.exp(-level)[:, None, None]
        self._sum = self._sum * keep + shape * weight
        self._weight = self._weight * keep + weight

    @property
    def covariance(self) -> Covariance:
        """The field, mean power one in every bin, lightly loaded so that it can be inverted."""
        mean = self._sum / self._weight
        loaded: Covariance = mean + np.float32(_LOADING) * np.eye(mean.shape[1], dtype=np.float32)
        return loaded

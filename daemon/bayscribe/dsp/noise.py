"""The noise field of the bay: the covariance between microphones when nobody talks."""

import numpy as np
from numpy.typing import NDArray

Covariance = NDArray[np.complex64]
"""complex64 (bins, mics, mics), Hermitian."""

LEAST_WEIGHT = 0.1
"""What a block counts in which somebody certainly talks. More than nothing, so that a
field that was taken for a talker from the start is learnt in the end."""

_PRIOR_BLOCKS = 6.0
_MEMORY_BLOCKS = 400.0
_LOADING = 0.003


class NoiseField:
    """Running mean of power-normalised covariances over the blocks without a talker.

    Normalising each block and bin by its power keeps a slammed door or the start of a
    word from outweighing minutes of bed noise: what counts here is shape, not level.

    Args:
        prior: (bins, mics, mics), what is assumed before anything is heard: the coherence
            of a diffuse field.
    """

    def __init__(self, prior: NDArray[np.float64]) -> None:
        self._prior = prior.astype(np.complex64)
        self._sum = self._prior * np.float32(_PRIOR_BLOCKS)
        self._weight = _PRIOR_BLOCKS

    def add(self, block: Covariance, silence: float) -> None:
        """Take in one block's covariance; ``silence`` 0..1 is the chance that nobody talked."""
        level = np.einsum("fmm->f", block).real / block.shape[1]
        weight = LEAST_WEIGHT + (1 - LEAST_WEIGHT) * silence
        keep = 1 - weight / _MEMORY_BLOCKS
        shape = block / np.maximum(level, np.float32(1e-20))[:, None, None]
        self._sum = (self._sum * np.float32(keep) + shape * np.float32(weight)).astype(np.complex64)
        self._weight = self._weight * keep + weight

    @property
    def covariance(self) -> Covariance:
        """The field, mean power one in every bin, lightly loaded so that it can be inverted."""
        mean = self._sum / np.float32(self._weight)
        loaded: Covariance = mean + np.float32(_LOADING) * np.eye(mean.shape[1], dtype=np.float32)
        return loaded

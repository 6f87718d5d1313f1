"""The noise floor of each frequency band, learnt while people talk over it."""

import numpy as np
from numpy.typing import NDArray

Powers = NDArray[np.float32]

QUANTILE = 0.4
"""Speech is sparse: in any one band less than half of the blocks carry a talker."""

_BIAS = 1.15
"""Mean of noise power over its 0.4 quantile, for averages of about eight degrees of freedom."""

_QUICK_BLOCKS = 20
_STEP_LOG = 0.06
_LEAST = 1e-12


class NoiseFloor:
    """A running quantile of block power in each band.

    Args:
        bands: how many.
    """

    def __init__(self, bands: int) -> None:
        self._log = np.zeros(bands, np.float32)
        self._blocks = 0

    def push(self, power: Powers) -> Powers:
        """Take in the power (bands,) of one block; the floor (bands,) it stands on.

        The first blocks are learnt at large steps; from then on the floor follows within
        some ten seconds, in steps that do not depend on how loud a block is.
        """
        level = np.log(np.maximum(power, _LEAST))
        if self._blocks == 0:
            self._log = level.astype(np.float32)
        step = _STEP_LOG * max(1.0, 8.0 * (1 - self._blocks / _QUICK_BLOCKS))
        self._blocks += 1
        self._log += np.where(level > self._log, step * QUANTILE, -step * (1 - QUANTILE)).astype(
            np.float32
        )
        floor: Powers = (_BIAS * np.exp(self._log)).astype(np.float32)
        return floor

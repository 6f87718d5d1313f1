"""The likeliest sequence of talkers: Viterbi over pause, persons and somebody new."""

import numpy as np
from numpy.typing import NDArray

from bayscribe.diarize.config import DiarizeConfig

PAUSE = 0

Scores = NDArray[np.float64]


def transitions(persons: int, config: DiarizeConfig) -> Scores:
    """Log-chances (states, states) from row to column; state 0 is the pause."""
    states = persons + 1
    chances = np.full((states, states), config.switch - np.log(max(persons - 1, 1)))
    chances[0, :] = config.start - np.log(max(persons, 1))
    chances[:, 0] = config.stop
    np.fill_diagonal(chances, 0.0)
    return chances


def decode(scores: Scores, chances: Scores, first: int | None) -> NDArray[np.int64]:
    """The best path through log-likelihood ratios.

    Args:
        scores: (frames, states).
        chances: (states, states), from row to column.
        first: state of the frame before these, or None.

    Returns:
        (frames,), the state of each frame.
    """
    best = scores[0] + (chances[first] if first is not None else 0.0)
    came = np.zeros(scores.shape, np.int64)
    for t in range(1, len(scores)):
        ways = best[:, None] + chances
        came[t] = ways.argmax(axis=0)
        best = ways[came[t], np.arange(len(best))] + scores[t]
    path = np.empty(len(scores), np.int64)
    path[-1] = int(best.argmax())
    for t in range(len(scores) - 1, 0, -1):
        path[t - 1] = came[t, path[t]]
    return path

"""Voices as a mixture on the sphere whose talkers persist, fitted to a few minutes."""

import numpy as np
from numpy.typing import NDArray

from bayscribe.diarize.config import DiarizeConfig

CELLS = 72
"""Azimuth cells of 5 degrees."""

Values = NDArray[np.float64]
Places = NDArray[np.float64]

_ITERATIONS = 6
_LEAST_PLACE = 0.25
_PLACE_PRIOR = 5.0
_LEAST_SEEN = 0.2
"""Length of a window's places below which it is hardly known where it came from."""

_LIKENESS = 0.4
"""Usual cosine between a voice and its windows: what an anchor of weight one adds."""


class Mixture:
    """Clusters of windows; the first ones are known voices.

    Args:
        config: thresholds.
        windows: (n, 192), centred unit vectors in order of time.

    Attributes:
        voices: (clusters, 192), unit vectors.
        places: (clusters, CELLS), density against anywhere.
        shares: (n, clusters), whose each window is.
    """

    def __init__(self, config: DiarizeConfig, windows: Values) -> None:
        self._config = config
        self._windows = windows
        self.shares: Values = np.zeros((len(windows), 0))
        self.voices: Values = np.zeros((0, windows.shape[1]))
        self.places: Places = np.ones((0, CELLS))

    def start(self, known: Values, weights: Values, seen: Places) -> None:
        """Begin with known voices (k, 192) of these weights (k,), and clusters beside them.

        Clusters are of windows that are alike in voice and in place together, ``seen``
        (n, CELLS). As many of them as there are known voices are taken to be theirs: the
        likest.
        """
        # Needed seconds after capture began at the earliest, and half of what start-up would load.
        from scipy.cluster.hierarchy import fcluster, linkage

        tree = linkage(self._joint(seen), "ward")
        count = 1 + len(self._windows) // self._config.windows_per_cluster
        names = fcluster(tree, min(count, self._config.clusters), "maxclust")
        found = np.stack([unit(self._windows[names == k].mean(axis=0)) for k in np.unique(names)])
        for voice in known:
            if len(found):
                found = np.delete(found, int((found @ voice).argmax()), axis=0)
        self._known = known.reshape(-1, self._windows.shape[1])
        self._weights = weights
        self.voices = np.concatenate([self._known, found])
        self.places = np.ones((len(self.voices), CELLS))

    def _joint(self, seen: Places) -> Values:
        """Voices and places side by side (n, 192 + CELLS): both of length one at most."""
        places = _blurred(seen)
        lengths = np.linalg.norm(places, axis=1, keepdims=True)
        places = self._config.cluster_places * places / np.maximum(lengths, _LEAST_SEEN)
        return np.concatenate([self._windows, places], axis=1)

    def fit(self, seen: Places) -> None:
        """Expectation-maximisation; ``seen`` (n, CELLS) says where windows came from."""
        for _ in range(_ITERATIONS):
            scores = self._config.window_gain * (self._windows @ self.voices.T)
            scores += self._config.window_places * (seen @ np.log(self.places).T)
            self.shares = _smoothed(scores, self._config.window_stay)
            self._prune()
            self._merge()
            self._move(seen)

    def _prune(self) -> None:
        """Leave out clusters that hardly own anything; known voices stay."""
        kept = self.shares.sum(axis=0) >= self._config.least_windows
        kept[: len(self._known)] = True
        if kept.any():
            shares = self.shares[:, kept]
            self.shares = shares / np.maximum(shares.sum(axis=1, keepdims=True), 1e-30)

    def _merge(self) -> None:
        """Join the two likest clusters if they are like one person."""
        self._renew()
        alike = self.voices @ self.voices.T
        known = len(self._known)
        alike[np.tril_indices(len(alike))] = -1.0
        # An anchor is clean: what is like it is that person, if less than two noisy halves
        # of one voice are like each other.
        excess = self._config.merge_cosine - self._config.known_cosine
        alike[:known] = self._known @ self.voices.T + excess
        alike[:known, :known] = -1.0
        row, column = np.unravel_index(int(alike.argmax()), alike.shape)
        if alike[row, column] > self._config.merge_cosine:
            self.shares[:, row] += self.shares[:, column]
            self.shares = np.delete(self.shares, column, axis=1)
            self._renew()

    def _renew(self) -> None:
        sums = self.shares.T @ self._windows
        known = len(self._known)
        sums[:known] += _LIKENESS * self._weights[:, None] * self._known
        self.voices = unit(sums)

    def _move(self, seen: Places) -> None:
        heard = self.shares.T @ seen
        total = heard.sum(axis=1, keepdims=True)
        density = (CELLS * _blurred(heard) + _PLACE_PRIOR) / (total + _PLACE_PRIOR)
        self.places = _LEAST_PLACE + (1 - _LEAST_PLACE) * density


_REACH = np.arange(-4, 5)
_KERNEL = np.exp(-0.5 * (_REACH * 5.0 / 8.0) ** 2)
_BLUR = [(int(k), float(w)) for k, w in zip(_REACH, _KERNEL / _KERNEL.sum(), strict=True)]
"""Tracks are not exact and people sway: 8 degrees."""


def _blurred(places: Places) -> Places:
    """Places (..., CELLS) spread by as much as tracks err and people sway."""
    return np.asarray(sum(w * np.roll(places, k, axis=-1) for k, w in _BLUR))


def unit(vectors: NDArray[np.floating]) -> Values:
    """Vectors (..., n) scaled to length one."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-9), np.float64)


def _smoothed(scores: Values, stay: float) -> Values:
    """Posteriors (n, k) of a hidden Markov chain with log-likelihoods ``scores``."""
    count, states = scores.shape
    if states == 1:
        return np.ones((count, 1))
    likely = np.exp(scores - scores.max(axis=1, keepdims=True))
    move = (1 - stay) / (states - 1)
    keep = stay - move
    forward, backward = np.empty_like(likely), np.ones_like(likely)
    mass = np.full(states, 1.0 / states)
    for t in range(count):
        mass = (keep * mass + move) * likely[t]
        mass /= mass.sum()
        forward[t] = mass
    message = np.ones(states)
    for t in range(count - 2, -1, -1):
        message = message * likely[t + 1]
        message = keep * message + move * message.sum()
        message /= message.sum()
        backward[t] = message
    joint = forward * backward
    return np.asarray(joint / joint.sum(axis=1, keepdims=True))

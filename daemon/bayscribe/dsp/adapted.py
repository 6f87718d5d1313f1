"""Beam weights for the noise field as it is, not as the textbook has it.

In a field that is diffuse this is the superdirective beam; where a fan, a ventilator
or a doorway is a direction of its own, it is turned away from. The measured covariance is
mixed with that of a diffuse field, half and half, and loaded for a white-noise gain
floor: what the measurement gets wrong, a talker's own reverberation above all, then costs
little, while a source that stands out keeps most of its weight.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from bayscribe.dsp.design import design_frequencies
from bayscribe.dsp.geometry import Complexes, Floats, checked, diffuse_coherence
from bayscribe.dsp.noise import NoiseShape
from bayscribe.dsp.weights import (
    TAPS,
    WNG_FLOOR_DB,
    WeightSet,
    minimum_variance,
    steering_on_grid,
)
from bayscribe.units import SAMPLE_RATE

MEASURED_SHARE = 0.5
"""Weight of the measured field against the diffuse one."""

LEAST_CHANGE = 0.05
"""Mean squared change of coherence below which a new measurement is not worth new weights."""

_AZIMUTH_STEP_DEG = 5.0
_ELEVATION_STEP_DEG = 15.0


class AdaptedSets:
    """Minimum-variance weight sets towards any direction in the present noise field.

    Args:
        mics: float64 (M, 3), metres, profile order.
        sample_rate: Hz.
    """

    def __init__(self, mics: Floats, sample_rate: int = SAMPLE_RATE) -> None:
        self._mics = checked(mics)
        self._rate = sample_rate
        self._diffuse = diffuse_coherence(self._mics, design_frequencies(sample_rate))
        self._field: Complexes = self._diffuse.astype(np.complex128)
        self._design = lru_cache(maxsize=256)(self._designed)

    def hear(self, shape: NoiseShape) -> bool:
        """Design for this field from now on; False if it is too like the last one to matter."""
        measured = self._on_grid(shape)
        mixed = MEASURED_SHARE * measured + (1 - MEASURED_SHARE) * self._diffuse
        if float(np.mean(np.abs(mixed - self._field) ** 2)) < LEAST_CHANGE * MEASURED_SHARE**2:
            return False
        self._field = mixed
        self._design.cache_clear()
        return True

    def at(
        self,
        azimuth_deg: float,
        elevation_deg: float = 0.0,
        active: tuple[bool, ...] | None = None,
    ) -> WeightSet:
        """The set whose look direction is nearest: to 5 degrees, in elevation to 15."""
        cell = round(azimuth_deg / _AZIMUTH_STEP_DEG) % round(360 / _AZIMUTH_STEP_DEG)
        return self._design(cell, round(elevation_deg / _ELEVATION_STEP_DEG), active)

    def _designed(self, cell: int, height: int, active: Sequence[bool] | None) -> WeightSet:
        azimuth, elevation = cell * _AZIMUTH_STEP_DEG, height * _ELEVATION_STEP_DEG
        vector = steering_on_grid(self._mics, azimuth, elevation, active, self._rate)
        name = f"minimum variance at {azimuth:.1f}/{elevation:.1f} deg"
        return minimum_variance(self._field, vector, WNG_FLOOR_DB, TAPS, name)

    def _on_grid(self, shape: NoiseShape) -> Complexes:
        """A measured field on the design grid (F, M, M); diffuse where it was not measured."""
        bins = shape.frequencies
        grid = design_frequencies(self._rate)
        nearest = np.clip(np.rint((grid - bins[0]) / (bins[1] - bins[0])), 0, len(bins) - 1)
        full = self._diffuse.astype(np.complex128)
        used = np.flatnonzero(shape.active)
        level = np.einsum("fmm->f", shape.covariance).real / len(used)
        measured = (shape.covariance / level[:, None, None])[nearest.astype(int)]
        inside = np.flatnonzero((grid >= bins[0]) & (grid <= bins[-1]))
        full[np.ix_(inside, used, used)] = measured[inside]
        return full

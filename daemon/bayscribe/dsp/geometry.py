"""Where microphones are and how a plane wave meets them.

Azimuth is ``atan2(y, x)`` in the coordinates of the array profile, elevation is the
angle out of its x-y plane; both in degrees, pointing from the array to the talker.
"""

import numpy as np
from numpy.typing import NDArray

from bayscribe.errors import ProfileError

SPEED_OF_SOUND = 343.2
"""Metres per second in dry air at 20 °C (ISO 9613-1)."""

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]

_SAME_PLACE_M = 1e-4


def checked(mics: Floats) -> Floats:
    """The geometry as centred float64 (M, 3), or an error when it is impossible.

    One microphone is a geometry too: it tells no direction, and its beam is itself.

    Raises:
        ProfileError: no microphone, another shape than (M, 3), or two microphones in the
            same place.
    """
    places = np.asarray(mics, dtype=np.float64)
    if places.ndim != 2 or places.shape[1] != 3 or len(places) < 1:
        raise ProfileError(
            f"microphone positions have shape {places.shape}, expected (M, 3) with M >= 1",
            "list x, y and z of each microphone in the array profile",
        )
    if not np.isfinite(places).all():
        raise ProfileError("a microphone position is not a finite number", "mend the profile")
    apart = np.linalg.norm(places[:, None] - places[None], axis=2)
    apart[np.diag_indices(len(places))] = np.inf
    if apart.min() < _SAME_PLACE_M:
        first, second = np.unravel_index(int(apart.argmin()), apart.shape)
        raise ProfileError(
            f"microphones {first} and {second} are in the same place",
            "give each microphone its own position in metres",
        )
    centred: Floats = places - places.mean(axis=0)
    return centred


def unit_vectors(azimuth_deg: Floats, elevation_deg: Floats) -> Floats:
    """Unit vectors towards directions: (..., 3) for angles that broadcast."""
    azimuth, elevation = np.broadcast_arrays(np.radians(azimuth_deg), np.radians(elevation_deg))
    vectors: Floats = np.stack(
        [
            np.cos(azimuth) * np.cos(elevation),
            np.sin(azimuth) * np.cos(elevation),
            np.sin(elevation),
        ],
        axis=-1,
    )
    return vectors


def steering_vectors(mics: Floats, directions: Floats, frequencies: Floats) -> Complexes:
    """Plane-wave steering vectors ``exp(+j w p.u / c)``: complex128 (D, F, M).

    Args:
        mics: float64 (M, 3), metres, centred.
        directions: float64 (D, 3), unit vectors towards the source.
        frequencies: float64 (F,), Hz.
    """
    lead_s = directions @ mics.T / SPEED_OF_SOUND
    phase = 2 * np.pi * frequencies[None, :, None] * lead_s[:, None, :]
    vectors: Complexes = np.exp(1j * phase)
    return vectors


def diffuse_coherence(mics: Floats, frequencies: Floats) -> Floats:
    """Coherence of a spherically isotropic field, ``sin(kd) / (kd)``: float64 (F, M, M).

    Source: R. K. Cook et al., "Measurement of correlation coefficients in reverberant
    sound fields", J. Acoust. Soc. Am. 27 (1955).
    """
    apart = np.linalg.norm(mics[:, None] - mics[None], axis=2)
    coherence: Floats = np.sinc(2 * frequencies[:, None, None] * apart[None] / SPEED_OF_SOUND)
    return coherence


def is_linear(mics: Floats) -> bool:
    """Whether all microphones lie on one line, so that only a cone can be told."""
    if len(mics) < 3:
        return True
    spread = np.linalg.svd(mics - mics.mean(axis=0), compute_uv=False)
    return bool(spread[1] <= 0.02 * spread[0])


def bearing_difference(a_deg: float, b_deg: float) -> float:
    """Smallest absolute difference of two azimuths, degrees, 0 to 180."""
    return abs((a_deg - b_deg + 180.0) % 360.0 - 180.0)

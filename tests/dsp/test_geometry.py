"""Geometry: directions, diffuse fields and arrays that cannot steer."""

import numpy as np
import pytest

from bayscribe.dsp import geometry
from bayscribe.errors import ProfileError


def circle(mics: int, radius: float) -> geometry.Floats:
    angle = 2 * np.pi * np.arange(mics) / mics
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), 0 * angle], axis=1)


def test_a_wave_reaches_the_microphone_on_its_side_first() -> None:
    mics = circle(4, 0.032)
    towards = geometry.unit_vectors(np.array([90.0]), np.array([0.0]))
    phase = np.angle(geometry.steering_vectors(mics, towards, np.array([500.0])))[0, 0]
    assert phase.argmax() == 1
    assert phase[1] == pytest.approx(2 * np.pi * 500 * 0.032 / geometry.SPEED_OF_SOUND)


def test_a_wave_from_overhead_reaches_all_at_once() -> None:
    towards = geometry.unit_vectors(np.array([12.0]), np.array([90.0]))
    vector = geometry.steering_vectors(circle(6, 0.0463), towards, np.array([3000.0]))
    assert np.allclose(vector, 1.0)


def test_diffuse_coherence_is_that_of_waves_from_everywhere() -> None:
    mics = circle(4, 0.032)
    drawn = np.random.default_rng(1).normal(size=(40_000, 3))
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    vectors = geometry.steering_vectors(mics, drawn, np.array([2000.0]))[:, 0]
    measured = vectors.T @ vectors.conj() / len(drawn)
    expected = geometry.diffuse_coherence(mics, np.array([2000.0]))[0]
    assert np.abs(measured - expected).max() < 0.02


@pytest.mark.parametrize(
    ("mics", "said"),
    [
        (np.zeros((0, 3)), "shape"),
        (np.zeros((4, 2)), "shape"),
        (np.array([[0.0, 0, 0], [0.1, 0, 0], [0, 0, 0]]), "0 and 2 are in the same place"),
        (np.array([[0.0, 0, 0], [np.nan, 0, 0]]), "finite"),
    ],
)
def test_impossible_arrays_are_refused(mics: geometry.Floats, said: str) -> None:
    with pytest.raises(ProfileError, match=said):
        geometry.checked(mics)


def test_lines_are_told_from_planes() -> None:
    assert geometry.is_linear(np.array([[0.0, 0, 0], [0.05, 0, 0], [0.12, 0, 0]]))
    assert geometry.is_linear(np.array([[0.0, 0, 0], [0.05, 0.01, 0]]))
    assert not geometry.is_linear(circle(4, 0.032))


@pytest.mark.parametrize(("a", "b", "apart"), [(350, 10, 20), (10, 350, 20), (0, 180, 180)])
def test_bearings_differ_the_short_way_round(a: float, b: float, apart: float) -> None:
    assert geometry.bearing_difference(a, b) == pytest.approx(apart)

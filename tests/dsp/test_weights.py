"""Weight sets: what a beam passes, what it suppresses, and its digest."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayscribe.dsp import design, geometry, weights
from bayscribe.errors import BadUse, IntegrityError

BAND = np.arange(200.0, 7001.0, 200.0)


def circle(mics: int, radius: float) -> geometry.Floats:
    angle = 2 * np.pi * np.arange(mics) / mics
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), 0 * angle], axis=1)


ARRAYS = {
    "two": np.array([[-0.029, 0, 0], [0.029, 0, 0]]),
    "line": np.array([[x, 0, 0] for x in (-0.05, -0.0167, 0.0167, 0.05)]),
    "four": circle(4, 0.032),
    "six": circle(6, 0.0463),
    "odd": np.array([[0, 0, 0], [0.04, 0.01, 0], [-0.02, 0.05, 0.02], [0.01, -0.03, -0.04]]),
}


def response(made: weights.WeightSet, mics: geometry.Floats, azimuth: float) -> geometry.Floats:
    """Magnitude response (F,) over BAND of quantised weights towards an azimuth."""
    towards = geometry.unit_vectors(np.array([azimuth]), np.array([0.0]))
    vector = geometry.steering_vectors(geometry.checked(mics), towards, BAND)[0]
    heard = design.frequency_responses(made.q15 / 32768, 16_000, BAND)
    magnitude: geometry.Floats = np.abs((heard * vector).sum(axis=1))
    return magnitude


def diffuse_power(made: weights.WeightSet, mics: geometry.Floats) -> geometry.Floats:
    """Power (F,) of a diffuse field behind the beam, relative to one microphone."""
    heard = design.frequency_responses(made.q15 / 32768, 16_000, BAND)
    coherence = geometry.diffuse_coherence(mics, BAND)
    power: geometry.Floats = np.einsum("fm,fmn,fn->f", heard, coherence, heard.conj()).real
    return power


@pytest.mark.parametrize("array", sorted(ARRAYS))
@pytest.mark.parametrize("azimuth", [0.0, 37.0, 90.0, 263.0])
def test_the_talker_passes_unchanged(array: str, azimuth: float) -> None:
    mics = ARRAYS[array]
    for made in (
        weights.delay_and_sum(mics, azimuth),
        weights.superdirective(mics, azimuth),
    ):
        assert np.abs(20 * np.log10(response(made, mics, azimuth))).max() < 0.5


@pytest.mark.parametrize("array", ["line", "four", "six", "odd"])
def test_superdirective_suppresses_diffuse_noise_more(array: str) -> None:
    mics = ARRAYS[array]
    plain = diffuse_power(weights.delay_and_sum(mics, 20.0), mics)
    better = diffuse_power(weights.superdirective(mics, 20.0), mics)
    low = BAND <= 2000
    assert 10 * np.log10(plain[low] / better[low]).mean() > 3.0
    assert 10 * np.log10(better / plain).max() < 0.3


@pytest.mark.parametrize("floor", [-15.0, -6.0, 0.0])
def test_white_noise_gain_stays_above_its_floor(floor: float) -> None:
    made = weights.superdirective(ARRAYS["six"], 100.0, wng_floor_db=floor)
    heard = design.frequency_responses(made.q15 / 32768, 16_000, BAND)
    gain = -10 * np.log10((np.abs(heard) ** 2).sum(axis=1))
    assert gain.min() > floor - 0.7  # truncation to 128 taps smears the design by a little


def test_a_line_of_microphones_hears_both_sides_alike() -> None:
    mics = ARRAYS["line"]
    made = weights.superdirective(mics, 50.0)
    assert np.allclose(response(made, mics, 50.0), response(made, mics, -50.0))


def test_a_dead_microphone_takes_no_part() -> None:
    mics = ARRAYS["four"]
    made = weights.superdirective(mics, 200.0, active=[True, False, True, True])
    assert not made.q15[1].any()
    assert np.abs(20 * np.log10(response(made, mics, 200.0))).max() < 0.5
    alone = weights.superdirective(mics, 200.0, active=[False, False, True, False])
    assert np.flatnonzero(alone.q15.any(axis=1)).tolist() == [2]
    with pytest.raises(BadUse):
        weights.superdirective(mics, 200.0, active=[False] * 4)


def test_weights_too_large_for_q15_are_made_more_robust() -> None:
    made = weights.superdirective(circle(4, 0.005), 10.0, wng_floor_db=-80.0)
    assert np.abs(made.q15.astype(int)).max() <= 32767
    assert "WNG >= -80 dB" not in made.describe


@settings(max_examples=25, deadline=None)
@given(
    azimuth=st.floats(-720, 720),
    elevation=st.floats(-90, 90),
    array=st.sampled_from(sorted(ARRAYS)),
)
def test_any_direction_can_be_designed_and_read_back(
    azimuth: float, elevation: float, array: str
) -> None:
    made = weights.superdirective(ARRAYS[array], azimuth, elevation)
    again = weights.WeightSet.from_data(made.data, made.mics, made.sha256)
    assert np.array_equal(again.q15, made.q15)


def test_the_digest_covers_samples_and_shape() -> None:
    q15 = np.arange(8, dtype=np.int16).reshape(2, 4)
    made = weights.WeightSet(q15)
    header = (2).to_bytes(4, "little") + (4).to_bytes(4, "little")
    assert made.sha256 == hashlib.sha256(header + q15.astype("<i2").tobytes()).digest()
    assert weights.WeightSet(q15.reshape(4, 2)).sha256 != made.sha256
    q15[0, 0] = 9
    assert made.q15[0, 0] == 0


def test_an_altered_record_is_refused() -> None:
    made = weights.delay_and_sum(ARRAYS["two"], 0.0)
    altered = bytes([made.data[0] ^ 1]) + made.data[1:]
    with pytest.raises(IntegrityError):
        weights.WeightSet.from_data(altered, 2, made.sha256)
    with pytest.raises(IntegrityError):
        weights.WeightSet.from_data(made.data[:-1], 2)
    with pytest.raises(BadUse):
        weights.WeightSet(np.zeros((2, 4)))  # type: ignore[arg-type] # what the check is for


def test_the_grid_designs_each_direction_once_and_takes_the_nearest() -> None:
    grid = weights.SteeringGrid(ARRAYS["four"], step_deg=5.0)
    assert grid.at(12.0) is grid.at(9.0)
    assert grid.at(359.0) is grid.at(0.0)
    assert grid.at(12.0).sha256 == weights.superdirective(ARRAYS["four"], 10.0).sha256
    assert grid.at(12.0, -32.0).sha256 == weights.superdirective(ARRAYS["four"], 10, -30).sha256

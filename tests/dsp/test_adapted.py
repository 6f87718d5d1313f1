"""Weights that follow the measured noise field."""

import numpy as np

from bayscribe.dsp import design, geometry
from bayscribe.dsp.adapted import AdaptedSets
from bayscribe.dsp.adaptive import BeamSteerer
from bayscribe.dsp.localize import Localizer
from bayscribe.dsp.noise import NoiseShape
from bayscribe.dsp.weights import WeightSet, superdirective
from bayscribe.stream import Track, TrackFrame
from bayscribe.units import SampleIndex

MICS = np.array([[0.032, 0, 0], [0, 0.032, 0], [-0.032, 0, 0], [0, -0.032, 0]])
BINS = np.arange(500.0, 7901.0, 62.5)
ALL = np.ones(4, bool)


def wave(azimuth: float, frequencies: geometry.Floats) -> geometry.Complexes:
    towards = geometry.unit_vectors(np.array([azimuth]), np.array([0.0]))
    vectors: geometry.Complexes = geometry.steering_vectors(MICS, towards, frequencies)[0]
    return vectors


def fan(azimuth: float, share: float) -> NoiseShape:
    """A diffuse field with part of its power from one direction."""
    vector = wave(azimuth, BINS)
    plane = vector[:, :, None] * vector[:, None].conj()
    field = share * plane + (1 - share) * geometry.diffuse_coherence(MICS, BINS)
    return NoiseShape(BINS, field.astype(np.complex64), ALL)


def loudness_db(made: WeightSet, azimuth: float) -> float:
    band = np.arange(1000.0, 5000.0, 100.0)
    heard = design.frequency_responses(made.q15 / 32768, 16_000, band)
    power = np.abs((heard * wave(azimuth, band)).sum(axis=1)) ** 2
    return float(10 * np.log10(power.mean()))


def test_before_anything_is_measured_it_is_the_superdirective_beam() -> None:
    sets = AdaptedSets(MICS)
    assert sets.at(30.0, 15.0).sha256 == superdirective(MICS, 30.0, 15.0).sha256


def test_it_turns_away_from_a_fan_and_stays_true_to_the_talker() -> None:
    sets = AdaptedSets(MICS)
    before = sets.at(0.0)
    assert sets.hear(fan(60.0, 0.8))
    after = sets.at(0.0)
    assert loudness_db(after, 60.0) < loudness_db(before, 60.0) - 6
    assert abs(loudness_db(after, 0.0)) < 0.5


def test_a_field_that_has_hardly_changed_gives_no_new_weights() -> None:
    sets = AdaptedSets(MICS)
    sets.hear(fan(60.0, 0.8))
    made = sets.at(0.0)
    assert not sets.hear(fan(60.0, 0.79))
    assert sets.at(0.0) is made


def test_a_field_of_three_microphones_leaves_the_fourth_diffuse() -> None:
    whole = fan(60.0, 0.8)
    active = np.array([True, True, False, True])
    part = whole.covariance[:, active][:, :, active]
    sets = AdaptedSets(MICS)
    assert sets.hear(NoiseShape(BINS, part, active))
    made = sets.at(0.0, 0.0, tuple(active.tolist()))
    assert not made.q15[2].any()
    assert abs(loudness_db(made, 0.0)) < 0.5


def test_the_steerer_adapts_when_a_field_is_stated() -> None:
    stated: list[NoiseShape] = []
    steerer = BeamSteerer(MICS, noise=lambda _: stated[-1] if stated else None)
    talker = (Track(1, 0.0, 0.9),)
    ((_, first),) = steerer.push([TrackFrame(SampleIndex(1600), talker)])
    stated.append(fan(60.0, 0.8))
    ((at, second),) = steerer.push([TrackFrame(SampleIndex(3200), talker)])
    assert at > 0
    assert loudness_db(second, 60.0) < loudness_db(first, 60.0) - 6
    assert not steerer.push([TrackFrame(SampleIndex(4800), talker)])


def test_the_localizer_learns_the_field_whatever_the_chunks() -> None:
    drawn = np.random.default_rng(4)
    pcm = np.clip(drawn.normal(size=(16_000 * 6, 1)) * 900 + drawn.normal(size=(96_000, 4)) * 90,
                  -32768, 32767).astype(np.int16)  # fmt: skip
    whole, cut = Localizer(MICS), Localizer(MICS)
    whole.push(SampleIndex(0), pcm)
    for first in range(0, len(pcm), 4321):
        cut.push(SampleIndex(first), pcm[first : first + 4321])
    one, other = whole.noise(SampleIndex(96_000)), cut.noise(SampleIndex(96_000))
    assert one is not None
    assert other is not None
    assert np.array_equal(one.covariance, other.covariance)
    assert whole.noise(SampleIndex(60_000)) is None

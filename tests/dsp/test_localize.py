"""Localization: talkers are found where they are, whatever the chunks and the array."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayscribe.dsp import geometry
from bayscribe.dsp.localize import Localizer
from bayscribe.errors import AudioFormatError
from bayscribe.stream import Pcm, TrackFrame
from bayscribe.units import SampleIndex

RATE = 16_000
FOUR = np.array([[0.032, 0, 0], [0, 0.032, 0], [-0.032, 0, 0], [0, -0.032, 0]])


def plane_wave(mics: geometry.Floats, azimuth: float, sound: geometry.Floats) -> geometry.Floats:
    """A sound from far away at the microphones: (n, M), by phase shifts."""
    towards = geometry.unit_vectors(np.array([azimuth]), np.array([0.0]))
    spectrum = np.fft.rfft(sound)
    bins = np.arange(len(sound) // 2 + 1, dtype=np.float64) * (RATE / len(sound))
    vector = geometry.steering_vectors(geometry.checked(mics), towards, bins)[0]
    heard: geometry.Floats = np.fft.irfft(spectrum[:, None] * vector, len(sound), axis=0)
    return heard


def diffuse(mics: geometry.Floats, frames: int, seed: int) -> geometry.Floats:
    """Noise from 40 directions at once, one RMS unit at each microphone."""
    drawn = np.random.default_rng(seed)
    total = np.zeros((frames, len(mics)))
    for azimuth in np.arange(0, 360, 9.0):
        total += plane_wave(mics, azimuth, drawn.normal(size=frames))
    unit: geometry.Floats = total / np.sqrt(40)
    return unit


def syllables(frames: int, seed: int) -> geometry.Floats:
    """Speech-like: voiced harmonics with changing pitch, 4 syllables a second, RMS one."""
    drawn, time = np.random.default_rng(seed), np.arange(frames) / RATE
    pitch = 120 + 20 * np.sin(2 * np.pi * 0.7 * time + drawn.uniform(0, 6))
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    voice = sum(np.cos(k * phase + drawn.uniform(0, 6)) / k**0.7 for k in range(1, 35))
    shaped = np.asarray(voice) * np.maximum(0.05, np.sin(2 * np.pi * 2 * time) ** 2)
    unit: geometry.Floats = shaped / np.sqrt(np.mean(shaped**2))
    return unit


def pcm(sound: geometry.Floats) -> Pcm:
    return np.clip(np.rint(sound * 600), -32768, 32767).astype(np.int16)


def scene(mics: geometry.Floats, azimuths: list[float], snr_db: float, seed: int = 0) -> Pcm:
    """4 s of noise, then 4 s from each azimuth in turn."""
    frames = 4 * RATE
    parts = [diffuse(mics, frames, seed)]
    for number, azimuth in enumerate(azimuths):
        talk = plane_wave(mics, azimuth, syllables(frames, seed + number))
        parts.append(diffuse(mics, frames, seed + 9 + number) + talk * 10 ** (snr_db / 20))
    return pcm(np.concatenate(parts))


def located(frames: list[TrackFrame], start_s: float, end_s: float) -> list[float]:
    """The azimuth of each frame that is rather sure of a talker, between two times."""
    wanted = [f for f in frames if start_s * RATE < f.at <= end_s * RATE]
    return [f.tracks[0].azimuth_deg for f in wanted if f.tracks and f.tracks[0].salience > 0.5]


def run(mics: geometry.Floats, sound: Pcm) -> list[TrackFrame]:
    localizer = Localizer(mics)
    return [*localizer.push(SampleIndex(0), sound), *localizer.flush()]


@pytest.mark.parametrize("azimuth", [3.0, 122.0, 287.0])
def test_a_talker_in_diffuse_noise_of_his_own_level_is_found(azimuth: float) -> None:
    found = located(run(FOUR, scene(FOUR, [azimuth], 0.0)), 4.8, 8.0)
    assert len(found) > 25
    apart = [geometry.bearing_difference(f, azimuth) for f in found]
    assert np.mean(np.array(apart) <= 10) > 0.9


def test_a_second_talker_is_another_and_the_first_keeps_his_identity() -> None:
    frames = run(FOUR, scene(FOUR, [40.0, 200.0, 40.0], 6.0))
    names = [
        {f.tracks[0].id for f in frames if a * RATE < f.at <= b * RATE and f.tracks}
        for a, b in ((5.0, 7.8), (9.0, 11.8), (13.0, 15.8))
    ]
    assert [len(n) for n in names] == [1, 1, 1]
    assert names[0] == names[2] != names[1]


def test_an_alarm_is_mostly_not_taken_for_a_talker() -> None:
    time = np.arange(8 * RATE) / RATE
    tone = sum(np.sin(2 * np.pi * 523 * k * time) for k in range(1, 5))
    beeps = np.asarray(tone) * np.clip(np.sin(2 * np.pi * time), 0, 1) ** 2 * (time > 4)
    sound = diffuse(FOUR, 8 * RATE, 3) + 1.5 * plane_wave(FOUR, 75.0, beeps)
    assert len(located(run(FOUR, pcm(sound)), 4.0, 8.0)) < 20  # of 40


def test_noise_alone_is_hardly_ever_a_talker() -> None:
    assert len(located(run(FOUR, pcm(diffuse(FOUR, 10 * RATE, 8))), 2.0, 10.0)) < 8


def test_two_microphones_find_the_cone() -> None:
    pair = np.array([[-0.029, 0, 0], [0.029, 0, 0]])
    found = located(run(pair, scene(pair, [60.0], 6.0)), 5.0, 8.0)
    assert found
    from_axis = [min(f, 360 - f) for f in found]
    assert abs(float(np.median(from_axis)) - 60) < 15


def test_a_dead_microphone_is_done_without() -> None:
    sound = scene(FOUR, [150.0], 3.0)
    sound[:, 2] = 0
    localizer = Localizer(FOUR)
    localizer.use(np.array([True, True, False, True]))
    frames = [*localizer.push(SampleIndex(0), sound), *localizer.flush()]
    found = located(frames, 5.0, 8.0)
    assert geometry.bearing_difference(float(np.median(found)), 150.0) <= 10


def test_one_frame_for_each_100_ms() -> None:
    frames = run(FOUR, scene(FOUR, [10.0], 0.0)[: 5 * RATE + 700])
    assert [f.at for f in frames] == [1600 * (k + 1) for k in range(51)]


SHORT = scene(FOUR, [310.0], 6.0)[3 * RATE : 6 * RATE]


@settings(max_examples=8, deadline=None)
@given(cuts=st.lists(st.integers(0, len(SHORT)), max_size=20))
def test_chunking_changes_nothing(cuts: list[int]) -> None:
    localizer, frames, at = Localizer(FOUR), [], 0
    for edge in [*sorted(cuts), len(SHORT)]:
        frames += localizer.push(SampleIndex(at), SHORT[at:edge])
        at = edge
    assert [*frames, *localizer.flush()] == run(FOUR, SHORT)


def test_wrong_input_is_refused() -> None:
    with pytest.raises(AudioFormatError):
        Localizer(FOUR).push(SampleIndex(0), np.zeros((10, 6), np.int16))


def test_one_microphone_hears_but_tells_no_direction() -> None:
    lone = np.zeros((1, 3))
    frames = run(lone, SHORT[:, :1])
    assert len(frames) == len(SHORT) // 1600
    assert not any(f.tracks for f in frames)

"""The near-speech network on a recorded 70 dB excerpt: what it tells, when, and that it forgets."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from bayscribe.audio.profiles import load_profile
from bayscribe.diarize.interpreter import load_network
from bayscribe.diarize.nearness import BANDS, FFT, HOP, INPUTS, LATENCY, Hearing, Nearness, bands
from bayscribe.dsp.bearings import Weighed
from bayscribe.dsp.localize import Localizer
from bayscribe.stream import Pcm, TrackFrame
from bayscribe.units import SampleIndex

SCENES = Path(__file__).parents[1] / "scenes"
EXCERPT = SCENES / "excerpt-4mic-70db"
BLOCK = 1600


@pytest.fixture(scope="module")
def geometry() -> NDArray[np.float64]:
    profile = load_profile(str(SCENES / "circle-4-32mm.toml"))
    return np.array([(m.x, m.y, m.z) for m in profile.microphones])


@pytest.fixture(scope="module")
def excerpt() -> Pcm:
    pcm, _ = soundfile.read(EXCERPT / "mics.flac", dtype="int16")
    return np.asarray(pcm)


@pytest.fixture(scope="module")
def tracks(geometry: NDArray[np.float64], excerpt: Pcm) -> list[TrackFrame]:
    network = load_network("bearings")

    def weigh(maps: NDArray[np.float32], scalars: NDArray[np.float32]) -> Weighed:
        out = network.run({"maps": maps[None], "scalars": scalars[None]})
        return Weighed(out["logits"][0], float(out["odds"][0, 0]), float(out["odds"][0, 1]))

    localizer = Localizer(geometry, network=weigh)
    return localizer.push(SampleIndex(0), excerpt) + localizer.flush()


def _beam(pcm: Pcm) -> Pcm:
    """All microphones alike: what is behind the array is in front of the network too."""
    mean: Pcm = np.rint(pcm.mean(axis=1)).astype(np.int16)
    return mean


def _heard(near: Nearness, pcm: Pcm, tracks: list[TrackFrame], step: int = BLOCK) -> list[float]:
    near.restart(0)
    said, rest = list[float](), list(tracks)
    for at in range(0, len(pcm), step):
        known = [frame for frame in rest if frame.at < at + step + BLOCK]
        rest = rest[len(known) :]
        part = pcm[at : at + step]
        said += near.push(_beam(part), part, known)
    return said


def _told_apart(said: list[float]) -> float:
    """Chance that a block of speech gets higher odds than one of none."""
    spoken = np.zeros(len(said) * 10, bool)
    for line in (EXCERPT / "ref.rttm").read_text().splitlines():
        start, length = (float(value) for value in line.split()[3:5])
        spoken[round(100 * start) : round(100 * (start + length))] = True
    share = spoken.reshape(-1, 10).mean(axis=1)
    odds = np.array(said)
    return float((odds[share > 0.9][:, None] > odds[share < 0.1]).mean())


@pytest.fixture(scope="module")
def near(geometry: NDArray[np.float64]) -> Nearness:
    return Nearness(load_network("near"), geometry)


def test_every_bin_is_shared_out_whole() -> None:
    shares = bands()
    assert shares.shape == (BANDS, FFT // 2 + 1)
    assert np.allclose(shares.sum(axis=0), 1.0, atol=1e-6)
    assert (shares.sum(axis=1) > 0.9).all()


def test_a_frame_is_complete_with_its_last_sample(geometry: NDArray[np.float64]) -> None:
    hearing = Hearing(geometry)
    silence = np.zeros((FFT - 1, 4), np.int16)
    assert hearing.push(silence[:, 0], silence, []).shape == (0, INPUTS)
    one = np.zeros((1 + HOP, 4), np.int16)
    assert hearing.push(one[:, 0], one, []).shape == (2, INPUTS)


def test_blocks_are_decided_within_the_stated_latency(
    near: Nearness, excerpt: Pcm, tracks: list[TrackFrame]
) -> None:
    near.restart(0)
    decided = 0
    for block in range(50):
        part = excerpt[block * BLOCK : (block + 1) * BLOCK]
        decided += len(near.push(_beam(part), part, tracks[block : block + 1]))
        assert decided >= block + 1 - LATENCY


def test_it_tells_near_speech_from_babble(
    near: Nearness, excerpt: Pcm, tracks: list[TrackFrame]
) -> None:
    assert _told_apart(_heard(near, excerpt, tracks)) > 0.85


def test_three_microphones_of_four_still_tell(
    near: Nearness, excerpt: Pcm, tracks: list[TrackFrame]
) -> None:
    dead = excerpt.copy()
    dead[:, 2] = 0
    active = np.array([True, True, False, True])
    near.use(active)
    try:
        odds = _heard(near, dead, tracks)
    finally:
        near.use(np.ones(4, np.bool_))
    assert _told_apart(odds) > 0.8


def test_the_chunks_do_not_matter(near: Nearness, excerpt: Pcm, tracks: list[TrackFrame]) -> None:
    whole = _heard(near, excerpt, tracks, step=len(excerpt))
    assert np.allclose(_heard(near, excerpt, tracks, step=1111), whole, atol=1e-3)


def test_nothing_is_left_after_a_restart(
    near: Nearness, excerpt: Pcm, tracks: list[TrackFrame]
) -> None:
    first = _heard(near, excerpt, tracks)
    assert _heard(near, excerpt, tracks) == first

"""The presence network on made-up audio: what it decides, when, and that it forgets."""

import numpy as np
import pytest

from bayscribe.diarize.interpreter import Floats, load_network
from bayscribe.diarize.presence import FRAME, INPUTS, LATENCY, Presence


@pytest.fixture(scope="module")
def presence() -> Presence:
    return Presence(load_network("presence"))


def told(*odds: float) -> Floats:
    """Voice activity, first and second track, any talker, two."""
    return np.array(odds, np.float32)


SILENT, SPOKEN, UNSURE = told(-3, -6, -7, -4, -6), told(5, 3, -3, 4, -3), told(1, 0, -4, 0, -4)


def _frames(count: int, seed: int = 5) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.normal(0, 100, FRAME).astype(np.int16) for _ in range(count)]


def test_a_frame_is_decided_after_the_stated_latency(presence: Presence) -> None:
    presence.reset()
    said = [presence.push(frame, SILENT) for frame in _frames(LATENCY + 4)]
    assert [odds is None for odds in said] == [True] * LATENCY + [False] * 4


def test_steady_noise_is_nobody_and_what_stands_out_of_it_is_likelier(presence: Presence) -> None:
    presence.reset()
    quiet = [presence.push(frame, SILENT) for frame in _frames(60)]
    loud = [presence.push(12 * frame, SPOKEN) for frame in _frames(20)]
    last_quiet, last_loud = quiet[-1], loud[-1]
    assert last_quiet is not None
    assert last_loud is not None
    assert last_quiet < 0 < last_loud


def test_nothing_is_left_after_a_reset(presence: Presence) -> None:
    presence.reset()
    first = [presence.push(frame, UNSURE) for frame in _frames(25)]
    presence.reset()
    assert [presence.push(frame, UNSURE) for frame in _frames(25)] == first


def test_the_context_has_the_size_that_the_network_takes(presence: Presence) -> None:
    presence.reset()
    vectors = [presence.vector(frame, UNSURE) for frame in _frames(30)]
    assert all(vector is None or vector.shape == (INPUTS,) for vector in vectors)

"""The fixed-point beam: exact, chunk-free, aligned, and the same on every machine."""

import runpy
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayscribe.dsp.beam import FADE, FixedPointBeam
from bayscribe.dsp.design import impulse_responses, mvdr_response
from bayscribe.dsp.weights import (
    WeightSet,
    delay_and_sum,
    quantised,
    steering_on_grid,
    superdirective,
)
from bayscribe.errors import AudioFormatError, BadUse
from bayscribe.stream import Pcm
from bayscribe.units import SampleIndex

MICS = np.array([[0.032, 0, 0], [0, 0.032, 0], [-0.032, 0, 0], [0, -0.032, 0]])
AHEAD, ASIDE = superdirective(MICS, 0.0), superdirective(MICS, 90.0)


def noise(frames: int, mics: int = 4, seed: int = 0) -> Pcm:
    drawn = np.random.default_rng(seed).integers(-32768, 32768, (frames, mics))
    return drawn.astype(np.int16)


def exact_sums(weights: WeightSet, pcm: Pcm) -> list[int]:
    """Accumulators by the definition, in Python's own integers."""
    q15, delay, samples = weights.q15.tolist(), weights.delay, pcm.T.tolist()
    return [
        sum(
            q15[m][t] * samples[m][k + delay - t]
            for m in range(weights.mics)
            for t in range(weights.taps)
            if 0 <= k + delay - t < len(pcm)
        )
        for k in range(len(pcm))
    ]


def saturated(value: int) -> int:
    return max(-32768, min(32767, value))


def test_it_is_the_definition_in_integers() -> None:
    pcm = noise(300)
    beam = FixedPointBeam(AHEAD)
    heard = np.concatenate([beam.push(pcm), beam.flush()]).tolist()
    expected = [(a + (1 << 14)) >> 15 for a in exact_sums(AHEAD, pcm)]
    assert heard == [saturated(v) for v in expected]
    assert beam.saturated == sum(v != saturated(v) for v in expected) > 0


def test_a_cross_fade_is_the_definition_in_integers() -> None:
    pcm = noise(FADE + 200, seed=1)
    beam = FixedPointBeam(AHEAD)
    assert beam.steer(ASIDE, SampleIndex(50)) == 50
    heard = np.concatenate([beam.push(pcm), beam.flush()]).tolist()
    old, new = exact_sums(AHEAD, pcm), exact_sums(ASIDE, pcm)
    for k, sample in enumerate(heard):
        gain = max(0, min(FADE, k - 50))
        mixed = (FADE - gain) * old[k] + gain * new[k]
        assert sample == saturated((mixed + (1 << 24)) >> 25), k


@settings(max_examples=30, deadline=None)
@given(
    cuts=st.lists(st.integers(0, 4000), max_size=12),
    changes=st.lists(st.integers(0, 3800), max_size=4),
    seed=st.integers(0, 99),
)
def test_chunking_changes_no_bit(cuts: list[int], changes: list[int], seed: int) -> None:
    pcm = noise(4000, seed=seed)

    def run(edges: list[int]) -> tuple[Pcm, list[SampleIndex | None], int]:
        beam = FixedPointBeam(AHEAD)
        sets, ordered = [ASIDE, AHEAD] * len(changes), sorted(changes)
        starts = [beam.steer(w, SampleIndex(at)) for w, at in zip(sets, ordered, strict=False)]
        bounds = [0, *sorted(edges), len(pcm)]
        parts = [beam.push(pcm[a:b]) for a, b in pairwise(bounds)]
        return np.concatenate([*parts, beam.flush()]), starts, beam.saturated

    whole, pieces = run([]), run(cuts)
    assert np.array_equal(whole[0], pieces[0])
    assert whole[1:] == pieces[1:]
    assert len(whole[0]) == len(pcm)


def test_output_lies_on_the_input() -> None:
    click = np.zeros((2000, 4), np.int16)
    click[700] = 20_000
    beam = FixedPointBeam(delay_and_sum(MICS, 0.0, 90.0))  # from overhead: in phase on all
    heard = np.concatenate([beam.push(click), beam.flush()])
    assert int(np.abs(heard.astype(int)).argmax()) == 700
    assert heard[700] == pytest.approx(20_000, rel=0.01)


def test_the_error_of_quantisation_stays_within_its_bound() -> None:
    vector = steering_on_grid(MICS, 33.0, 0.0)
    identity = np.broadcast_to(np.eye(4), (len(vector), 4, 4))
    filters = impulse_responses(mvdr_response(identity, vector, 0.0), 128)
    made = quantised(filters, "oracle")
    assert made is not None
    pcm = noise(3000, seed=5) // 2
    beam = FixedPointBeam(made)
    heard = np.concatenate([beam.push(pcm), beam.flush()]).astype(float)
    padded = np.pad(pcm.astype(float), ((63, 64), (0, 0)))
    spans = np.lib.stride_tricks.sliding_window_view(padded, 128, axis=0)
    oracle = np.einsum("kmt,mt->k", spans, filters[:, ::-1])
    bound = 0.5 + np.abs(spans).sum(axis=(1, 2)) * 2.0**-16
    assert beam.saturated == 0
    assert (np.abs(heard - oracle) <= bound + 1e-6).all()
    assert np.sqrt(np.mean((heard - oracle) ** 2)) < 5.0


def test_requests_during_a_cross_fade_wait_for_its_end() -> None:
    beam = FixedPointBeam(AHEAD)
    assert beam.steer(AHEAD, SampleIndex(0)) is None
    assert beam.steer(ASIDE, SampleIndex(100)) == 100
    assert beam.steer(ASIDE, SampleIndex(150)) is None
    assert beam.steer(AHEAD, SampleIndex(150)) == 100 + FADE
    assert beam.newest_weights is AHEAD


def test_the_past_cannot_be_steered() -> None:
    beam = FixedPointBeam(AHEAD)
    beam.push(noise(1000))
    assert beam.next_output == 1000 - AHEAD.delay
    with pytest.raises(BadUse, match="already at"):
        beam.steer(ASIDE, SampleIndex(900))
    with pytest.raises(BadUse, match="2 x 128"):
        beam.steer(delay_and_sum(MICS[:2], 0.0), SampleIndex(5000))


def test_after_a_jump_it_starts_from_silence_with_the_newest_weights() -> None:
    beam = FixedPointBeam(AHEAD)
    beam.push(noise(500))
    beam.steer(ASIDE, SampleIndex(100_000))
    beam.flush()
    beam.restart(SampleIndex(64_000))
    later = noise(600, seed=3)
    heard = np.concatenate([beam.push(later), beam.flush()])
    fresh = FixedPointBeam(ASIDE)
    assert np.array_equal(heard, np.concatenate([fresh.push(later), fresh.flush()]))
    assert beam.next_output == 64_600


@pytest.mark.parametrize("frames", [0, 1, 63, 64, 65, 127])
def test_even_the_shortest_recording_comes_back_whole(frames: int) -> None:
    beam = FixedPointBeam(AHEAD)
    pcm = noise(frames)
    assert len(beam.push(pcm)) + len(beam.flush()) == frames


def test_wrong_input_is_refused() -> None:
    beam = FixedPointBeam(AHEAD)
    with pytest.raises(AudioFormatError):
        beam.push(noise(10, mics=6))
    with pytest.raises(AudioFormatError):
        beam.push(np.zeros((10, 4)))  # type: ignore[arg-type] # what the check is for
    with pytest.raises(BadUse, match="too many"):
        FixedPointBeam(WeightSet(np.ones((64, 128), np.int16)))


def test_the_known_answer() -> None:
    """The same SHA-256 must come out on every CPU and BLAS; see tests/hil/aarch64_beam.sh."""
    program = Path(__file__).with_name("beam_golden.py")
    expected = (program.parent / "golden" / "beam.sha256").read_text(encoding="ascii").strip()
    assert runpy.run_path(str(program))["beam_hash"]() == expected

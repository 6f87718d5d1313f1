"""The whole line of stages on eleven seconds of a 70 dB bay."""

import hashlib
from functools import cache

import numpy as np
import pytest
import soundfile

from bayscribe.assembly import Assembly
from bayscribe.audio.profiles import load_profile
from bayscribe.pipeline import Output, Pipeline
from bayscribe.stream import Block, Gap, GapReason, Pcm, Turn
from bayscribe.units import SampleIndex
from hil.bay import EXCERPT, SCENES


@cache
def _mics() -> Pcm:
    pcm: Pcm = soundfile.read(EXCERPT, dtype="int16")[0]
    return pcm


@cache
def _assembly() -> Assembly:
    profile = load_profile(str(SCENES / "circle-4-32mm.toml"))
    return Assembly(profile.geometry, (), None)


def _push(pipeline: Pipeline, first: int, pcm: Pcm, size: int, *, shed: bool = False) -> Output:
    total = Output()
    for at in range(0, len(pcm), size):
        block = Block(SampleIndex(first + at), pcm[at : at + size])
        _add(total, pipeline.push(block, shed=shed))
    return total


def _add(total: Output, part: Output) -> Output:
    total.beam += part.beam
    total.tracks += part.tracks
    total.turns += part.turns
    total.segments += part.segments
    return total


def _run(size: int) -> Output:
    pipeline = _assembly().pipeline()
    total = _push(pipeline, 0, _mics(), size)
    return _add(total, pipeline.flush())


def _digest(output: Output) -> tuple[str, list[str], list[tuple[int, int, str]]]:
    def key(turn: Turn) -> tuple[int, int, str]:
        return int(turn.start), int(turn.end), turn.label

    beam = hashlib.sha256(np.concatenate(output.beam).tobytes()).hexdigest()
    cuts = [hashlib.sha256(segment.pcm.tobytes()).hexdigest() for segment in output.segments]
    return beam, cuts, [key(turn) for turn in output.turns]


@pytest.mark.parametrize("size", [97, 640, 16_001])
def test_the_same_input_gives_the_same_everything_in_whatever_blocks(size: int) -> None:
    assert _digest(_run(size)) == _digest(_run(1600))


def test_the_beam_is_as_long_as_the_input_and_the_segments_are_the_beam() -> None:
    output = _run(1600)
    beam = np.concatenate(output.beam)
    assert len(beam) == len(_mics())
    assert np.array_equal(np.concatenate([s.pcm for s in output.segments]), beam)
    assert output.turns


def test_every_weight_set_in_force_travels_once_under_its_own_digest() -> None:
    segments = _run(1600).segments
    told: dict[bytes, bytes] = {}
    for segment in segments:
        assert not set(segment.weights) & set(told)
        told |= segment.weights
        assert {mark.weights_sha256 for mark in segment.steering} <= set(told)
        assert segment.steering[0].at <= segment.first
    assert all(hashlib.sha256(data).digest() == digest for digest, data in told.items())


def test_overload_sheds_analysis_and_never_a_sample() -> None:
    pipeline = _assembly().pipeline()
    half = len(_mics()) // 3200 * 1600
    total = _push(pipeline, 0, _mics()[:half], 1600)
    _add(total, _push(pipeline, half, _mics()[half:], 1600, shed=True))
    _add(total, pipeline.flush())
    assert sum(len(pcm) for pcm in total.beam) == len(_mics())
    assert pipeline.counters.shed_quanta >= (len(_mics()) - half) // 1600
    assert sum(len(segment.pcm) for segment in total.segments) == len(_mics())


def test_a_short_gap_is_zeros_with_a_record_and_a_long_one_is_a_jump() -> None:
    pipeline = _assembly().pipeline()
    pcm = _mics()
    total = _push(pipeline, 0, pcm[:48_000], 1600)
    pipeline.gap(Gap(SampleIndex(48_000), 800, GapReason.OVERRUN))
    _add(total, _push(pipeline, 48_800, pcm[48_000:96_000], 1600))
    pipeline.gap(Gap(SampleIndex(96_800), 80_000, GapReason.UNPLUGGED))
    _add(total, _push(pipeline, 176_800, pcm[96_000:144_000], 1600))
    _add(total, pipeline.flush())
    ends = {segment.first + len(segment.pcm) for segment in total.segments}
    gaps = [gap for segment in total.segments for gap in segment.gaps]
    assert [(gap.samples, gap.reason) for gap in gaps] == [
        (800, GapReason.OVERRUN),
        (80_000, GapReason.UNPLUGGED),
    ]
    assert 96_800 in ends
    assert 176_800 in {segment.first for segment in total.segments}
    assert sum(len(segment.pcm) for segment in total.segments) == 144_000 + 800
    assert pipeline.counters.jumps == 1


def test_a_block_that_overlaps_the_last_one_is_refused() -> None:
    pipeline = _assembly().pipeline()
    pipeline.push(Block(SampleIndex(0), _mics()[:1600]))
    with pytest.raises(ValueError, match="overlaps"):
        pipeline.push(Block(SampleIndex(800), _mics()[:1600]))

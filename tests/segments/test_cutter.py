import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bayscribe.segments.cutter import CutRules, SegmentCutter
from bayscribe.stream import (
    Analysis,
    CutSegment,
    Fault,
    FaultCode,
    Gap,
    GapReason,
    SpeechFrame,
    Steering,
)
from bayscribe.units import SampleIndex

RULES = CutRules(longest=1000, shortest=200, pause=60, lag=40, speech=0.5)
FRAME = 20


def _speech(probabilities: list[float]) -> list[SpeechFrame]:
    return [
        SpeechFrame(SampleIndex((k + 1) * FRAME), probability)
        for k, probability in enumerate(probabilities)
    ]


def _run(probabilities: list[float], chunks: list[int]) -> list[CutSegment]:
    """Cut a stream that arrives in the given chunks, voice activity beside it."""
    total = len(probabilities) * FRAME
    pcm = np.arange(total, dtype=np.int16)
    speech = _speech(probabilities)
    cutter = SegmentCutter(RULES)
    done: list[CutSegment] = []
    at, turn = 0, 0
    while at < total:
        size = min(chunks[turn % len(chunks)], total - at)
        turn += 1
        ready = [frame for frame in speech if at < frame.end <= at + size]
        cutter.note_analysis(Analysis(tuple(ready)))
        done += cutter.push(SampleIndex(at), pcm[at : at + size])
        at += size
    return done + cutter.flush()


streams = st.lists(st.sampled_from([0.0, 0.1, 0.6, 1.0]), min_size=1, max_size=300)
sizes = st.lists(st.integers(1, 700), min_size=1, max_size=8)


@given(probabilities=streams, chunks=sizes)
def test_the_same_stream_is_cut_at_the_same_samples_in_whatever_chunks(
    probabilities: list[float], chunks: list[int]
) -> None:
    whole = _run(probabilities, [10**6])
    pieces = _run(probabilities, chunks)
    assert [(s.first, s.pcm.tobytes()) for s in pieces] == [
        (s.first, s.pcm.tobytes()) for s in whole
    ]


@given(probabilities=streams, chunks=sizes)
def test_segments_are_the_stream_without_a_hole_and_none_is_too_long(
    probabilities: list[float], chunks: list[int]
) -> None:
    segments = _run(probabilities, chunks)
    joined = np.concatenate([segment.pcm for segment in segments])
    assert np.array_equal(joined, np.arange(len(probabilities) * FRAME, dtype=np.int16))
    assert all(0 < len(segment.pcm) <= RULES.longest for segment in segments)
    assert all(len(s.pcm) >= RULES.shortest for s in segments[:-1])


@given(
    probabilities=streams,
    chunks=sizes,
    shed=st.sets(st.integers(0, 299)),
)
def test_shed_analysis_changes_where_but_not_that_audio_is_kept_whole(
    probabilities: list[float], chunks: list[int], shed: set[int]
) -> None:
    speech = [frame for k, frame in enumerate(_speech(probabilities)) if k not in shed]
    pcm = np.arange(len(probabilities) * FRAME, dtype=np.int16)

    def cut(sizes: list[int]) -> list[tuple[int, bytes]]:
        cutter, at, turn, done = SegmentCutter(RULES), 0, 0, []
        while at < len(pcm):
            end = min(at + sizes[turn % len(sizes)], len(pcm))
            cutter.note_analysis(Analysis(tuple(f for f in speech if at < f.end <= end)))
            done += cutter.push(SampleIndex(at), pcm[at:end])
            at, turn = end, turn + 1
        return [(int(s.first), s.pcm.tobytes()) for s in [*done, *cutter.flush()]]

    whole = cut([10**6])
    assert cut(chunks) == whole
    assert b"".join(data for _, data in whole) == pcm.tobytes()
    assert all(len(data) <= 2 * RULES.longest for _, data in whole)


def test_a_segment_ends_in_a_pause_and_not_in_a_word() -> None:
    talk = [1.0] * 15 + [0.0] * 4 + [1.0] * 20
    first, second = _run(talk, [100])
    assert len(first.pcm) == (15 + 3) * FRAME
    assert second.first == len(first.pcm)


def test_somebody_who_never_pauses_is_cut_where_speech_is_least_likely() -> None:
    talk = [0.9] * 40 + [0.55] + [0.9] * 40
    first, *_ = _run(talk, [100])
    assert len(first.pcm) == 41 * FRAME


def test_without_voice_activity_segments_are_as_long_as_they_may_be() -> None:
    cutter = SegmentCutter(RULES)
    segments = cutter.push(SampleIndex(0), np.zeros(2500, np.int16))
    assert [len(s.pcm) for s in [*segments, *cutter.flush()]] == [1000, 1000, 500]


def test_marks_go_into_the_segment_that_holds_their_sample() -> None:
    cutter = SegmentCutter(RULES)
    cutter.note_steering(Steering(SampleIndex(0), b"a" * 32), b"weights a")
    cutter.note_steering(Steering(SampleIndex(1500), b"b" * 32), b"weights b")
    cutter.note_gap(Gap(SampleIndex(1200), 5, GapReason.OVERRUN))
    cutter.note_fault(Fault(SampleIndex(100), FaultCode.DEAD, 2))
    first, second, third = [
        *cutter.push(SampleIndex(0), np.zeros(2500, np.int16)),
        *cutter.flush(),
    ]
    assert [m.weights_sha256[:1] for m in first.steering] == [b"a"]
    assert [m.weights_sha256[:1] for m in second.steering] == [b"a", b"b"]
    assert [m.weights_sha256[:1] for m in third.steering] == [b"b"]
    assert [f.code for f in first.faults] == [FaultCode.DEAD]
    assert [g.first for g in second.gaps] == [1200]
    assert not first.gaps
    assert not third.gaps


def test_a_jump_leaves_its_gap_in_front_of_the_next_segment() -> None:
    cutter = SegmentCutter(RULES)
    cutter.push(SampleIndex(0), np.zeros(300, np.int16))
    cutter.note_gap(Gap(SampleIndex(300), 700, GapReason.UNPLUGGED))
    [before] = cutter.flush()
    cutter.push(SampleIndex(1000), np.zeros(300, np.int16))
    [after] = cutter.flush()
    assert not before.gaps
    assert after.first == 1000
    assert [(g.first, g.samples) for g in after.gaps] == [(300, 700)]

"""Faults of channels, found in a sound field of talkers and diffuse noise."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from audio.recorded_bay import RATE, circle, field
from bayscribe.audio.channel_check import FRAME, ChannelCheck
from bayscribe.stream import Block, Fault, FaultCode, Gap, GapReason, Pcm
from bayscribe.units import SampleIndex

FIVE_SECONDS = 5 * RATE


def check(mics: int) -> ChannelCheck:
    return ChannelCheck(circle(mics).geometry)


def run(checker: ChannelCheck, pcm: Pcm, first: int = 0, step: int = 1600) -> list[Fault]:
    faults = []
    for at in range(0, len(pcm), step):
        faults += checker.push(Block(SampleIndex(first + at), pcm[at : at + step]))
    return faults


def silent(x: NDArray[np.int16]) -> NDArray[np.int16]:
    return np.zeros_like(x)


def faint(x: NDArray[np.int16]) -> NDArray[np.int16]:
    return np.round(x / 100 + np.arange(len(x)) % 2).astype(np.int16)


def constant(x: NDArray[np.int16]) -> NDArray[np.int16]:
    return np.full_like(x, 17)


def repeating(x: NDArray[np.int16]) -> NDArray[np.int16]:
    return np.resize(x[:800], len(x))


def offset(x: NDArray[np.int16]) -> NDArray[np.int16]:
    return x + np.int16(900)


def clipped(x: NDArray[np.int16]) -> NDArray[np.int16]:
    return np.clip(x.astype(np.int32) * 256, -32768, 32767).astype(np.int16)


def limited(x: NDArray[np.int16]) -> NDArray[np.int16]:
    return np.clip(x.astype(np.int32) * 256, -20_000, 20_000).astype(np.int16)


def inverted(x: NDArray[np.int16]) -> NDArray[np.int16]:
    return -x


@pytest.mark.parametrize("mics", [2, 3, 4, 6])
def test_healthy_array_raises_nothing(mics: int) -> None:
    checker = check(mics)
    assert run(checker, field(mics, 30.0)) == []
    assert checker.healthy_channels == tuple(range(mics))


@pytest.mark.parametrize("mics", [2, 4, 6])
@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (silent, FaultCode.DEAD),
        (faint, FaultCode.DEAD),
        (constant, FaultCode.STUCK),
        (repeating, FaultCode.STUCK),
        (offset, FaultCode.DC),
        (clipped, FaultCode.CLIPPED),
        (limited, FaultCode.CLIPPED),
        (inverted, FaultCode.INVERTED),
    ],
)
def test_damaged_channel_is_named_within_five_seconds_and_cleared_when_mended(
    mics: int, damage: object, code: FaultCode
) -> None:
    assert callable(damage)
    whole = field(mics, 16.0)
    pcm = whole.copy()
    start, end = 2 * RATE, 8 * RATE
    pcm[start:end, 1] = damage(whole[start:end, 1])
    faults = run(check(mics), pcm)
    assert [(fault.code, fault.channel, fault.cleared) for fault in faults] == [
        (code, 1, False),
        (code, 1, True),
    ]
    assert start < faults[0].at < start + FIVE_SECONDS
    assert end < faults[1].at
    assert faults[0].detail


@pytest.mark.parametrize("mics", [4, 6])
def test_damage_present_at_the_open_is_named(mics: int) -> None:
    pcm = field(mics, 5.0).copy()
    pcm[:, 2] = inverted(pcm[:, 2])
    pcm[:, 3] = silent(pcm[:, 3])
    found = {(fault.code, fault.channel) for fault in run(check(mics), pcm)}
    assert found >= {(FaultCode.DEAD, 3)}
    mended = field(mics, 5.0).copy()
    mended[:, 2] = inverted(mended[:, 2])
    checker = check(mics)
    assert {(f.code, f.channel) for f in run(checker, mended)} == {(FaultCode.INVERTED, 2)}
    assert checker.healthy_channels == tuple(mic for mic in range(mics) if mic != 2)


@pytest.mark.parametrize(
    ("mics", "pair"),
    [(4, pair) for pair in itertools.combinations(range(4), 2)]
    + [(6, pair) for pair in ((0, 1), (0, 2), (0, 3), (2, 3), (3, 5), (4, 5))],
)
def test_channels_that_change_places_are_both_named_within_five_seconds(
    mics: int, pair: tuple[int, int]
) -> None:
    whole = field(mics, 26.0)
    pcm = whole.copy()
    start = 20 * RATE
    pcm[start:, list(pair)] = whole[start:, [pair[1], pair[0]]]
    checker = check(mics)
    faults = run(checker, pcm)
    named = {fault.channel for fault in faults if not fault.cleared}
    assert {fault.code for fault in faults} == {FaultCode.SWAPPED}
    assert named == set(pair)
    assert start < faults[0].at < start + FIVE_SECONDS
    assert set(checker.healthy_channels).isdisjoint(pair)


def test_swap_that_the_geometry_cannot_tell_apart_leaves_one_microphone() -> None:
    pcm = field(4, 6.0)[:, [1, 0, 2, 3]]
    checker = check(4)
    faults = run(checker, pcm)
    assert [(fault.code, fault.channel) for fault in faults] == [(FaultCode.SWAPPED, None)]
    assert "0 and 1" in faults[0].detail
    assert "2 and 3" in faults[0].detail
    assert len(checker.healthy_channels) == 1


def test_swap_between_two_opens_is_found_even_where_the_geometry_is_symmetric() -> None:
    whole = field(4, 40.0)
    checker = check(4)
    assert run(checker, whole[: 30 * RATE]) == []
    gap = Gap(SampleIndex(30 * RATE), RATE, GapReason.UNPLUGGED)
    checker.gap(gap)
    swapped = whole[31 * RATE :, [2, 1, 0, 3]]
    faults = run(checker, swapped, first=31 * RATE)
    assert {(fault.code, fault.channel) for fault in faults} == {
        (FaultCode.SWAPPED, 0),
        (FaultCode.SWAPPED, 2),
    }


def test_swap_is_cleared_when_the_channels_are_back() -> None:
    whole = field(4, 44.0)
    pcm = whole.copy()
    middle = slice(20 * RATE, 30 * RATE)
    pcm[middle, :2] = whole[middle, 1::-1]
    checker = check(4)
    faults = run(checker, pcm)
    assert {fault.channel for fault in faults if fault.cleared} == {0, 1}
    assert checker.faults == ()
    assert checker.healthy_channels == (0, 1, 2, 3)


def test_mono_programme_on_a_stereo_source_is_no_fault() -> None:
    mono = np.repeat(field(2, 4.0)[:, :1], 2, axis=1)
    assert run(check(2), mono) == []
    triple = np.repeat(field(2, 4.0)[:, :1], 3, axis=1)
    assert {fault.channel for fault in run(check(3), triple)} == {1, 2}


def test_a_bang_that_clips_once_is_no_fault() -> None:
    pcm = field(4, 6.0).copy()
    pcm[3 * FRAME : 3 * FRAME + 200] = 32767
    assert run(check(4), pcm) == []


def test_one_microphone_has_only_itself() -> None:
    checker = ChannelCheck(circle(1).geometry)
    pcm = field(2, 4.0)[:, :1].copy()
    assert run(checker, pcm) == []
    assert {f.code for f in run(checker, silent(pcm), first=len(pcm))} == {FaultCode.DEAD}


@settings(max_examples=12, deadline=None)
@given(cuts=st.lists(st.integers(1, 20_000), min_size=1, max_size=30))
def test_faults_do_not_depend_on_how_the_stream_is_cut(cuts: list[int]) -> None:
    whole = field(4, 7.0)
    pcm = whole.copy()
    pcm[:, 0] = inverted(whole[:, 0])
    pcm[2 * RATE :, 3] = constant(whole[2 * RATE :, 3])
    expected = run(check(4), pcm)
    checker, faults, at = check(4), [], 0
    for size in itertools.cycle(cuts):
        if at >= len(pcm):
            break
        faults += checker.push(Block(SampleIndex(at), pcm[at : at + size]))
        at += size
    assert faults == expected

"""The steering policy: whom the beam is on, and from when."""

import numpy as np

from bayscribe.dsp.adaptive import LOOKAHEAD, BeamSteerer
from bayscribe.dsp.beam import FADE, FixedPointBeam
from bayscribe.dsp.look import WIDE_AFTER_BLOCKS
from bayscribe.dsp.spectra import BLOCK
from bayscribe.stream import Track, TrackFrame
from bayscribe.units import SampleIndex

MICS = np.array([[0.032, 0, 0], [0, 0.032, 0], [-0.032, 0, 0], [0, -0.032, 0]])


def frame(number: int, *tracks: tuple[int, float, float]) -> TrackFrame:
    return TrackFrame(SampleIndex((number + 1) * BLOCK), tuple(Track(*t) for t in tracks))


def test_it_turns_to_a_talker_before_his_first_sample() -> None:
    steerer = BeamSteerer(MICS)
    ((at, weights),) = steerer.push([frame(20, (1, 90.0, 0.9))])
    assert at == 20 * BLOCK - FADE // 2
    assert "90.0" in weights.describe
    assert weights.sha256 != steerer.initial.sha256


def test_the_lookahead_suffices_for_every_change() -> None:
    steerer, beam = BeamSteerer(MICS), FixedPointBeam(BeamSteerer(MICS).initial)
    silence = np.zeros((BLOCK, 4), np.int16)
    for pushed in range(12):  # the beam runs LOOKAHEAD behind, then is told, then gets more
        decided = pushed - (LOOKAHEAD // BLOCK - 2) - 1
        if decided >= 0:
            for at, weights in steerer.push([frame(decided, (1, 40.0 * decided, 0.9))]):
                beam.steer(weights, at)
        if pushed >= LOOKAHEAD // BLOCK:
            beam.push(silence)


def test_it_stays_with_a_talker_until_another_is_clearly_louder() -> None:
    steerer = BeamSteerer(MICS)
    assert steerer.push([frame(0, (1, 90.0, 0.6))])
    assert not steerer.push([frame(1, (2, 200.0, 0.5), (1, 90.0, 0.45))])
    ((_, weights),) = steerer.push([frame(2, (2, 200.0, 0.7), (1, 90.0, 0.2))])
    assert "200.0" in weights.describe


def test_it_follows_a_walk() -> None:
    steerer = BeamSteerer(MICS)
    looked = [steerer.push([frame(k, (1, 90.0 + 3 * k, 0.8))]) for k in range(10)]
    assert "115.0" in [change for frame in looked for change in frame][-1][1].describe


def test_it_holds_in_a_pause_and_opens_after_a_long_one() -> None:
    steerer = BeamSteerer(MICS)
    steerer.push([frame(0, (1, 90.0, 0.9))])
    assert not steerer.push([frame(k) for k in range(1, WIDE_AFTER_BLOCKS)])
    ((_, weights),) = steerer.push([frame(WIDE_AFTER_BLOCKS)])
    assert weights.sha256 == steerer.initial.sha256


def test_a_dead_microphone_gets_no_weight() -> None:
    steerer = BeamSteerer(MICS)
    steerer.use([True, True, True, False])
    ((_, weights),) = steerer.push([frame(0, (1, 90.0, 0.9))])
    assert not weights.q15[3].any()


def test_one_microphone_is_its_own_beam() -> None:
    beam = FixedPointBeam(BeamSteerer(np.zeros((1, 3))).initial)
    pcm = np.random.default_rng(6).integers(-16000, 16000, (3000, 1)).astype(np.int16)
    heard = np.concatenate([beam.push(pcm), beam.flush()])
    assert np.abs(heard.astype(int) - pcm[:, 0]).max() <= 1


def test_the_last_working_microphone_is_heard_when_all_others_have_died() -> None:
    steerer = BeamSteerer(MICS)
    steerer.use([False, False, True, False])
    assert np.flatnonzero(steerer.initial.q15.any(axis=1)).tolist() == [2]
    ((_, weights),) = steerer.push([frame(0, (1, 90.0, 0.9))])
    assert np.flatnonzero(weights.q15.any(axis=1)).tolist() == [2]

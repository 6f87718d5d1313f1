"""Enrolment, with the real encoder on made-up voices."""

import numpy as np
import pytest

from bayscribe.diarize.enrol import enrol
from bayscribe.diarize.interpreter import load_network
from bayscribe.diarize.voice import WINDOW, VoiceEncoder
from bayscribe.errors import BadUse
from bayscribe.stream import Pcm

RATE = 16_000


def _buzz(pitch_hz: float, formants_hz: tuple[float, ...], seconds: float, seed: int) -> Pcm:
    """A glottal pulse train through resonances, its pitch swaying: int16 (n,)."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * RATE)) / RATE
    phase = np.cumsum(pitch_hz * (1 + 0.08 * np.sin(2 * np.pi * 0.7 * t + seed))) / RATE
    pulses = np.diff(np.floor(phase), prepend=0.0) + 0.002 * rng.standard_normal(len(t))
    voice = np.zeros(len(t))
    for formant in formants_hz:
        rings = np.arange(400) / RATE
        ring = np.exp(-2 * np.pi * 60 * rings) * np.sin(2 * np.pi * formant * rings)
        voice += np.convolve(pulses, ring)[: len(t)]
    voice *= 1 + 0.5 * np.sin(2 * np.pi * 3 * t)
    pcm: Pcm = (voice / np.abs(voice).max() * 8000).astype(np.int16)
    return pcm


@pytest.fixture(scope="module")
def encoder() -> VoiceEncoder:
    return VoiceEncoder(load_network("speaker"))


def test_a_voice_is_nearer_to_its_own_print_than_another_one(encoder: VoiceEncoder) -> None:
    low = enrol("low", _buzz(105, (600, 1100, 2400), 8, 1), encoder)
    high = enrol("high", _buzz(230, (850, 1900, 2900), 8, 2), encoder)
    again = encoder.encode(_buzz(105, (600, 1100, 2400), 2, 5)[:WINDOW])
    assert again @ low.anchor > again @ high.anchor


def test_pauses_do_not_count_as_speech(encoder: VoiceEncoder) -> None:
    spoken = _buzz(120, (600, 1100, 2400), 4, 1)
    padded = np.concatenate([spoken, np.zeros(20 * RATE, np.int16)])
    with pytest.raises(BadUse, match=r"'nurse' has [34]\.\d s of speech"):
        enrol("nurse", padded, encoder)


@pytest.mark.parametrize("samples", [0, 100, RATE])
def test_next_to_nothing_is_refused(encoder: VoiceEncoder, samples: int) -> None:
    with pytest.raises(BadUse, match="enrolment needs 5 s"):
        enrol("visitor", np.zeros(samples, np.int16), encoder)


def test_the_print_has_unit_length_and_rests_on_several_windows(encoder: VoiceEncoder) -> None:
    found = enrol("low", _buzz(105, (600, 1100, 2400), 8, 1), encoder)
    assert found.label == "low"
    assert len(found.windows) >= 5
    assert np.linalg.norm(found.anchor) == pytest.approx(1.0, abs=1e-5)

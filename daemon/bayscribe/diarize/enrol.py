"""Enrolment: a minute of clean speech becomes a voiceprint."""

from dataclasses import dataclass

import numpy as np

from bayscribe.diarize.interpreter import Floats
from bayscribe.diarize.voice import WINDOW, VoiceEncoder
from bayscribe.errors import BadUse
from bayscribe.stream import Pcm
from bayscribe.units import SAMPLE_RATE

LEAST_SPEECH_S = 5.0
"""Below it a voiceprint rests on too few windows to be told from others'."""

_HOP = WINDOW // 2
_PAUSE_BELOW_LOUDEST_DB = 30.0
_BLOCK = SAMPLE_RATE // 10


@dataclass(frozen=True, slots=True)
class Voiceprint:
    """A known voice.

    Attributes:
        label: whose.
        windows: float32 (n, 192), unit vectors, one per window of speech.
        anchor: float32 (192,), their mean direction; it is never changed.
    """

    label: str
    windows: Floats
    anchor: Floats


def enrol(label: str, pcm: Pcm, encoder: VoiceEncoder) -> Voiceprint:
    """Make a voiceprint of clean speech, int16 (n,), 16 kHz.

    Pauses are left out: blocks of 100 ms that are 30 dB below the loudest.

    Raises:
        BadUse: there are less than :data:`LEAST_SPEECH_S` seconds of speech.
    """
    spoken = _spoken(pcm)
    if len(spoken) < LEAST_SPEECH_S * SAMPLE_RATE:
        raise BadUse(
            f"voice {label!r} has {len(spoken) / SAMPLE_RATE:.1f} s of speech, "
            f"enrolment needs {LEAST_SPEECH_S:.0f} s",
            "record 15 to 60 s of this person alone, in a quiet place",
        )
    starts = range(0, len(spoken) - WINDOW + 1, _HOP)
    windows = np.stack([encoder.encode(spoken[at : at + WINDOW]) for at in starts])
    mean = windows.mean(axis=0)
    anchor = (mean / max(float(np.linalg.norm(mean)), 1e-9)).astype(np.float32)
    return Voiceprint(label, windows.astype(np.float32), anchor)


def _spoken(pcm: Pcm) -> Pcm:
    blocks = pcm[: len(pcm) // _BLOCK * _BLOCK].reshape(-1, _BLOCK)
    if not len(blocks):
        return blocks.reshape(-1)
    power = (blocks.astype(np.float64) ** 2).mean(axis=1)
    loud = power > max(power.max() * 10 ** (-_PAUSE_BELOW_LOUDEST_DB / 10), 1.0)
    spoken: Pcm = blocks[loud].reshape(-1)
    return spoken

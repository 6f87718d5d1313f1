"""The chime: two soft falling tones, made here, so that there is no file to license.

Gentle by construction: sine tones with one weak octave, 20 ms of attack and an exponential
decay, a peak of -18 dBFS, nothing above 1.4 kHz; unlike the tones of patient monitors,
which repeat and rise (IEC 60601-1-8 keeps its alarm signals to bursts of pulses).
"""

import numpy as np

from bayscribe.stream import Pcm

RATE = 48_000
"""Hz; every codec plays it without conversion."""

SECONDS = 0.7
_TONES = ((659.26, 0.0), (523.25, 0.18))
"""Hz (E5, C5) and seconds at which each begins."""

_PEAK = 10 ** (-18 / 20)
_ATTACK_S, _DECAY_S, _FADE_S = 0.02, 0.16, 0.05


def chime() -> Pcm:
    """int16 (n,), mono, :data:`RATE`."""
    t = np.arange(int(SECONDS * RATE)) / RATE
    sound = np.zeros(len(t))
    for frequency, begins in _TONES:
        since = t - begins
        shape = np.clip(since / _ATTACK_S, 0, 1) * np.exp(-np.clip(since, 0, None) / _DECAY_S)
        wave = np.sin(2 * np.pi * frequency * since) + 0.15 * np.sin(4 * np.pi * frequency * since)
        sound += shape * wave
    sound *= np.clip((SECONDS - t) / _FADE_S, 0, 1)
    made: Pcm = np.round(sound / np.abs(sound).max() * _PEAK * 32767).astype(np.int16)
    return made

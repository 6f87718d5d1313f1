"""Auditory alarm signals of medical devices (IEC 60601-1-8:2006+A1, clause 6.3.3 and annex F).

Pulse bursts of ten (high), three (medium) or two (low priority) tones; the melody
names the device's concern. Each pulse has a fundamental and harmonics to 4 kHz.
"""

from typing import Literal

import numpy as np

from benchmarks.scenes.levels import SAMPLE_RATE, Signal

Priority = Literal["high", "medium"]

NOTES = {"C4": 261.63, "D4": 293.66, "E4": 329.63, "F4": 349.23, "F#4": 369.99}
NOTES |= {"G4": 392.0, "A4": 440.0, "B4": 493.88, "C5": 523.25, "D5": 587.33}

MELODIES: dict[str, tuple[str, ...]] = {
    "general": ("C4", "C4", "C4", "C4", "C4"),
    "cardiac": ("C4", "E4", "G4", "G4", "C5"),
    "perfusion": ("C4", "F#4", "C4", "C4", "F#4"),
    "ventilation": ("C4", "A4", "F4", "A4", "F4"),
    "oxygen": ("C5", "B4", "A4", "G4", "F4"),
    "temperature": ("C4", "D4", "E4", "F4", "G4"),
    "infusion": ("C5", "D4", "G4", "C5", "D4"),
    "power": ("C5", "C4", "C4", "C5", "C4"),
}
"""Annex F: a medium-priority burst is the first three notes, a high one all five, twice."""


def _pulse(note: str, seconds: float) -> Signal:
    n = int(seconds * SAMPLE_RATE)
    t = np.arange(n) / SAMPLE_RATE
    tone: Signal = np.zeros(n)
    harmonic = 1
    while harmonic * NOTES[note] < 4000.0:
        tone += np.sin(2.0 * np.pi * harmonic * NOTES[note] * t) / harmonic**0.7
        harmonic += 1
    rise = int(0.15 * n)
    envelope = np.ones(n)
    envelope[:rise] = np.linspace(0.0, 1.0, rise)
    envelope[-rise:] = np.linspace(1.0, 0.0, rise)
    shaped: Signal = tone * envelope
    return shaped


def _burst(melody: str, priority: Priority) -> Signal:
    notes = MELODIES[melody]
    if priority == "medium":
        length, space = 0.2, 0.2
        pieces = [(n, space) for n in notes[:3]]
    else:
        length, space = 0.15, 0.1
        # x between pulses, 2x + t_d after the third, and a longer pause between the halves
        half = [(n, space if i != 2 else 2 * space + length) for i, n in enumerate(notes)]
        pieces = [*half[:-1], (half[-1][0], 0.6), *half]
    parts: list[Signal] = []
    for note, pause in pieces:
        parts += [_pulse(note, length), np.zeros(int(pause * SAMPLE_RATE))]
    return np.concatenate(parts)


def alarm(melody: str, priority: Priority, seconds: float) -> Signal:
    """An alarm that nobody silences.

    Args:
        melody: key of ``MELODIES``.
        priority: ``high`` repeats every 5 s, ``medium`` every 8 s.
        seconds: how long it goes on.

    Returns:
        float64 (frames,), peak about 2, for the caller to scale.
    """
    burst = _burst(melody, priority)
    period = int((5.0 if priority == "high" else 8.0) * SAMPLE_RATE)
    out = np.zeros(int(seconds * SAMPLE_RATE))
    for at in range(0, len(out), period):
        piece = burst[: len(out) - at]
        out[at : at + len(piece)] += piece
    return out

"""Levels and weighting: how sound pressure maps to digital samples.

Convention of every scene: a microphone gives -26 dBFS RMS at 94 dB SPL, so full
scale RMS is 120 dB SPL and a 70 dB SPL bed lies at -50 dBFS RMS.
"""

import math

import numpy as np
from numpy.typing import NDArray

Signal = NDArray[np.float64]
"""float64 samples, full scale 1.0; (frames,) or (frames, mics)."""

SAMPLE_RATE = 16_000
"""Hz, of every file."""

FULL_SCALE_DB_SPL = 120.0
"""dB SPL of a signal whose RMS is 1.0."""


def rms(x: Signal) -> float:
    """Root mean square over all samples of all channels; tiny but positive for silence."""
    return math.sqrt(float(np.mean(np.square(x))) + 1e-30)


def amplitude(db_spl: float) -> float:
    """Digital RMS amplitude of a level.

    Args:
        db_spl: dB re 20 uPa.
    """
    return float(10.0 ** ((db_spl - FULL_SCALE_DB_SPL) / 20.0))


def db_spl(x: Signal) -> float:
    """Unweighted level of a signal in dB re 20 uPa, RMS over everything given."""
    return 20.0 * math.log10(rms(x)) + FULL_SCALE_DB_SPL


def at_level(x: Signal, level: float) -> Signal:
    """The signal scaled to an RMS level in dB SPL."""
    scaled: Signal = x * (amplitude(level) / rms(x))
    return scaled


def db_a(x: Signal) -> float:
    """A-weighted level of one channel in dB(A) (IEC 61672-1, annex E, analogue poles).

    Args:
        x: float64 (frames,).
    """
    f2 = np.square(np.fft.rfftfreq(len(x), 1.0 / SAMPLE_RATE))
    gain = (12194.217**2 * f2**2) / (
        (f2 + 20.598997**2)
        * np.sqrt((f2 + 107.65265**2) * (f2 + 737.86223**2))
        * (f2 + 12194.217**2)
    )
    weighted = np.fft.irfft(np.fft.rfft(x) * gain * 10.0 ** (2.0 / 20.0), len(x))
    return db_spl(weighted)


def active_spans(
    x: Signal, below_peak_db: float = 32.0, bridge_s: float = 0.25, shortest_s: float = 0.05
) -> list[tuple[int, int]]:
    """Where a clean, dry utterance is voice rather than pause.

    Frames of 10 ms whose level is within ``below_peak_db`` of the loudest one
    count; pauses shorter than ``bridge_s`` belong to the speech around them.

    Args:
        x: float64 (frames,), clean speech.
        below_peak_db: threshold under the loudest frame.
        bridge_s: longest pause that does not end a span.
        shortest_s: spans shorter than this are clicks and dropped.

    Returns:
        (first, end) sample pairs in order.
    """
    hop = SAMPLE_RATE // 100
    frames = len(x) // hop
    if frames == 0:
        return []
    power = np.mean(np.square(x[: frames * hop].reshape(frames, hop)), axis=1)
    active = power > power.max() * 10.0 ** (-below_peak_db / 10.0)
    edges = np.flatnonzero(np.diff(np.concatenate(([0], active.astype(np.int8), [0]))))
    spans: list[tuple[int, int]] = []
    for first, end in zip(edges[::2] * hop, edges[1::2] * hop, strict=True):
        if spans and first - spans[-1][1] < bridge_s * SAMPLE_RATE:
            spans[-1] = (spans[-1][0], int(end))
        else:
            spans.append((int(first), int(end)))
    return [(a, b) for a, b in spans if b - a >= shortest_s * SAMPLE_RATE]


def trimmed(x: Signal) -> Signal:
    """An utterance without the silence before and after it, edges faded over 5 ms."""
    spans = active_spans(x, below_peak_db=40.0)
    if not spans:
        return x
    y: Signal = x[max(0, spans[0][0] - 160) : spans[-1][1] + 160].copy()
    ramp = np.linspace(0.0, 1.0, 80)
    y[:80] *= ramp
    y[-80:] *= ramp[::-1]
    return y

"""Reverberation time from an exponential sweep.

The recording is divided by the sweep in the frequency domain, which leaves the room's impulse
response; its energy is integrated backwards (M. R. Schroeder, "New method of measuring
reverberation time", JASA 37, 1965), from where it sinks into the noise. T20 and T30 are
the slopes between -5 and -25 and between -5 and -35 dB, extrapolated to 60 dB (ISO 3382-2).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayscribe.commission.outcome import Live, Outcome
from bayscribe.stream import Block
from bayscribe.units import SAMPLE_RATE

SWEEP_S = 3.0
SWEEP_HZ = (200.0, 6500.0)
TAIL_S = 2.0
LISTEN_S = 12.0
"""Seconds within which the sweep must be played once."""

LONGEST_RT60_S = 1.5
"""Longer than any bay with curtains; attribution was never tried there."""

_BAND_HZ = (500.0, 4000.0)
_LEAST_RANGE_DB = 30.0
_FADE = 480
Floats = NDArray[np.float64]


def sweep() -> Floats:
    """The sweep, amplitude 0.5: float64 (n,), 16 kHz."""
    t = np.arange(round(SWEEP_S * SAMPLE_RATE)) / SAMPLE_RATE
    low, high = SWEEP_HZ
    rate = np.log(high / low)
    x: Floats = 0.5 * np.sin(2 * np.pi * low * SWEEP_S / rate * (np.exp(t / SWEEP_S * rate) - 1))
    fade = np.sin(np.linspace(0, np.pi / 2, _FADE)) ** 2
    x[:_FADE] *= fade
    x[-_FADE:] *= fade[::-1]
    return x


def impulse_response(recording: Floats) -> Floats:
    """What the room did to the sweep: float64 (n,), the direct sound first."""
    source = sweep()
    n = int(2 ** np.ceil(np.log2(len(recording) + len(source))))
    x, y = np.fft.rfft(source, n), np.fft.rfft(recording, n)
    hertz = np.fft.rfftfreq(n, 1 / SAMPLE_RATE)
    quotient = y * x.conj() / (np.abs(x) ** 2 + 1e-3 * (np.abs(x) ** 2).max())
    quotient[(hertz < _BAND_HZ[0]) | (hertz > _BAND_HZ[1])] = 0
    response: Floats = np.fft.irfft(quotient, n)[: len(recording)]
    first = int(np.abs(response).argmax())
    return response[first : first + round(TAIL_S * SAMPLE_RATE)]


def decay_db(response: Floats) -> tuple[Floats, float]:
    """Backward-integrated energy in dB re its start, and the range above the noise in dB."""
    energy = response**2
    noise = float(energy[-len(energy) // 5 :].mean())
    smooth = np.convolve(energy, np.ones(160) / 160, "same")
    sunk = np.flatnonzero(smooth < 2 * noise)
    end = int(sunk[0]) if len(sunk) and sunk[0] > 160 else len(energy)
    above = np.maximum(energy[:end] - noise, 0)
    curve = np.cumsum(above[::-1])[::-1]
    curve = 10 * np.log10(np.maximum(curve / curve[0], 1e-12))
    return curve, float(10 * np.log10(energy[:80].mean() / max(noise, 1e-20)))


def reverberation_time_s(curve: Floats, span_db: float) -> float | None:
    """Time for 60 dB from the slope between -5 dB and ``span_db`` below that; None if short."""
    top, bottom = np.flatnonzero(curve <= -5), np.flatnonzero(curve <= -5 - span_db)
    if not len(bottom) or bottom[0] - top[0] < 8:
        return None
    t = np.arange(top[0], bottom[0]) / SAMPLE_RATE
    slope = float(np.polyfit(t, curve[top[0] : bottom[0]], 1)[0])
    return -60.0 / slope


class Reverberation:
    """Records while the sweep is played once, and finds the reverberation time."""

    def __init__(self) -> None:
        self._kept: list[Floats] = []
        self._heard = 0

    def push(self, block: Block) -> Outcome | None:
        """Take the next block."""
        self._kept.append(block.pcm.astype(np.float64).mean(axis=1))
        self._heard += len(block.pcm)
        return self._outcome() if self._heard >= LISTEN_S * SAMPLE_RATE else None

    def live(self) -> Live:
        """How far it is."""
        return Live(min(1.0, self._heard / (LISTEN_S * SAMPLE_RATE)), "play the sweep once, now")

    def _outcome(self) -> Outcome:
        curve, span = decay_db(impulse_response(np.concatenate(self._kept)))
        t20, t30 = reverberation_time_s(curve, 20), reverberation_time_s(curve, 30)
        steps = range(0, len(curve), SAMPLE_RATE // 100)
        figures: dict[str, Any] = {
            "t20_s": None if t20 is None else round(t20, 3),
            "t30_s": None if t30 is None else round(t30, 3),
            "range_db": round(span, 1),
            "decay_db_per_10ms": [round(float(curve[i]), 1) for i in steps],
        }
        best = t30 if t30 is not None else t20
        if best is None or span < _LEAST_RANGE_DB:
            words = f"the sweep was not heard well enough ({span:.0f} dB above the noise)"
            advice = "Play it louder, once, within the time; keep the bay quiet."
            return Outcome(False, words, figures, advice)
        figures["rt60_s"] = round(best, 3)
        words = f"RT60 {best:.2f} s"
        if best > LONGEST_RT60_S:
            advice = "Draw the curtains; choose a place nearer to the bed."
            return Outcome(False, words, figures, advice)
        return Outcome(True, words, figures)

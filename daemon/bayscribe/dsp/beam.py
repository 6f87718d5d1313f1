"""The fixed-point filter-and-sum beam, in integers that any machine reproduces.

With Q15 samples ``x[m, n]``, Q15 weights ``q[m, t]`` of T taps, ``D = T // 2``, and
zeros for samples before the first and after the last, output sample k is ::

    a(k) = sum over m, t of q[m, t] * x[m, k + D - t]
    y(k) = saturate(floor((a(k) + 2^14) / 2^15))                  one set in force
    y(k) = saturate(floor(((L - g) a_old(k) + g a_new(k) + 2^(14+b)) / 2^(15+b)))
                                         in a cross-fade, L = 2^b, g = k - start

that is: exact accumulation, one rounding (half up), one saturation to int16. Output k
lies on input k, and there are as many outputs as inputs. A cross-fade begins at its
``start`` and lasts L samples; the next one begins no earlier than where it ends.

Exactness. ``|x|, |q| <= 2^15``, so a product is at most 2^30, and every partial sum of
the M*T products, in whatever order or grouping BLAS adds them, is an integer of at most
M*T*2^30; the cross-fade multiplies by at most 2^b. With b = 10 and M*T <= 2^12 all
stay within 2^52 and the rounding offset within 2^53, so float64 holds each of them
exactly, fused multiply-add included, and the result is that of integer arithmetic.

Error. Against the same weights in real arithmetic: at most 1/2 LSB wherever it does not
saturate. Against filters h before quantisation, ``|h - q / 2^15| <= 2^-16`` per tap below one, so
at most ``1/2 + 2^-16 * sum over m, t of |x[m, k + D - t]|`` LSB.
"""

from collections import deque

import numpy as np
from numpy.typing import NDArray

from bayscribe.dsp.weights import WeightSet
from bayscribe.errors import AudioFormatError, BadUse
from bayscribe.stream import Pcm
from bayscribe.units import SampleIndex

FADE_BITS = 10
FADE = 1 << FADE_BITS
"""Samples of a cross-fade: 64 ms at 16 kHz, short against a syllable, free of clicks."""

Q = 15
"""Fractional bits of samples and weights."""

MOST_TERMS = 1 << 12
"""Largest number of microphones times taps for which float64 is provably exact."""

_FRAME = 128
_START = SampleIndex(0)
_Work = NDArray[np.float64]


class FixedPointBeam:
    """Applies weight sets to the microphones.

    Args:
        weights: the set in force from the first sample on.
        first: index of the first sample that will be pushed.

    Raises:
        BadUse: too many microphones times taps for exact arithmetic.
    """

    def __init__(self, weights: WeightSet, first: SampleIndex = _START) -> None:
        if weights.mics * weights.taps > MOST_TERMS:
            raise BadUse(
                f"{weights.mics} microphones of {weights.taps} taps are too many for exact sums",
                f"use at most {MOST_TERMS} taps in all",
            )
        self.saturated = 0
        self._mics = weights.mics
        self._taps = weights.taps
        self._delay = weights.delay
        self._now = _Filter(weights)
        self._changes: deque[tuple[int, _Filter]] = deque()
        self._out = int(first)
        self._held = self._silence()

    @property
    def next_output(self) -> SampleIndex:
        """Index of the sample that comes out next."""
        return SampleIndex(self._out)

    @property
    def newest_weights(self) -> WeightSet:
        """The set in force after all changes that were asked for."""
        return (self._changes[-1][1] if self._changes else self._now).weights

    def restart(self, first: SampleIndex) -> None:
        """Begin again at ``first`` after a jump in the stream, with silence before it.

        The newest set asked for is in force at once.
        """
        if self._changes:
            self._now = self._changes[-1][1]
            self._changes.clear()
        self._out = int(first)
        self._held = self._silence()

    def steer(self, weights: WeightSet, at: SampleIndex) -> SampleIndex | None:
        """Cross-fade to another set.

        Args:
            weights: the new set, of the same shape.
            at: where the cross-fade shall begin; later if another one is under way.

        Returns:
            Where it begins, or None if this set is the newest one already.

        Raises:
            BadUse: another shape, or ``at`` lies before output that was already given.
        """
        if (weights.mics, weights.taps) != (self._mics, self._taps):
            raise BadUse(
                f"weights of {weights.mics} x {weights.taps} for a beam of "
                f"{self._mics} x {self._taps}"
            )
        if at < self._out:
            raise BadUse(f"cannot steer at sample {at}: the beam is already at {self._out}")
        if weights.sha256 == self.newest_weights.sha256:
            return None
        start = max(int(at), self._changes[-1][0] + FADE) if self._changes else int(at)
        self._changes.append((start, _Filter(weights)))
        return SampleIndex(start)

    def push(self, pcm: Pcm) -> Pcm:
        """Filter the next frames.

        Args:
            pcm: int16 (n, mics).

        Returns:
            int16 (n',): the samples that are now complete.

        Raises:
            AudioFormatError: another sample format or number of microphones.
        """
        if pcm.dtype != np.int16 or pcm.ndim != 2 or pcm.shape[1] != self._mics:
            raise AudioFormatError(
                f"beam input is {pcm.dtype} {pcm.shape}, expected int16 (n, {self._mics})"
            )
        self._held = np.concatenate([self._held, pcm.astype(np.float64)])
        ready = len(self._held) - (self._taps - 1)
        if ready <= 0:
            return np.empty(0, np.int16)
        pieces, done = [], 0
        while done < ready:
            piece = self._stretch(done, ready)
            pieces.append(piece)
            done += len(piece)
        self._held = self._held[ready:].copy()
        self._out += ready
        return np.concatenate(pieces)

    def flush(self) -> Pcm:
        """Give the samples still held, as if silence followed; then begin at the next index."""
        rest = self.push(np.zeros((self._delay, self._mics), np.int16))
        self.restart(SampleIndex(self._out))
        return rest

    def _silence(self) -> _Work:
        """What the first output sees before the first input."""
        return np.zeros((self._taps - 1 - self._delay, self._mics))

    def _stretch(self, done: int, ready: int) -> Pcm:
        """Outputs from ``done`` on, to ``ready`` or to where the weights change."""
        at = self._out + done
        start = self._changes[0][0] if self._changes else self._out + ready
        if at < start:
            count = min(start - at, ready - done)
            return self._rounded(self._now.sums(self._span(done, count)), Q)
        count = min(start + FADE - at, ready - done)
        span = self._span(done, count)
        new = self._changes[0][1]
        gain = np.arange(at - start, at - start + count, dtype=np.float64)
        mixed = (FADE - gain) * self._now.sums(span) + gain * new.sums(span)
        if at + count == start + FADE:
            self._now = self._changes.popleft()[1]
        return self._rounded(mixed, Q + FADE_BITS)

    def _span(self, done: int, count: int) -> _Work:
        return self._held[done : done + count + self._taps - 1]

    def _rounded(self, sums: _Work, bits: int) -> Pcm:
        """The one rounding, half up, and the one saturation; both exact in float64."""
        whole = np.floor((sums + float(1 << (bits - 1))) * 2.0**-bits)
        self.saturated += int(np.count_nonzero((whole < -32768.0) | (whole > 32767.0)))
        return np.clip(whole, -32768.0, 32767.0).astype(np.int16)


class _Filter:
    """One weight set as a matrix that makes a frame of outputs in one product."""

    def __init__(self, weights: WeightSet) -> None:
        self.weights = weights
        self._matrix = _toeplitz(weights)

    def sums(self, span: _Work) -> _Work:
        """Accumulators a(k) of the len(span) - T + 1 outputs: integers in float64 (n,)."""
        mics, taps = self.weights.mics, self.weights.taps
        count = len(span) - taps + 1
        frames = -(-count // _FRAME)
        padded = np.zeros((frames * _FRAME + taps - 1, mics))
        padded[: len(span)] = span
        step = padded.strides[0]
        rows = np.lib.stride_tricks.as_strided(
            padded,
            (frames, (_FRAME + taps - 1) * mics),
            (_FRAME * step, padded.strides[1]),
            writeable=False,
        )
        # BLAS takes no overlapping rows: copied here once instead of anywhere inside numpy.
        return (np.ascontiguousarray(rows) @ self._matrix).reshape(-1)[:count]


def _toeplitz(weights: WeightSet) -> _Work:
    """Matrix ((FRAME + T - 1) * mics, FRAME) that filters one frame of interleaved input."""
    taps = weights.taps
    backwards = weights.q15[:, ::-1].T.astype(np.float64)
    matrix = np.zeros((_FRAME + taps - 1, weights.mics, _FRAME))
    for output in range(_FRAME):
        matrix[output : output + taps, :, output] = backwards
    return matrix.reshape(-1, _FRAME)

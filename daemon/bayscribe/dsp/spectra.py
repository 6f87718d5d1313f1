"""Short-time spectra on a grid of their own, whatever the chunks that audio comes in."""

import numpy as np
from numpy.typing import NDArray

from bayscribe.errors import AudioFormatError
from bayscribe.stream import Pcm
from bayscribe.units import SampleIndex

WINDOW = 256
"""Samples of a spectrum: 16 ms, long against the aperture, short against a syllable."""

HOP = 200
"""Samples from one spectrum to the next: 12.5 ms, so that eight begin in each block."""

BLOCK = 1600
"""Samples of a block: 100 ms, the rate at which talkers are stated."""

PER_BLOCK = BLOCK // HOP
REACH = BLOCK - HOP + WINDOW
"""Samples from a block's beginning to the end of its last spectrum."""

Spectra = NDArray[np.complex64]


class BlockSpectra:
    """Cuts a stream into blocks of PER_BLOCK Hann-windowed spectra.

    Args:
        mics: number of microphones.
    """

    def __init__(self, mics: int) -> None:
        self._mics = mics
        window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)
        self._window = (window / 32768).astype(np.float32)[None, :, None]
        self._starts = np.arange(PER_BLOCK)[:, None] * HOP + np.arange(WINDOW)[None]
        self._held: Pcm = np.empty((0, mics), np.int16)
        self._at: int | None = None

    def push(self, first: SampleIndex, pcm: Pcm) -> list[tuple[SampleIndex, Spectra]]:
        """Add frames.

        Args:
            first: index of the first one. If it does not continue the last push, what is
                unfinished is dropped and blocks begin anew here.
            pcm: int16 (n, mics).

        Returns:
            For each block that is complete: the index after its last sample, and its
            spectra, complex64 (PER_BLOCK, WINDOW // 2 + 1, mics), full scale is one.

        Raises:
            AudioFormatError: another sample format or number of microphones.
        """
        if pcm.dtype != np.int16 or pcm.ndim != 2 or pcm.shape[1] != self._mics:
            raise AudioFormatError(
                f"array input is {pcm.dtype} {pcm.shape}, expected int16 (n, {self._mics})"
            )
        if self._at is None or first != self._at + len(self._held):
            self._at, self._held = int(first), pcm[:0]
        self._held = np.concatenate([self._held, pcm])
        return self._complete()

    def flush(self) -> list[tuple[SampleIndex, Spectra]]:
        """The last blocks, as if silence followed: those of which a sample was pushed."""
        if self._at is None:
            return []
        blocks = -(-len(self._held) // BLOCK)
        missing = max(0, (blocks - 1) * BLOCK + REACH - len(self._held)) if blocks else 0
        self._held = np.concatenate([self._held, np.zeros((missing, self._mics), np.int16)])
        done = self._complete(blocks)
        self._at, self._held = None, self._held[:0]
        return done

    def _complete(self, most: int | None = None) -> list[tuple[SampleIndex, Spectra]]:
        done: list[tuple[SampleIndex, Spectra]] = []
        used = 0
        while len(self._held) - used >= REACH and (most is None or len(done) < most):
            frames = self._held[used : used + REACH][self._starts].astype(np.float32)
            spectra = np.fft.rfft(frames * self._window, axis=1).astype(np.complex64)
            used += BLOCK
            done.append((SampleIndex((self._at or 0) + used), spectra))
        self._held = self._held[used:].copy()
        self._at = (self._at or 0) + used
        return done

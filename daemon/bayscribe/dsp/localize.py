"""Where talkers are: evidence for speech from each direction, block by block.

The noise of a bay is near enough diffuse: many talkers, ventilation and their
reverberation. For each frequency and direction a superdirective beam is held ready,
scaled so that diffuse noise of unit power comes out with unit power. What it gives on
a block, divided by the noise floor of that frequency, is the signal-to-noise ratio
xi of a hypothetical talker there, and

    evidence(direction) = sum over frequencies of weight * log(max(1, xi))

is large where many bands at once carry more than the noise does: the generalised
likelihood ratio of a talker of unknown spectrum, with the logarithm taking from single
loud bands (alarm tones) the power to outvote the others. It is steered-response power
whose whitening is by the noise floor instead of by magnitude (phase transform).
"""

import numpy as np
from numpy.typing import NDArray

from bayscribe.dsp.design import mvdr_response
from bayscribe.dsp.geometry import (
    Floats,
    checked,
    diffuse_coherence,
    is_linear,
    steering_vectors,
    unit_vectors,
)
from bayscribe.dsp.noise import NoiseFloor
from bayscribe.dsp.spectra import WINDOW, BlockSpectra, Spectra
from bayscribe.dsp.track import TalkerTracker
from bayscribe.stream import Pcm, TrackFrame
from bayscribe.units import SAMPLE_RATE, SampleIndex

AZIMUTH_STEP_DEG = 5.0
BAND_HZ = (300.0, 5000.0)
"""Where speech stands out and an array of a few centimetres can tell directions."""

ELEVATIONS_DEG = (0.0, 40.0, 65.0)
"""Heights over which a talker's evidence is maximised; below the plane is the same."""

_WNG_FLOOR_DB = -6.0


class DirectionEvidence:
    """Evidence for a talker on a grid of azimuths.

    Args:
        mics: float64 (M, 3), metres, profile order.
        sample_rate: Hz.
    """

    def __init__(self, mics: Floats, sample_rate: int = SAMPLE_RATE) -> None:
        self._mics = checked(mics)
        every = np.fft.rfftfreq(WINDOW, 1 / sample_rate).astype(np.float64)
        self._bins = np.flatnonzero((every >= BAND_HZ[0]) & (every <= BAND_HZ[1]))
        self._frequencies: Floats = every[self._bins]
        self.azimuths = np.arange(0.0, 360.0, AZIMUTH_STEP_DEG)
        self._floor = NoiseFloor(len(self._bins))
        self.use(np.ones(len(self._mics), bool))

    def use(self, active: NDArray[np.bool_]) -> None:
        """Listen to these microphones alone from the next block on; all False is ignored."""
        if active.sum() < 2:
            return
        self._active = np.flatnonzero(active)
        self._beams = self._design(self._mics[self._active])

    def _design(self, mics: Floats) -> Spectra:
        """Noise-normalised beams: complex64 (F, D, M), D = elevations * azimuths."""
        coherence = diffuse_coherence(mics, self._frequencies)
        beams = []
        for elevation in (0.0,) if is_linear(mics) else ELEVATIONS_DEG:
            towards = unit_vectors(self.azimuths, np.array(elevation))
            for vector in steering_vectors(mics, towards, self._frequencies):
                response = mvdr_response(coherence, vector, _WNG_FLOOR_DB)
                power = np.einsum("fm,fmn,fn->f", response, coherence, response.conj()).real
                beams.append(response / np.sqrt(power)[:, None])
        return np.stack(beams, axis=1).astype(np.complex64)

    def block(self, spectra: Spectra) -> NDArray[np.float32]:
        """Evidence (azimuths,) of one block of spectra (frames, bins, mics)."""
        heard = spectra[:, self._bins][:, :, self._active]
        floor = self._floor.push((np.abs(heard) ** 2).mean(axis=(0, 2)))
        beamed = self._beams @ heard.transpose(1, 2, 0)
        power = (beamed.real**2 + beamed.imag**2).mean(axis=2)
        ratio = power / floor[:, None]
        evidence = np.log(np.maximum(ratio, 1.0)).sum(axis=0)
        best: NDArray[np.float32] = evidence.reshape(-1, len(self.azimuths)).max(axis=0)
        return best


class Localizer:
    """Microphones in, tracked talkers out, one frame per 100 ms of stream.

    Args:
        mics: float64 (M, 3), metres, profile order.
        sample_rate: Hz.
    """

    def __init__(self, mics: Floats, sample_rate: int = SAMPLE_RATE) -> None:
        self._spectra = BlockSpectra(len(mics))
        self._evidence = DirectionEvidence(mics, sample_rate)
        self._tracker = TalkerTracker(self._evidence.azimuths)

    def use(self, active: NDArray[np.bool_]) -> None:
        """Leave out dead or stuck microphones: bool (M,)."""
        self._evidence.use(active)

    def push(self, first: SampleIndex, pcm: Pcm) -> list[TrackFrame]:
        """Add frames of all microphones, int16 (n, M); the frames that are now decided.

        Raises:
            AudioFormatError: another sample format or number of microphones.
        """
        return self._frames(self._spectra.push(first, pcm))

    def flush(self) -> list[TrackFrame]:
        """The frames not yet decided."""
        return [*self._frames(self._spectra.flush()), *self._tracker.flush()]

    def _frames(self, blocks: list[tuple[SampleIndex, Spectra]]) -> list[TrackFrame]:
        frames: list[TrackFrame] = []
        for end, spectra in blocks:
            frames += self._tracker.push(end, self._evidence.block(spectra))
        return frames

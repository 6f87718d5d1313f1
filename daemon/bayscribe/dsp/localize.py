"""Where talkers are: evidence for a talker in each direction, block by block.

The spatial covariance R of a few neighbouring blocks is compared, bin by bin, with two
models: the bay's noise field N alone, ``R = s N``, or N and a plane wave from
direction d, ``R = s N + p d d^H``, all powers unknown. With u the unit vector of
``N^-1/2 d``, ``R' = N^-1/2 R N^-1/2``, ``a = u^H R' u`` and ``b = (tr R' - a) / (M - 1)``
the logarithm of their likelihood ratio per snapshot is ::

    M log(tr R' / M) - log a - (M - 1) log b        where a > b, else 0

(the single-source case of deterministic-signal, coloured-noise maximum likelihood; see
H. Krim, M. Viberg, "Two decades of array signal processing research", IEEE Signal
Processing Magazine 13(4), 1996). It does not depend on level: a burst of babble that has
the shape of the noise field is no evidence however loud it is, and one tone of an alarm
is one bin among a hundred. N is learnt where the tracker believes that nobody talks.
"""

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayscribe.dsp.bearings import (
    BAND_EDGES_HZ,
    BANDS,
    FUTURE,
    BearingContext,
    BearingNetwork,
    Levels,
    Maps,
)
from bayscribe.dsp.geometry import (
    Floats,
    checked,
    diffuse_coherence,
    is_linear,
    steering_vectors,
    unit_vectors,
)
from bayscribe.dsp.noise import Covariance, NoiseField, NoiseShape
from bayscribe.dsp.spectra import WINDOW, BlockSpectra, Spectra
from bayscribe.dsp.track import TalkerTracker
from bayscribe.stream import Pcm, TrackFrame
from bayscribe.units import SAMPLE_RATE, SampleIndex

AZIMUTH_STEP_DEG = 5.0
BAND_HZ = (500.0, 7900.0)
"""Below, an array of a few centimetres tells directions hardly at all; the upper end is
where it tells them best, ambiguous or not: the lower bins decide between grating lobes."""

ELEVATIONS_DEG = (0.0, 25.0, 50.0, 75.0)
"""Heights over which a talker's evidence is maximised; below the plane is the same."""

SPAN_BLOCKS = 7
"""Blocks whose covariance is averaged: the one in question and those around it."""

RENEW_BLOCKS = 10
"""Blocks between two updates of the filters to the noise field as it is now."""

MOST_PER_BIN = np.float32(3.0)
"""What one bin may say at most: a few loud tones must not pass for a voice."""

TONE_ABOVE = 15.0
"""A tone has this many times the power of the quiet quarter of the bins around it.

A quarter, since the harmonics of an alarm can fill more than half of them."""

TONE_AROUND = 12
TONE_WIDTH = 3
"""Bins to either side: those that a tone is compared with, and those that it spreads into."""

SHAPE_BLOCKS = 50
"""Blocks from one statement of the noise field to the next: the beam adapts every 5 s."""

_SHAPES_KEPT = 12
_LEAST_SHARE = 1e-3
_Features = NDArray[np.float32]


def tonal(power: NDArray[np.float32]) -> _Features:
    """Which bins (bins,) of a power spectrum belong to a tone: 1 or 0.

    A tone stands alone far above the bins around it; at this resolution the harmonics of a
    voice run into each other and its formants are broad.
    """
    padded = np.pad(power, TONE_AROUND, mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * TONE_AROUND + 1)
    quiet = TONE_AROUND // 2
    around = np.partition(windows, quiet, axis=1)[:, quiet]
    above = np.pad(power > TONE_ABOVE * around, TONE_WIDTH)
    spread = np.lib.stride_tricks.sliding_window_view(above, 2 * TONE_WIDTH + 1)
    marked: _Features = spread.max(axis=1).astype(np.float32)
    return marked


@dataclass(frozen=True, slots=True)
class Judged:
    """What one covariance says.

    Attributes:
        evidence: float32 (azimuths,), log-likelihood ratio summed over all bins.
        elevations_deg: float32 (azimuths,), the height at which it is largest.
        bands: float32 (BANDS, azimuths), its mean over the bins of each band.
        tonal: share of bins that belong to tones.
    """

    evidence: _Features
    elevations_deg: _Features
    bands: Maps
    tonal: float


class DirectionEvidence:
    """Log-likelihood ratios for a talker on a grid of azimuths.

    Args:
        mics: float64 (M, 3), metres, profile order.
        sample_rate: Hz.
    """

    def __init__(self, mics: Floats, sample_rate: int = SAMPLE_RATE) -> None:
        self._mics = checked(mics)
        every = np.fft.rfftfreq(WINDOW, 1 / sample_rate).astype(np.float64)
        self._bins = np.flatnonzero((every >= BAND_HZ[0]) & (every <= BAND_HZ[1]))
        self._frequencies: Floats = every[self._bins]
        self._bands = np.searchsorted(self._frequencies, BAND_EDGES_HZ)
        self.azimuths = np.arange(0.0, 360.0, AZIMUTH_STEP_DEG)
        self._active = np.arange(len(self._mics))  # of one microphone too, which use() ignores
        self.use(np.ones(len(self._mics), bool))

    def use(self, active: NDArray[np.bool_]) -> None:
        """Listen to these microphones alone from now on; fewer than two are ignored."""
        if active.sum() < 2:
            return
        self._active = np.flatnonzero(active)
        places = self._mics[self._active]
        self._mirrored = self._behind(places)
        heights = (0.0,) if is_linear(places) else ELEVATIONS_DEG
        towards = np.concatenate([unit_vectors(self.azimuths, np.array(h)) for h in heights])
        vectors = steering_vectors(places, towards, self._frequencies)
        self._steering = vectors.transpose(1, 0, 2).astype(np.complex64)
        self._field = NoiseField(diffuse_coherence(places, self._frequencies))
        self._upper = np.triu_indices(len(places), 1)
        self._age = 0
        self._renew()

    def _behind(self, places: Floats) -> NDArray[np.bool_]:
        """On a line of microphones: the azimuths (azimuths,) whose mirror image stands for both."""
        if not is_linear(places):
            return np.zeros(len(self.azimuths), bool)
        axis = np.linalg.svd(places)[2][0]
        bearing = np.degrees(np.arctan2(axis[1], axis[0]))
        behind: NDArray[np.bool_] = (self.azimuths - bearing) % 180.0 != (
            self.azimuths - bearing
        ) % 360.0
        return behind

    @property
    def flat(self) -> bool:
        """Whether the working microphones tell directions all round the circle."""
        return not is_linear(self._mics[self._active])

    @property
    def active(self) -> NDArray[np.int64]:
        """Numbers of the working microphones."""
        return self._active

    def covariance(self, spectra: Spectra) -> Covariance:
        """Covariance (bins, M, M) of the working microphones over one block of spectra."""
        heard = spectra[:, self._bins][:, :, self._active].transpose(1, 2, 0)
        mean: Covariance = heard @ heard.conj().transpose(0, 2, 1) / np.float32(heard.shape[2])
        return mean

    def learn(self, block: Covariance, silence: float) -> None:
        """Let one decided block into the noise field; ``silence`` is 0..1."""
        if block.shape[1] != len(self._active):
            return
        self._field.add(block, silence)
        self._age += 1
        if self._age % RENEW_BLOCKS == 0:
            self._renew()

    def shape(self) -> NoiseShape:
        """The noise field as it has been learnt."""
        active = np.zeros(len(self._mics), bool)
        active[self._active] = True
        return NoiseShape(self._frequencies, self._field.covariance, active)

    def judge(self, covariance: Covariance) -> Judged:
        """Log-likelihood ratios per snapshot, by band and azimuth, at the best elevation."""
        mics = covariance.shape[1]
        described = self._described(covariance)
        total = (described * self._whitened_trace).sum(axis=1, keepdims=True)
        share = (self._filters @ described[:, :, None])[:, :, 0]
        share /= np.maximum(total, np.float32(1e-20))
        np.clip(share, 1 / mics, 1 - _LEAST_SHARE, out=share)
        likelihood = share * (1 - share) ** (mics - 1)
        most = np.float32((1 / mics) * (1 - 1 / mics) ** (mics - 1))
        ratios = np.minimum(-np.log(likelihood / most), MOST_PER_BIN)
        voice = 1 - tonal(np.einsum("fmm->f", covariance).real)
        summed = np.add.reduceat(ratios * voice[:, None], self._bands[:-1], axis=0)
        bands = summed.reshape(BANDS, -1, len(self.azimuths))
        highest = bands.sum(axis=0).argmax(axis=0)
        best: _Features = np.take_along_axis(bands, highest[None, None, :], axis=1)[:, 0]
        evidence: _Features = best.sum(axis=0)
        evidence[self._mirrored] = evidence.min()
        return Judged(
            evidence,
            np.array(ELEVATIONS_DEG, np.float32)[highest],
            np.asarray(best / np.diff(self._bands)[:, None], np.float32),
            float(1 - voice.mean()),
        )

    def _described(self, covariance: Covariance) -> _Features:
        """Hermitian matrices as real vectors (bins, M * M): diagonal, real and imaginary."""
        above = covariance[:, self._upper[0], self._upper[1]]
        diagonal = np.einsum("fmm->fm", covariance).real
        return np.concatenate([diagonal, above.real, above.imag], axis=1).astype(np.float32)

    def _renew(self) -> None:
        """Filters whose dot product with a described covariance is a = u^H R' u, and tr R'."""
        inverse = np.linalg.inv(self._field.covariance).astype(np.complex64)
        aimed = self._steering @ inverse.transpose(0, 2, 1)
        power = np.einsum("fdm,fdm->fd", self._steering.conj(), aimed).real
        aimed /= np.sqrt(np.maximum(power, np.float32(1e-12)))[:, :, None]
        cross = aimed[:, :, self._upper[0]].conj() * aimed[:, :, self._upper[1]]
        self._filters: _Features = np.concatenate(
            [np.abs(aimed) ** 2, 2 * cross.real, -2 * cross.imag], axis=2
        ).astype(np.float32)
        above = inverse[:, self._upper[0], self._upper[1]]
        diagonal = np.einsum("fmm->fm", inverse).real
        self._whitened_trace: _Features = np.concatenate(
            [diagonal, 2 * above.real, 2 * above.imag], axis=1
        ).astype(np.float32)


class Localizer:
    """Microphones in, tracked talkers out, one frame per 100 ms of stream.

    With a single microphone there are frames, but nobody in them.

    Args:
        mics: float64 (M, 3), metres, profile order.
        sample_rate: Hz.
        network: weighs the evidence of flat arrays; without it, and for others, the
            likelihood ratio itself is believed.
    """

    def __init__(
        self, mics: Floats, sample_rate: int = SAMPLE_RATE, network: BearingNetwork | None = None
    ) -> None:
        self._spectra = BlockSpectra(len(mics))
        self._directional = len(mics) > 1
        self._evidence = DirectionEvidence(mics, sample_rate)
        self._tracker = TalkerTracker(self._evidence.azimuths)
        self._network = network
        self._undecided: deque[Covariance] = deque()
        self._shapes: deque[tuple[SampleIndex, NoiseShape]] = deque(maxlen=_SHAPES_KEPT)
        self._decisions = 0
        self._begin()

    def _begin(self) -> None:
        """Nothing that came before belongs to what comes."""
        self._span: deque[tuple[SampleIndex, Covariance, Maps]] = deque()
        self._centre = 0
        self._levels = Levels()
        network = self._network if self._evidence.flat else None
        self._context = BearingContext(network) if network is not None else None
        self._mapped = 0

    def use(self, active: NDArray[np.bool_]) -> None:
        """Leave out dead or stuck microphones: bool (M,).

        The noise field is learnt anew, and the few blocks not yet decided are not stated.
        """
        self._evidence.use(active)
        self._begin()

    def noise(self, at: SampleIndex) -> NoiseShape | None:
        """The newest noise field that was learnt from blocks up to ``at``, if there is one.

        It is stated every SHAPE_BLOCKS blocks and kept for a minute.
        """
        return next((shape for end, shape in reversed(self._shapes) if end <= at), None)

    def push(self, first: SampleIndex, pcm: Pcm) -> list[TrackFrame]:
        """Add frames of all microphones, int16 (n, M); the frames that are now decided.

        Raises:
            AudioFormatError: another sample format or number of microphones.
        """
        return self._frames(self._spectra.push(first, pcm))

    def flush(self) -> list[TrackFrame]:
        """The frames not yet decided."""
        frames = self._frames(self._spectra.flush())
        while self._centre < len(self._span):
            frames += self._weigh()
            self._centre += 1
        self._begin()
        return [*frames, *self._decided(self._tracker.flush())]

    def _frames(self, blocks: list[tuple[SampleIndex, Spectra]]) -> list[TrackFrame]:
        if not self._directional:
            return [TrackFrame(end, ()) for end, _ in blocks]
        frames: list[TrackFrame] = []
        for end, spectra in blocks:
            levels = self._levels.push(spectra[:, :, self._evidence.active])
            self._span.append((end, self._evidence.covariance(spectra), levels))
            if len(self._span) - self._centre > SPAN_BLOCKS // 2:
                frames += self._weigh()
                self._centre += 1
            if len(self._span) == SPAN_BLOCKS:
                self._span.popleft()
                self._centre -= 1
                self._mapped -= 1
        return frames

    def _weigh(self) -> list[TrackFrame]:
        """Evidence for the block at the centre of the span, to the tracker."""
        end, own, _ = self._span[self._centre]
        self._undecided.append(own)
        judged = self._evidence.judge(self._mean(self._centre, SPAN_BLOCKS // 2))
        if self._context is None:
            decided = self._tracker.push(end, judged.evidence, judged.elevations_deg)
        else:
            self._map(self._context)
            weighed = self._context.weigh(judged.bands)
            decided = self._tracker.push_weighed(end, weighed, judged.elevations_deg)
        return self._decided(decided)

    def _map(self, context: BearingContext) -> None:
        """Give the network the maps of the blocks that it sees for the first time."""
        while self._mapped < min(len(self._span), self._centre + FUTURE + 1):
            narrow = self._evidence.judge(self._mean(self._mapped, 1))
            levels = self._span[self._mapped][2]
            context.add(narrow.bands, levels, narrow.tonal, len(self._evidence.active))
            self._mapped += 1

    def _mean(self, centre: int, reach: int) -> Covariance:
        near = list(self._span)[max(0, centre - reach) : centre + reach + 1]
        mean: Covariance = sum((c for _, c, _ in near[1:]), near[0][1]) / np.float32(len(near))
        return mean

    def _decided(self, decisions: list[tuple[TrackFrame, float]]) -> list[TrackFrame]:
        for frame, silence in decisions:
            self._evidence.learn(self._undecided.popleft(), silence)
            self._decisions += 1
            if self._decisions % SHAPE_BLOCKS == 0:
                self._shapes.append((frame.at, self._evidence.shape()))
        return [frame for frame, _ in decisions]

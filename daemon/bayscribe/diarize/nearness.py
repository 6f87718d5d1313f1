"""Whether somebody near speaks, by a recurrent network over what the whole array hears.

Voice activity alone hears the babble of a bay as speech, and levels alone carts and alarms.
This network is given, per 16 ms and band, the beam, how much of the sound it lets through,
how much of it comes from where the beam looks (the generalised likelihood ratio of one plane
wave against a diffuse field), and the beam above its own floor; per 100 ms what is tracked and
what the network of :mod:`bayscribe.dsp.bearings` says. Card: ``models/near.md``.
"""

from collections import deque
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bayscribe.diarize.interpreter import Floats, Network
from bayscribe.dsp.geometry import diffuse_coherence, steering_vectors, unit_vectors
from bayscribe.dsp.look import LOOK_ELEVATION_DEG, Look
from bayscribe.stream import Pcm, TrackFrame
from bayscribe.units import SAMPLE_RATE

FFT, HOP = 512, 256
BANDS = 64
DELAY = 8
"""Frames that the network looks ahead: its answer is about the frame that many before."""

LATENCY = 2
"""Blocks of 100 ms behind a block that its answer waits for."""

TOLD = 6
"""Numbers that are told of every frame."""

INPUTS = 4 * BANDS + TOLD
STATE = (2, 224)

_FULL = 32768.0
_TINY = 1e-9
_CELL_DEG = 5.0
_LOADING = 0.03
"""Of the diffuse field's coherence: microphones differ, and have noise of their own."""

_FALL, _RISE = 0.3, 0.008
"""By what share of the way the floor follows the beam, a frame."""

_STRETCH = 1.38
"""How much steeper than mel the bands begin, where none may be narrower than a bin."""

_TAPER = np.hanning(FFT + 1)[:-1].astype(np.float32)
_FREQUENCIES = np.fft.rfftfreq(FFT, 1 / SAMPLE_RATE).astype(np.float64)
_BLOCK = SAMPLE_RATE // 10


def bands() -> Floats:
    """Triangular bands, float32 (BANDS, bins); of every bin the shares add up to one."""
    mel = np.log1p(_FREQUENCIES / 700.0)
    steps = np.diff(mel / mel[-1]) * BANDS * _STRETCH
    place = np.concatenate([[0.0], np.cumsum(np.minimum(steps, 1.0))])
    place *= (BANDS - 1) / place[-1]
    return np.maximum(0.0, 1.0 - np.abs(place[None] - np.arange(BANDS)[:, None])).astype(np.float32)


class Hearing:
    """Beam, microphones and tracks in; what the network is asked of each 16 ms out.

    Args:
        mics: float64 (M, 3), metres, profile order.
    """

    def __init__(self, mics: NDArray[np.float64]) -> None:
        self._mics = mics
        shares = bands()
        self._means = (shares / shares.sum(axis=1, keepdims=True)).T
        self.use(np.ones(len(mics), np.bool_))
        self.restart(0)

    def use(self, active: NDArray[np.bool_]) -> None:
        """Leave out dead or stuck microphones from now on."""
        self._active = active if active.any() else np.ones_like(active)
        mics = self._mics[self._active]
        loading = _LOADING * np.eye(len(mics))
        inverse = np.linalg.inv(diffuse_coherence(mics, _FREQUENCIES) + loading)
        azimuths = np.arange(0.0, 360.0, _CELL_DEG)
        towards = unit_vectors(azimuths, np.full(len(azimuths), LOOK_ELEVATION_DEG))
        steering = steering_vectors(mics, towards, _FREQUENCIES)
        matched = np.einsum("fmk,afk->afm", inverse, steering)
        gain = np.einsum("afm,afm->af", steering.conj(), matched).real
        self._inverse = inverse.astype(np.complex64)
        self._matched = (matched / np.sqrt(gain)[..., None]).conj().astype(np.complex64)

    def restart(self, first: int) -> None:
        """Begin at sample ``first``: nothing before it is known."""
        self._at = self._origin = first
        self._look = Look()
        self._told: deque[tuple[int, float | None, NDArray[np.float32]]] = deque()
        self._beam = np.zeros(0, np.float32)
        self._sound = np.zeros((0, len(self._mics)), np.float32)
        self._floor: Floats | None = None

    def push(self, beam: Pcm, mics: Pcm, tracks: Sequence[TrackFrame]) -> Floats:
        """Take beam int16 (n,), microphones int16 (n, M) and the next decided tracks.

        Returns:
            float32 (frames, INPUTS), of the frames that are complete now; frame k begins
            ``k * HOP`` samples after the start.
        """
        for frame in tracks:
            self._look.follow(frame)
            self._told.append((int(frame.at), self._look.azimuth_deg, self._tell(frame)))
        self._beam = np.concatenate([self._beam, beam.astype(np.float32) / _FULL])
        self._sound = np.concatenate([self._sound, mics.astype(np.float32) / _FULL])
        count = max(0, (len(self._beam) - FFT) // HOP + 1)
        if not count:
            return np.zeros((0, INPUTS), np.float32)
        looks, told = self._where(count)
        spans = np.arange(FFT)[None] + HOP * np.arange(count)[:, None]
        beam_power = np.abs(np.fft.rfft(self._beam[spans] * _TAPER, axis=1)) ** 2
        heard = self._sound[:, self._active][spans] * _TAPER[:, None]
        found = self._described(beam_power, np.fft.rfft(heard, axis=1), looks)
        self._at += count * HOP
        self._beam, self._sound = self._beam[count * HOP :], self._sound[count * HOP :]
        return np.concatenate([found, told], axis=1).astype(np.float32)

    def _tell(self, frame: TrackFrame) -> NDArray[np.float32]:
        salience = max((track.salience for track in frame.tracks), default=0.0)
        odds = ((frame.speech or 0.0) / 4, (frame.overlap or 0.0) / 4)
        is_open = float(self._look.azimuth_deg is None)
        share = self._active.sum() / 6
        return np.array([salience, len(frame.tracks), is_open, *odds, share], np.float32)

    def _where(self, count: int) -> tuple[list[float | None], Floats]:
        """Where the beam looks, and what is told, in the middle of each frame."""
        looks, told = [], []
        for k in range(count):
            middle = self._at + k * HOP + FFT // 2
            while len(self._told) > 1 and self._told[0][0] < middle:
                self._told.popleft()
            _, look, said = self._told[0] if self._told else (0, None, np.zeros(TOLD))
            looks.append(look)
            told.append(said)
        return looks, np.stack(told).astype(np.float32)

    def _described(
        self, beam: Floats, spectra: NDArray[np.complex128], looks: list[float | None]
    ) -> Floats:
        """Four numbers a band, float (frames, 4 * BANDS)."""
        sound = spectra.astype(np.complex64)
        cells = [None if a is None else round(a / _CELL_DEG) % len(self._matched) for a in looks]
        whitened = np.einsum("tfm,fmk->tfk", sound.conj(), self._inverse, optimize=True)
        whole = np.einsum("tfk,tfk->tf", whitened, sound).real
        matched = self._matched[[cell or 0 for cell in cells]]
        there = np.abs(np.einsum("tfm,tfm->tf", matched, sound)) ** 2
        is_open = np.array([cell is None for cell in cells])
        there[is_open] = whole[is_open] / sound.shape[2]
        power = (np.abs(sound) ** 2).mean(axis=2)
        levels = [np.log(p @ self._means + _TINY) for p in (beam, power, there, whole)]
        through, at_mics, towards, around = levels
        floors = np.empty_like(through)
        floor = through[0] if self._floor is None else self._floor
        for k, level in enumerate(through):
            floor = floor + np.where(level < floor, _FALL, _RISE) * (level - floor)
            floors[k] = floor
        self._floor = np.asarray(floor, np.float32)
        found = [through, through - at_mics, towards - around, through - floors]
        return np.concatenate(found, axis=1)


class Nearness:
    """Beam, microphones and tracks in; log-odds of near speech out.

    Args:
        network: ``near`` of the manifest; its state is this object's own.
        mics: float64 (M, 3), metres, profile order.
    """

    def __init__(self, network: Network, mics: NDArray[np.float64]) -> None:
        self._network = network
        self._hearing = Hearing(mics)
        self.restart(0)

    def use(self, active: NDArray[np.bool_]) -> None:
        """Leave out dead or stuck microphones from now on."""
        self._hearing.use(active)

    def restart(self, first: int) -> None:
        """Begin at sample ``first``."""
        self._hearing.restart(first)
        self._state = np.zeros(STATE, np.float32)
        self._frames = self._block = 0
        self._odds: list[float] = []

    def push(self, beam: Pcm, mics: Pcm, tracks: Sequence[TrackFrame]) -> list[float]:
        """Take the next samples and tracks, as :meth:`Hearing.push` does.

        Returns:
            Mean log-odds of each block of 100 ms that is decided now, in order from the start
            on. A block is decided within :data:`LATENCY` blocks after it.
        """
        done = []
        for row in self._hearing.push(beam, mics, tracks):
            out = self._network.run({"x": row[None], "h": self._state})
            self._state = out["h_out"]
            decided, self._frames = self._frames - DELAY, self._frames + 1
            if decided < 0:
                continue
            if (decided * HOP + FFT // 2) // _BLOCK > self._block:
                done.append(float(np.mean(self._odds)))
                self._odds.clear()
                self._block += 1
            self._odds.append(float(out["odds"][0, 0]))
        return done

"""What the sound field says about the channels together: polarity and order.

Neighbouring microphones hear low frequencies in phase, so a channel of reversed polarity
shows in the sign of the low coherence. The order shows in two ways. Sound arrives as a few
plane waves and a diffuse rest: steered with the wrong geometry its power adds up to less,
so the geometry with two channels exchanged may not explain the field better than the one of
the profile. And what the array heard in the last minute must not look more like the present
with two channels exchanged than without. The first way needs no past but cannot see an
exchange that is a symmetry of the geometry (opposite microphones of a square); the second
can, once it has a past to compare with.
"""

import itertools
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayscribe.stream import Pcm
from bayscribe.units import SAMPLE_RATE

Coherence = NDArray[np.complex128]
"""Complex coherence, magnitudes whitened: complex128 (mics, mics, bins)."""

SPEED_OF_SOUND = 343.2
"""Metres per second in dry air at 20 °C (ISO 9613-1)."""

FFT = 512
_HOP, _FRAMES = 256, 8
SPAN = FFT + _HOP * (_FRAMES - 1)
"""Samples of an analysis frame that are looked at."""

_WINDOW_SHAPE = np.hanning(FFT)

_BAND_HZ = (500.0, 5500.0)
_LOW_HZ = 100.0
_WINDOW = 16
"""Analysis frames (of 256 ms) in a decision: 4 s."""

_LATE = 8
"""The latest frames of a window, by which the channels are named."""

_PAST_RATE = 1 / 80
"""Share of a frame in the remembered field: a memory of 20 s."""

_PAST_LEAST = 30
"""Frames that the past must have seen: 8 s, so that 12 s of sound are needed in all."""

GEOMETRY_MARGIN, WIDER_MARGIN = 0.007, 0.025
"""By which an exchange must explain the field better than the profile's order, relative, and
with more than four microphones. Of those there are more exchanges, and more that look right by
chance: 1.7 % better in one clean bay of fifty, against 3 to 60 % where they are real. The
narrower margin is enough where the past says the same."""

SURE_MARGIN = 0.075
"""The same over the latest half of a window, which is enough where it is so plain."""

PAST_MARGIN = 0.015
"""By which an exchange must resemble the past better than no exchange, as correlation."""

PAST_CLEAR = 0.005
"""By which no exchange must resemble the past better than any, to be sure of the order."""

PAST_FIT, PAST_FIT_BELOW = 0.935, 0.025
"""Correlation with the past that an exchange must reach, at least and below the best that no
exchange reached lately: what was heard comes back, mirrored, whole. Another talker on the
other side mirrors the loudest direction and not the rest."""

_FITS = 60
"""Verdicts that lately means: 15 s."""

_STEADY_OF, _STEADY, _STEADY_LEAST = 12, 11, -0.02
"""Of the latest 12 frames (3 s), how many must resemble the past more under an exchange, and
what none may fall below. Exchanged channels are so in every frame; of a talker who mirrors
another, the pauses show the bay as it was before."""

_SCENE_FRAMES, _SCENES, SCENE_FIT = 8, 450, 0.92
"""The fields of 2 s each that were heard in the last quarter of an hour of sound, and the
correlation from which the present is one of them: who is heard again is no exchange."""

_SAME = 1e-5
"""Relative difference in steered power that rounding makes between symmetric exchanges."""

_POLARITY_LEAST = 0.25
"""Low coherence, averaged over the others, that is enough to read a sign from."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """Two channels that have changed places.

    Attributes:
        first: microphone.
        second: microphone.
        instead: other exchanges that would look the same, by the symmetry of the geometry.
    """

    first: int
    second: int
    instead: tuple[tuple[int, int], ...] = ()


def coherence(pcm: Pcm, bins: NDArray[np.intp]) -> Coherence:
    """Whitened coherence of one analysis frame: int16 (>= SPAN, mics), at some bins."""
    x = np.ascontiguousarray(pcm[:SPAN].T, dtype=np.float64)
    frames = np.lib.stride_tricks.sliding_window_view(x, FFT, axis=1)[:, ::_HOP]
    spectra = np.fft.rfft(frames * _WINDOW_SHAPE, axis=2)[:, :, bins]
    spectra /= np.maximum(np.abs(spectra), 1e-9)
    by_bin = np.ascontiguousarray(spectra.transpose(2, 0, 1))
    product = by_bin @ by_bin.conj().transpose(0, 2, 1) / _FRAMES
    return np.ascontiguousarray(product.transpose(1, 2, 0))


class ChannelOrder:
    """Polarity and order of the channels of an array, from 4 s of sound at a time.

    Args:
        mics: places of the microphones in metres: float64 (mics, 3).
    """

    def __init__(self, mics: NDArray[np.float64]) -> None:
        self._mics = mics - mics.mean(axis=0)
        count = len(mics)
        self._margin = GEOMETRY_MARGIN if count <= 4 else WIDER_MARGIN
        hertz = np.arange(FFT // 2 + 1) * SAMPLE_RATE / FFT
        band = np.flatnonzero((hertz >= _BAND_HZ[0]) & (hertz <= _BAND_HZ[1]))[::2]
        apart = np.linalg.norm(mics[:, None] - mics[None], axis=2)
        nearest = np.sort(apart, axis=1)[:, 1].max() if count > 1 else 1.0
        # In phase up to a quarter of a wavelength between neighbours.
        low = np.flatnonzero(
            (hertz >= _LOW_HZ) & (hertz <= max(_LOW_HZ + 100, SPEED_OF_SOUND / (4 * nearest)))
        )
        self.bins = np.union1d(band, low)
        self._band = np.searchsorted(self.bins, band)
        self._low = np.searchsorted(self.bins, low)
        self._near = (apart <= 1.5 * nearest) & ~np.eye(count, dtype=np.bool_)
        self._pairs = list(itertools.combinations(range(count), 2))
        self._upper = np.triu_indices(count, 1)
        self._steering = self._plane_waves(hertz[band])
        self._orders = [self._exchanged(pair) for pair in (None, *self._pairs)]
        self._recent: deque[Coherence] = deque(maxlen=_WINDOW)
        self._sums: deque[NDArray[np.float64]] = deque(maxlen=_WINDOW)
        self._past: Coherence | None = None
        self._past_frames = 0
        self._fits: deque[float] = deque(maxlen=_FITS)
        self._scenes: deque[NDArray[np.float32]] = deque(maxlen=_SCENES)
        self._scene: list[Coherence] = []

    def _plane_waves(self, hertz: NDArray[np.float64]) -> NDArray[np.float32]:
        """Coherence between pairs for plane waves: float32 (pairs * bins * 2, directions).

        Real and imaginary parts alternate, so that a product with a coherence laid out in
        the same way is the real part of the sum that steered power is made of.
        """
        azimuth, slant = np.meshgrid(np.radians(np.arange(0, 360, 10)), [1.0, 0.85, 0.6, 0.3])
        x, y = (slant * np.cos(azimuth)).ravel(), (slant * np.sin(azimuth)).ravel()
        z = np.sqrt(np.maximum(0, 1 - x**2 - y**2))
        towards = np.stack([x, y, z], axis=1)
        if np.ptp(self._mics[:, 2]) > 0:
            towards = np.concatenate([towards, towards * (1, 1, -1)])
        lead = towards @ self._mics.T / SPEED_OF_SOUND
        first, second = self._upper
        delay = lead[:, first] - lead[:, second]
        waves = np.exp(2j * np.pi * hertz * delay[:, :, None]).astype(np.complex64)
        return np.ascontiguousarray(waves.reshape(len(towards), -1).view(np.float32).T)

    def _exchanged(self, pair: tuple[int, int] | None) -> NDArray[np.intp]:
        order = np.arange(len(self._mics))
        if pair is not None:
            order[list(pair)] = order[[pair[1], pair[0]]]
        return order

    def reset_window(self) -> None:
        """Forget the present: the stream has been broken. The past is kept."""
        self._recent.clear()
        self._sums.clear()

    @property
    def is_ready(self) -> bool:
        """Whether there is enough sound to judge from."""
        return len(self._recent) == _WINDOW and len(self._mics) > 2

    def push(self, frame: Coherence, polarity: NDArray[np.float64], *, learn: bool = True) -> None:
        """Take one frame's coherence.

        Args:
            frame: complex128 (mics, mics, bins).
            polarity: +1 or -1 per microphone: float64 (mics,).
            learn: whether what leaves the window now belongs to a past to be compared with.
        """
        upright = frame * polarity[:, None, None] * polarity[None, :, None]
        if learn and len(self._recent) == _WINDOW:
            self._remember(self._recent[0])
        self._recent.append(upright[:, :, self._band])
        self._sums.append(self._steered(upright[:, :, self._band]))

    def _remember(self, frame: Coherence) -> None:
        if self._past is None:
            self._past = frame.copy()
        rate = max(_PAST_RATE, 1 / (self._past_frames + 1))
        self._past += rate * (frame - self._past)
        self._past_frames += 1
        self._scene.append(frame)
        if len(self._scene) == _SCENE_FRAMES:
            row = self._laid_out(np.sum(self._scene, axis=0))[0]
            self._scenes.append(row / np.sqrt(row @ row))
            self._scene = []

    def _steered(self, frame: Coherence) -> NDArray[np.float64]:
        """Greatest steered power under no exchange and under each: float64 (1 + pairs,)."""
        powers = self._laid_out(frame) @ self._steering
        greatest: NDArray[np.float64] = powers.max(axis=1).astype(np.float64)
        return greatest

    def _laid_out(self, frame: Coherence) -> NDArray[np.float32]:
        """The pairs' coherence under no exchange and under each: float32 (1 + pairs, ...)."""
        first, second = self._upper
        rows = [frame[order[first], order[second]].ravel() for order in self._orders]
        return np.array(rows, dtype=np.complex64).view(np.float32)

    def polarity(self, frames: list[Coherence]) -> NDArray[np.float64] | None:
        """Sign of each microphone against the majority: float64 (mics,), or None if unclear."""
        low = np.mean([frame[:, :, self._low].real.mean(axis=2) for frame in frames], axis=0)
        near = np.where(self._near, low, 0.0)
        strength = np.abs(near).sum(axis=1) / np.maximum(1, self._near.sum(axis=1))
        if strength.min() < _POLARITY_LEAST:
            return None
        leading = np.linalg.eigh(near)[1][:, -1]
        signs = np.where(leading >= 0, 1.0, -1.0)
        if signs.sum() < 0 or (signs.sum() == 0 and signs[0] < 0):
            signs = -signs
        return signs

    def judge(self) -> Exchange | bool:
        """What the last 4 s say: the exchange they show, or whether the order is surely right.

        ``False`` means that neither is certain, so that whatever was known stays.
        """
        if not self.is_ready:
            return False
        gain, late = self._gain(_WINDOW), self._gain(_LATE)
        if late.max() > SURE_MARGIN or self._is_explained(gain):
            # While channels change places the window is a mixture.
            alike = [k for k in range(len(late)) if late.max() - late[k] < _SAME]
            return self._most_like(alike, self._gained(_LATE))
        if gain.max() > _SAME:
            return False
        return self._remembered(gain > -_SAME)

    def _is_explained(self, gain: NDArray[np.float64]) -> bool:
        """Whether an exchange explains the window better than chance does, (pairs,) given."""
        if gain.max() > self._margin:
            return True
        gained = self._gained(_LATE)
        alike = gained is not None and gained[int(gain.argmax())] > PAST_MARGIN
        return bool(alike and gain.max() > GEOMETRY_MARGIN)

    def _remembered(self, mirrored: NDArray[np.bool_]) -> Exchange | bool:
        """What the past says of the exchanges that the geometry cannot see: bool (pairs,)."""
        likeness, late = self._likeness(_WINDOW), self._likeness(_LATE)
        if likeness is None or late is None:
            return True
        self._fits.append(float(late[0]))
        gained = np.where(mirrored, likeness[1:] - likeness[0], -1.0)
        best = int(gained.argmax())
        if gained[best] > PAST_MARGIN:
            least = max(PAST_FIT, max(self._fits) - PAST_FIT_BELOW)
            fits = late[1 + best] > least and late[1 + best] - late[0] > PAST_MARGIN
            certain = fits and self._is_steady(best) and not self._was_heard()
            return Exchange(*self._pairs[best]) if certain else False
        return bool(gained[best] < -PAST_CLEAR)

    def _gain(self, frames: int) -> NDArray[np.float64]:
        """By exchange, how much better it explains the last frames than no exchange: (pairs,)."""
        powers = np.sum(list(self._sums)[-frames:], axis=0)
        gain: NDArray[np.float64] = powers[1:] / powers[0] - 1
        return gain

    def _likeness(self, frames: int) -> NDArray[np.float64] | None:
        """Correlation with the past under no exchange and under each: (1 + pairs,)."""
        if self._past is None or self._past_frames < _PAST_LEAST:
            return None
        now = self._laid_out(np.sum(list(self._recent)[-frames:], axis=0))
        past = self._laid_out(self._past)[0]
        alike: NDArray[np.float64] = now @ past / np.sqrt((past @ past) * (now[0] @ now[0]))
        return alike

    def _gained(self, frames: int) -> NDArray[np.float64] | None:
        """By exchange, how much more it resembles the past than no exchange: (pairs,)."""
        likeness = self._likeness(frames)
        return None if likeness is None else likeness[1:] - likeness[0]

    def _is_steady(self, pair: int) -> bool:
        """Whether the latest frames, each by itself, resemble the past more when exchanged."""
        if self._past is None:
            return False
        past = self._laid_out(self._past)[0]
        gained = []
        for frame in list(self._recent)[-_STEADY_OF:]:
            now = self._laid_out(frame)[[0, 1 + pair]] @ past
            gained.append(float(now[1] - now[0]) / self._length(frame, past))
        return sum(gain > 0 for gain in gained) >= _STEADY and min(gained) > _STEADY_LEAST

    def _was_heard(self) -> bool:
        """Whether the latest frames, as they are, sound like some that were learnt."""
        now = self._laid_out(np.sum(list(self._recent)[-_LATE:], axis=0))[0]
        fits = np.array(self._scenes) @ now / np.sqrt(now @ now)
        return bool(fits.max(initial=-1.0) > SCENE_FIT)

    def _length(self, frame: Coherence, past: NDArray[np.float32]) -> float:
        now = self._laid_out(frame)[0]
        return float(np.sqrt((past @ past) * (now @ now)))

    def _most_like(self, alike: list[int], likeness: NDArray[np.float64] | None) -> Exchange:
        if likeness is not None and len(alike) > 1:
            ranked = sorted(alike, key=lambda k: -likeness[k])
            if likeness[ranked[0]] - likeness[ranked[1]] > PAST_MARGIN:
                return Exchange(*self._pairs[ranked[0]])
        first, *others = (self._pairs[k] for k in alike)
        return Exchange(*first, instead=tuple(others))

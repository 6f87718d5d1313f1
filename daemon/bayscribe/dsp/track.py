"""Who is where: talkers followed through pauses, crossings and walks.

A hidden Markov model over azimuth cells plus "nobody": talkers stay, drift by a cell, or
hand over to another place, with places that were spoken from before more likely to
be spoken from again. Decisions are the smoothed marginals with a fixed lag.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayscribe.dsp.bearings import Weighed
from bayscribe.dsp.geometry import bearing_difference
from bayscribe.stream import Track, TrackFrame
from bayscribe.units import SampleIndex

LAG_BLOCKS = 0
"""Blocks (100 ms each) that a decision waits for what follows."""

_MOST_AT_ONCE = 3
_HEIGHT_PACE = 0.1

Evidence = NDArray[np.float32]
_Mass = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TrackingRates:
    """What is assumed of talkers, per block of 100 ms.

    Attributes:
        temperature: divides evidence, which counts overlapping windows and
            neighbouring bands as if they were independent.
        threshold: evidence above that of most directions which is as likely with a
            talker as without.
        trust: share of a network's log-odds that is believed, for the same reason.
        silence_bias: added to what a network says for nobody.
        hand_over: chance that somebody else goes on.
        fall_silent: chance that a talker stops.
        start: chance that somebody begins to talk.
        drift: chance of a step to either neighbouring cell.
        remember: weight of the place spoken from now in the memory of places.
        forget: share of a place's memory that is lost.
        same_deg: two bearings closer than this are one talker.
        linger_blocks: how long a silent talker keeps his identity.
        least_salience: below it not even the likeliest talker is stated.
        least_second: below it a second or third one is not.
    """

    temperature: float = 3.0
    threshold: float = 3.0
    trust: float = 0.5
    silence_bias: float = 0.0
    hand_over: float = 0.02
    fall_silent: float = 0.05
    start: float = 0.15
    drift: float = 0.03
    forget: float = 0.0005
    remember: float = 0.01
    same_deg: float = 22.0
    linger_blocks: int = 900
    least_salience: float = 0.01
    least_second: float = 0.15


@dataclass(slots=True)
class _Talker:
    id: int
    azimuth_deg: float
    salience: float
    heard: int
    elevation_deg: float


@dataclass(frozen=True, slots=True)
class _Waiting:
    end: SampleIndex
    forward: _Mass
    likelihood: _Mass
    elevations_deg: Evidence
    weighed: Weighed | None


class TalkerTracker:
    """Evidence per block in, tracked talkers out, LAG_BLOCKS later.

    Args:
        azimuths: float64 (A,), degrees, evenly spaced round the circle.
        rates: what is assumed of talkers.
    """

    def __init__(self, azimuths: NDArray[np.float64], rates: TrackingRates | None = None) -> None:
        self._azimuths = azimuths
        self._rates = rates or TrackingRates()
        cells = len(azimuths)
        self._forward: _Mass = np.full(cells + 1, 0.5 / cells)
        self._forward[-1] = 0.5
        self._places: _Mass = np.full(cells, 1.0 / cells)
        self._baseline = 0.0
        self._waiting: list[_Waiting] = []
        self._talkers: list[_Talker] = []
        self._next_id = 1
        self._block = 0

    def push(
        self, end: SampleIndex, evidence: Evidence, elevations_deg: Evidence | None = None
    ) -> list[tuple[TrackFrame, float]]:
        """Take in one block.

        Args:
            end: index after its last sample.
            evidence: float32 (A,), log-likelihood ratios.
            elevations_deg: float32 (A,), the height that fits best at each azimuth; 0 by default.

        Returns:
            What is now decided (nothing or one): the frame, and the chance that nobody talked.
        """
        heights = np.zeros(len(evidence), np.float32) if elevations_deg is None else elevations_deg
        return self._take(end, self._likelihood(evidence), heights)

    def push_weighed(
        self, end: SampleIndex, weighed: Weighed, elevations_deg: Evidence
    ) -> list[tuple[TrackFrame, float]]:
        """Take in one block that a network has weighed.

        Args:
            end: index after its last sample.
            weighed: its word.
            elevations_deg: float32 (A,).
        """
        rates = self._rates
        values = rates.trust * np.append(weighed.azimuths, -weighed.speech).astype(np.float64)
        values[-1] += rates.silence_bias
        return self._take(end, np.exp(values - values.max()), elevations_deg, weighed)

    def _take(
        self,
        end: SampleIndex,
        likelihood: _Mass,
        elevations_deg: Evidence,
        weighed: Weighed | None = None,
    ) -> list[tuple[TrackFrame, float]]:
        posterior = self._step(self._forward) * likelihood
        self._forward = posterior / posterior.sum()
        self._waiting.append(_Waiting(end, self._forward, likelihood, elevations_deg, weighed))
        return [self._decide()] if len(self._waiting) > LAG_BLOCKS else []

    def flush(self) -> list[tuple[TrackFrame, float]]:
        """Decide what is still waiting."""
        frames = []
        while self._waiting:
            frames.append(self._decide())
        return frames

    def _likelihood(self, evidence: Evidence) -> _Mass:
        """Likelihood of each cell and of nobody, scaled to a largest value of one."""
        centred = (evidence - np.median(evidence)).astype(np.float64)
        values = np.append(centred, self._rates.threshold) / self._rates.temperature
        scaled: _Mass = np.exp(values - values.max())
        return scaled

    def _step(self, mass: _Mass) -> _Mass:
        """Where talkers are one block later, before listening."""
        rates = self._rates
        here, nobody = mass[:-1], mass[-1]
        talking = here.sum()
        stay = 1 - rates.fall_silent - rates.hand_over
        moved = (1 - 2 * rates.drift) * here + rates.drift * (np.roll(here, 1) + np.roll(here, -1))
        begun = rates.hand_over * talking + rates.start * nobody
        onward = stay * moved + begun * self._places
        return np.append(onward, rates.fall_silent * talking + (1 - rates.start) * nobody)

    def _back(self, mass: _Mass) -> _Mass:
        """Transpose of :meth:`_step`, for smoothing."""
        rates = self._rates
        here, nobody = mass[:-1], mass[-1]
        stay = 1 - rates.fall_silent - rates.hand_over
        moved = (1 - 2 * rates.drift) * here + rates.drift * (np.roll(here, 1) + np.roll(here, -1))
        newly = float(self._places @ here)
        talking = stay * moved + rates.hand_over * newly + rates.fall_silent * nobody
        return np.append(talking, rates.start * newly + (1 - rates.start) * nobody)

    def _decide(self) -> tuple[TrackFrame, float]:
        """Smooth the oldest waiting block with those after it, and state its talkers."""
        message: _Mass = np.ones(len(self._forward))
        for later in reversed(self._waiting[1:]):
            message = self._back(message * later.likelihood)
            message /= message.max()
        own = self._waiting.pop(0)
        mass = own.forward * message
        mass /= mass.sum()
        rates = self._rates
        uniform = 1.0 / len(self._places)
        self._places += rates.forget * (mass[:-1].sum() * uniform - self._places * mass[:-1].sum())
        self._places += rates.remember * (mass[:-1] - self._places * mass[:-1].sum())
        self._block += 1
        self._associate(mass[:-1], own.elevations_deg)
        odds = (own.weighed.speech, own.weighed.overlap) if own.weighed else ()
        return TrackFrame(own.end, self._stated(), *odds), float(mass[-1])

    def _associate(self, mass: _Mass, elevations_deg: Evidence) -> None:
        """Give each peak of the marginals to the talker nearest to it, or to a new one."""
        rest = mass.copy()
        for talker in self._talkers:
            talker.salience = 0.0
        for found in range(_MOST_AT_ONCE):
            peak = int(rest.argmax())
            gap = np.abs((self._azimuths - self._azimuths[peak] + 180.0) % 360.0 - 180.0)
            near = gap <= self._rates.same_deg
            share = float(rest[near].sum())
            if share < (self._rates.least_second if found else self._rates.least_salience):
                break
            turned = np.exp(1j * np.radians(self._azimuths[near]))
            bearing = float(np.degrees(np.angle((rest[near] * turned).sum())) % 360.0)
            height = float((rest[near] * elevations_deg[near]).sum()) / share
            rest[near] = 0.0
            self._assign(bearing, share, height)

    def _assign(self, bearing: float, share: float, height: float) -> None:
        free = [t for t in self._talkers if t.salience == 0.0]
        best = min(free, key=lambda t: bearing_difference(t.azimuth_deg, bearing), default=None)
        reach = self._rates.same_deg
        if best is None or bearing_difference(best.azimuth_deg, bearing) > reach:
            best = _Talker(self._next_id, bearing, 0.0, self._block, height)
            self._next_id += 1
            self._talkers.append(best)
        best.azimuth_deg, best.salience, best.heard = bearing, share, self._block
        best.elevation_deg += _HEIGHT_PACE * share * (height - best.elevation_deg)

    def _stated(self) -> tuple[Track, ...]:
        """The talkers heard now, the most salient first; those long silent are forgotten."""
        self._talkers = [
            t for t in self._talkers if self._block - t.heard <= self._rates.linger_blocks
        ]
        now = sorted((t for t in self._talkers if t.salience > 0), key=lambda t: -t.salience)
        return tuple(Track(t.id, t.azimuth_deg, min(1.0, t.salience), t.elevation_deg) for t in now)

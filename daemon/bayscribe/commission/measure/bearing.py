"""Where something is: the bearing of a person who talks from there, by the unit's localizer."""

import numpy as np
from numpy.typing import NDArray

from bayscribe.audio.profiles import ArrayProfile
from bayscribe.commission.outcome import Live, Outcome
from bayscribe.dsp.localize import Localizer
from bayscribe.health.acoustics import ArrayWatch
from bayscribe.stream import Block, TrackFrame
from bayscribe.units import SAMPLE_RATE

LISTEN_S = 8.0
LEAST_FRAMES = 12
"""Frames of 100 ms in which somebody was heard."""

WITHIN_DEG = 25.0
LEAST_SHARE = 0.6
"""Of what was heard, weighted by salience, that must lie within WITHIN_DEG of the bearing."""

LEAST_MODULATION_DB = 8.0
"""Between the quiet and the loud tenth of 32 ms frames: speech has 20, a fan 3."""

_FRAME = 512
Floats = NDArray[np.float64]


class Bearing:
    """Listens to somebody who talks from one place.

    Args:
        profile: the array.
        place: what stands there, for the words.
    """

    def __init__(self, profile: ArrayProfile, place: str) -> None:
        self._profile = profile
        self._place = place
        self._localizer = Localizer(profile.geometry)
        self._watch = ArrayWatch(profile)
        self._heard = 0
        self._seen: list[tuple[float, float]] = []
        self._now: tuple[tuple[float, float], ...] = ()
        self._levels: list[float] = []
        self._rest = np.zeros(0)

    def push(self, block: Block) -> Outcome | None:
        """Take the next block."""
        self._watch.push(block)
        self._heard += len(block.pcm)
        self._follow_level(block)
        self._note(self._localizer.push(block.first, block.pcm))
        return self._outcome() if self._heard >= LISTEN_S * SAMPLE_RATE else None

    def _follow_level(self, block: Block) -> None:
        sound = np.concatenate([self._rest, block.pcm[:, 0].astype(np.float64)])
        whole = len(sound) - len(sound) % _FRAME
        frames = sound[:whole].reshape(-1, _FRAME)
        self._levels += [float(level) for level in 20 * np.log10(frames.std(axis=1) + 1e-3)]
        self._rest = sound[whole:]

    def _note(self, frames: list[TrackFrame]) -> None:
        for frame in frames:
            self._now = tuple((track.azimuth_deg, track.salience) for track in frame.tracks)
            if self._now:
                self._seen.append(max(self._now, key=lambda one: one[1]))

    def live(self) -> Live:
        """How far it is, and where something is heard."""
        note = f"talk from the {self._place}"
        levels = self._watch.figures().levels_db_spl
        return Live(min(1.0, self._heard / (LISTEN_S * SAMPLE_RATE)), note, levels, self._now)

    def _outcome(self) -> Outcome:
        quiet, loud = np.quantile(self._levels, [0.1, 0.9])
        if len(self._seen) < LEAST_FRAMES or loud - quiet < LEAST_MODULATION_DB:
            return Outcome(
                False,
                f"nobody was heard from the {self._place} for long enough",
                {"frames": len(self._seen), "modulation_db": round(float(loud - quiet), 1)},
                "Talk all the time, in a normal voice, facing the unit.",
            )
        azimuth = np.radians([bearing for bearing, _ in self._seen])
        weight = np.array([salience for _, salience in self._seen])
        bearing, share = _bearing(azimuth, weight)
        turns = np.histogram(np.degrees(azimuth) % 360, bins=36, range=(0, 360), weights=weight)[0]
        passed = share >= LEAST_SHARE
        words = f"the {self._place} is at {bearing:.0f} degrees"
        if not passed:
            words = f"the {self._place} was heard from all around"
        return Outcome(
            passed,
            words,
            {
                "azimuth_deg": round(bearing, 1),
                "share": round(share, 3),
                "frames": len(self._seen),
                "histogram_10deg": [round(float(value), 2) for value in turns],
            },
            "" if passed else "Let one person talk from there, and nobody else.",
        )


def _bearing(azimuth: Floats, weight: Floats) -> tuple[float, float]:
    """The bearing around which most is heard, in degrees, and the share that is."""
    apart = np.abs(np.angle(np.exp(1j * (azimuth[:, None] - azimuth[None]))))
    near = apart <= np.radians(WITHIN_DEG)
    heard = near @ weight
    inside = near[int(heard.argmax())]
    mean = (weight[inside] * np.exp(1j * azimuth[inside])).sum()
    share = float(heard.max() / max(float(weight.sum()), 1e-9))
    return float(np.degrees(np.angle(mean)) % 360), share

"""Who is in the room: anchors of known voices, voices found on the way, and their places.

Each person has a centroid of embeddings and a memory of the azimuths spoken from. A
known voice's anchor is frozen; its centroid is the anchor and what was heard since,
never further from the anchor than a fixed angle, so that it cannot become somebody else.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bayscribe.diarize.config import DiarizeConfig
from bayscribe.diarize.enrol import Voiceprint
from bayscribe.diarize.interpreter import Floats

CELLS = 72
"""Azimuth cells of 5 degrees."""

LOG = logging.getLogger("bayscribe.diarize")

Places = NDArray[np.float64]


@dataclass(slots=True)
class Person:
    """One voice.

    Attributes:
        label: enrolled, or ``unknown-N``.
        anchor: float32 (192,), the enrolled voice, or None.
        heard: float64 (192,), sum of the embeddings that were given to this person.
        weight: how many embeddings that is.
        places: float64 (CELLS,), how much speech came from where; it fades.
        last: frame in which this person was last heard.
    """

    label: str
    anchor: Floats | None
    heard: NDArray[np.float64]
    weight: float = 0.0
    places: Places = field(default_factory=lambda: np.zeros(CELLS))
    last: int = 0


class People:
    """The persons of one recording.

    Args:
        voices: known voices.
        config: thresholds.
    """

    def __init__(self, voices: Sequence[Voiceprint], config: DiarizeConfig) -> None:
        self._config = config
        self._named = 0
        self.known = len(voices)
        self.persons = [Person(v.label, v.anchor, np.zeros(len(v.anchor))) for v in voices]

    def __len__(self) -> int:
        return len(self.persons)

    def centroid(self, person: Person) -> Floats:
        """The adapted voice, float32 (192,), of length one."""
        mean = person.heard
        if person.anchor is not None:
            mean = self._config.anchor_weight * person.anchor + person.heard
        unit = mean / max(float(np.linalg.norm(mean)), 1e-9)
        if person.anchor is not None:
            unit = _within(unit, person.anchor, self._config.widest_drift_deg)
        result: Floats = unit.astype(np.float32)
        return result

    def likeness(self, embeddings: Floats) -> NDArray[np.float64]:
        """Cosines (n, persons) of embeddings float32 (n, 192) to every person."""
        if not self.persons:
            return np.zeros((len(embeddings), 0))
        centroids = np.stack([self.centroid(person) for person in self.persons])
        cosines: NDArray[np.float64] = (embeddings @ centroids.T).astype(np.float64)
        return cosines

    def place_ratio(self, seen: Places) -> NDArray[np.float64]:
        """Log-likelihood ratio (n, persons) of places against anywhere.

        Args:
            seen: float64 (n, CELLS): share of the frame's speech per cell; rows may be zero.
        """
        ratios = np.zeros((len(seen), len(self.persons)))
        mass = seen.sum(axis=1)
        for k, person in enumerate(self.persons):
            total = person.places.sum()
            trust = total / (total + self._config.place_prior_frames)
            density = CELLS * _smoothed(person.places) / max(total, 1e-9)
            mixed = (1 - trust) + trust * np.maximum(density, self._config.least_place)
            ratios[:, k] = np.where(mass > 0, seen @ np.log(mixed), 0.0)
        return ratios

    def learn(
        self, person: Person, embeddings: Floats, weights: NDArray[np.float64], seen: Places
    ) -> None:
        """Let a decided turn into a person's voice and places."""
        person.places *= self._config.place_keep ** len(seen)
        person.places += seen.sum(axis=0)
        if not len(embeddings):
            return
        person.heard += weights @ embeddings.astype(np.float64)
        person.weight += float(weights.sum())
        most = self._config.memory_windows
        if person.weight > most:
            person.heard *= most / person.weight
            person.weight = most

    def add(self, embedding: NDArray[np.float64], frame: int) -> Person | None:
        """A new unknown person, or None when there are as many as may be."""
        unknown = len(self.persons) - self.known
        if unknown >= self._config.most_unknown:
            LOG.debug("no further person", extra={"frame": frame, "limit": unknown})
            return None
        self._named += 1
        person = Person(f"unknown-{self._named}", None, np.array(embedding, np.float64))
        person.weight, person.last = 1.0, frame
        self.persons.append(person)
        LOG.debug("new person", extra={"label": person.label, "frame": frame})
        return person


def _within(unit: NDArray[np.float64], anchor: Floats, widest_deg: float) -> NDArray[np.float64]:
    """The direction nearest to ``unit`` that is within an angle of the anchor."""
    cosine = float(unit @ anchor)
    if cosine >= np.cos(np.radians(widest_deg)):
        return unit
    across = unit - cosine * anchor
    across /= max(float(np.linalg.norm(across)), 1e-9)
    angle = np.radians(widest_deg)
    turned: NDArray[np.float64] = np.cos(angle) * anchor + np.sin(angle) * across
    return turned


def _smoothed(places: Places) -> Places:
    """Places blurred by about 10 degrees: tracks are not exact and people sway."""
    kernel = np.exp(-0.5 * (np.arange(-6, 7) * 360.0 / CELLS / 10.0) ** 2)
    kernel /= kernel.sum()
    return np.asarray(
        sum(w * np.roll(places, shift) for w, shift in zip(kernel, range(-6, 7), strict=True))
    )

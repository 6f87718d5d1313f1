"""Who is in the room: anchors of known voices, voices found on the way, and their places.

All windows of the last minutes are clustered anew every second or so: Ward's
clusters of voice and place together, beside the known voices, start an
expectation-maximisation over a mixture on the sphere whose talkers persist from window to
window (cf. F. Landini et al., "Bayesian HMM clustering of x-vector sequences (VBx)", Computer
Speech & Language 71, 2022) and speak from places. A known voice's anchor is frozen; what
was heard moves it by a bounded angle only, so that it cannot become somebody else. Clusters
take over the identity of the person who owned most of their windows before.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bayscribe.diarize.config import DiarizeConfig
from bayscribe.diarize.enrol import Voiceprint
from bayscribe.diarize.interpreter import Floats
from bayscribe.diarize.mixture import CELLS, Mixture, Places, Values, unit

LOG = logging.getLogger("bayscribe.diarize")

_NOBODY = -1
_MEAN_PRIOR = 10.0


@dataclass(slots=True)
class Person:
    """One voice.

    Attributes:
        label: enrolled, or ``unknown-N``.
        anchor: float32 (192,), the enrolled voice, or None.
        heard: float64 (192,), sum of embeddings older than what is clustered anew.
        weight: how many embeddings that is.
        stayed: float64 (CELLS,), the places of those windows.
        voice: float64 (192,), centred unit vector: the voice as it is known now.
        places: float64 (CELLS,), density of places against anywhere.
    """

    label: str
    anchor: Floats | None
    heard: Values
    weight: float = 0.0
    stayed: Places = field(default_factory=lambda: np.zeros(CELLS))
    voice: Values = field(default_factory=lambda: np.zeros(0))
    places: Places = field(default_factory=lambda: np.ones(CELLS))


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
        self._windows: list[Floats] = []
        self._places: list[Places] = []
        self._owner: list[int] = []
        self._sum: Values | None = None
        self._count = 0
        self._centre()

    def __len__(self) -> int:
        return len(self.persons)

    @property
    def mean(self) -> Values:
        """What all embeddings here have in common: the room and its noise."""
        if self._sum is None:
            return np.zeros(1)
        return np.asarray(self._sum / (self._count + _MEAN_PRIOR))

    def likeness(self, embeddings: Floats) -> Values:
        """Cosines (n, persons) of embeddings float32 (n, 192) to every person."""
        if not self.persons:
            return np.zeros((len(embeddings), 0))
        voices = np.stack([person.voice for person in self.persons])
        return np.asarray(unit(embeddings - self.mean) @ voices.T)

    def place_ratio(self, seen: Places) -> Values:
        """Log-likelihood ratio (n, persons) of places (n, CELLS) against anywhere."""
        if not self.persons:
            return np.zeros((len(seen), 0))
        return np.asarray(seen @ np.log(np.stack([p.places for p in self.persons])).T)

    def hear(self, embedding: Floats, places: Places) -> None:
        """Take in a window of speech, float32 (192,), and where it came from, (CELLS,)."""
        self._sum = embedding.astype(np.float64) + (0.0 if self._sum is None else self._sum)
        self._count += 1
        self._windows.append(embedding)
        self._places.append(places)
        self._owner.append(_NOBODY)
        if len(self._windows) > self._config.memory_windows:
            self._retire()

    def _retire(self) -> None:
        """Sum up the oldest window with its owner, and forget it."""
        embedding = self._windows.pop(0)
        places = self._places.pop(0)
        owner = self._owner.pop(0)
        if owner == _NOBODY:
            return
        person = self.persons[owner]
        person.heard += embedding
        person.weight += 1
        person.stayed += places

    def recluster(self, at: int) -> None:
        """Cluster what was heard, anew; ``at`` is the sample, for the log."""
        self._centre()
        if len(self._windows) < max(self._config.least_windows, 2):
            return
        mixture = Mixture(self._config, unit(np.stack(self._windows) - self.mean))
        seeds = [person.voice for person in self.persons[: self.known]]
        weights = [self._config.anchor_weight + p.weight for p in self.persons[: self.known]]
        places = np.stack(self._places)
        mixture.start(np.array(seeds), np.array(weights), places)
        mixture.fit(places)
        self._identify(mixture, at)

    def _centre(self) -> None:
        """Every person's long-term voice against the mean of all, drift bounded."""
        for person in self.persons:
            if person.anchor is not None:
                anchor = unit(person.anchor - self.mean)
                total = self._config.anchor_weight * anchor + (
                    person.heard - person.weight * self.mean
                )
                person.voice = within(unit(total), anchor, self._config.widest_drift_deg)

    def _identify(self, mixture: Mixture, at: int) -> None:
        """Give each cluster to a person, by the windows that both own, or to a new one."""
        from scipy.optimize import linear_sum_assignment  # late: as in the mixture

        owners = np.array(self._owner)
        shares = mixture.shares
        hard = shares.argmax(axis=1)
        who = dict(enumerate(range(self.known)))
        free = list(range(self.known, shares.shape[1]))
        older = list(range(self.known, len(self.persons)))
        common = np.array([[((hard == c) & (owners == p)).sum() for p in older] for c in free])
        if common.size:
            for row, column in zip(*linear_sum_assignment(-common), strict=True):
                if common[row, column] > 0:
                    who[free[row]] = older[column]
        for cluster in free:
            if cluster not in who:
                found = self._found(mixture.voices[cluster], set(who.values()), at)
                if found is not None:
                    who[cluster] = found
        self._owner = [who.get(int(cluster), _NOBODY) for cluster in hard]
        for cluster, number in who.items():
            person = self.persons[number]
            person.voice, person.places = mixture.voices[cluster], mixture.places[cluster]
            if person.anchor is not None:
                anchor = unit(person.anchor - self.mean)
                person.voice = within(person.voice, anchor, self._config.widest_drift_deg)
        self._fade(set(who.values()), at)

    def _found(self, voice: Values, taken: set[int], at: int) -> int | None:
        """Somebody from before the clustered minutes, or a new person if there is room."""
        unknown = range(self.known, len(self.persons))
        for number in unknown:
            person = self.persons[number]
            known_before = number not in taken and person.weight > 0
            if known_before and voice @ person.voice > self._config.merge_cosine:
                return number
        gone = [k for k in unknown if k not in taken and not self.persons[k].voice.any()]
        if not gone and len(unknown) >= self._config.most_unknown:
            LOG.debug("no further person", extra={"at": at})
            return None
        self._named += 1
        person = Person(f"unknown-{self._named}", None, np.zeros(len(voice)), voice=voice)
        LOG.debug("new person", extra={"at": at, "label": person.label})
        if gone:
            self.persons[gone[0]] = person
            return gone[0]
        self.persons.append(person)
        return len(self.persons) - 1

    def _fade(self, present: set[int], at: int) -> None:
        """Unknown persons whose windows all went to others are not candidates any more."""
        for number in range(self.known, len(self.persons)):
            person = self.persons[number]
            if number not in present and person.weight == 0 and person.voice.any():
                LOG.debug("person merged", extra={"at": at, "label": person.label})
                person.voice = np.zeros_like(person.voice)
                person.places = np.ones(CELLS)

    def candidates(self) -> NDArray[np.bool_]:
        """(persons,): whether each may be who speaks now."""
        return np.array([person.voice.any() for person in self.persons], np.bool_)


def within(voice: Values, anchor: Values, widest_deg: float) -> Values:
    """The unit vector nearest to ``voice`` that is within an angle of the anchor."""
    cosine = float(voice @ anchor)
    angle = np.radians(widest_deg)
    if cosine >= np.cos(angle):
        return voice
    across = voice - cosine * anchor
    length = float(np.linalg.norm(across))
    if length < 1e-9:
        return anchor
    return np.asarray(np.cos(angle) * anchor + np.sin(angle) * across / length)

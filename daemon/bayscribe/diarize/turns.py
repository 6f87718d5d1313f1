"""Speaker turns: who speaks when, joint in voice and place, a second and a half behind.

Every 100 ms the likeliest sequence of talkers since the last emitted turn is decoded
anew with what is known by now. A turn that ends :data:`AHEAD` frames before the beam's
end is final: it is emitted, and teaches the person's voice and places.
"""

import logging
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bayscribe.diarize.config import DiarizeConfig
from bayscribe.diarize.decode import PAUSE, decode, transitions
from bayscribe.diarize.enrol import Voiceprint
from bayscribe.diarize.evidence import FRAME, Evidence
from bayscribe.diarize.people import CELLS, People, Person, Places
from bayscribe.diarize.speech import VoiceActivity
from bayscribe.diarize.voice import VoiceEncoder
from bayscribe.stream import Analysis, Pcm, TrackFrame, Turn
from bayscribe.units import SAMPLE_RATE, SampleIndex

AHEAD = 7
"""Frames of the beam behind a turn's end that its decision waits for."""

ROLE_AFTER_S = 10.0
"""Talk time from which the one who talks most counts as the one who leads."""

LOG = logging.getLogger("bayscribe.diarize")

Scores = NDArray[np.float64]


class SpeakerTurns:
    """Beam, microphones and tracks in; voice activity and speaker turns out.

    Args:
        activity: voice activity, for this recording alone.
        encoder: of voices.
        voices: known voices.
        primary: label of the primary clinician; without one, who talks most leads.
        config: thresholds.
    """

    def __init__(
        self,
        activity: VoiceActivity,
        encoder: VoiceEncoder,
        voices: Sequence[Voiceprint],
        primary: str | None,
        config: DiarizeConfig | None = None,
    ) -> None:
        self._config = config or DiarizeConfig()
        self._evidence = Evidence(activity, encoder)
        self.people = People(voices, self._config)
        self._primary = primary
        self._talked: dict[str, int] = {}
        self._next_id = 1
        self._begun = False
        self._done = 0
        self._before: int | None = None
        self._looked = 0

    def push(
        self,
        first: SampleIndex,
        beam: Pcm,
        mics: Pcm,  # noqa: ARG002 - part of the stage's contract; voices are judged on the beam
        tracks: Sequence[TrackFrame],
    ) -> Analysis:
        """Take beam int16 (n,) and microphones int16 (n, mics) from ``first`` on."""
        turns: list[Turn] = []
        if not self._begun or first != self._evidence.end:
            turns += self._close()
            self._restart(first)
        speech = self._evidence.push(first, beam, tracks)
        while self._looked < self._evidence.frames:
            self._looked += 1
            turns += self._decide(self._looked, AHEAD)
        return Analysis(tuple(speech), tuple(turns))

    def flush(self) -> Analysis:
        """What is left when the audio ends, or before a jump in it."""
        turns = self._close()
        self._begun = False
        return Analysis((), tuple(turns))

    def _restart(self, first: SampleIndex) -> None:
        self._evidence.restart(first)
        self._begun = True
        self._done = self._looked = 0
        self._before = None

    def _close(self) -> list[Turn]:
        return self._decide(self._looked, 0) if self._begun else []

    def _decide(self, until: int, ahead: int) -> list[Turn]:
        """Decode frames up to ``until`` and emit the turns that are final."""
        turns: list[Turn] = []
        while self._done < until - ahead:
            scores = self._scores(self._done, until)
            path = decode(scores, transitions(scores.shape[1] - 1, self._config), self._before)
            length = _run(path)
            longest = int(self._config.longest_turn_s * SAMPLE_RATE / FRAME)
            if length > until - ahead - self._done:
                if path[0] == PAUSE:
                    length = until - ahead - self._done
                elif ahead and until - ahead - self._done < longest:
                    break
                else:
                    length = min(length, until - ahead - self._done)
            length = min(length, longest)
            turns += self._commit(scores[:length], int(path[0]))
        return turns

    def _scores(self, begin: int, end: int) -> Scores:
        """Log-likelihood ratios (frames, 1 + persons + 1) against the pause."""
        config, evidence = self._config, self._evidence
        odds = evidence.activity(begin, end)
        speech = config.speech_bias + odds @ np.array([config.speech_vad, config.speech_track])
        numbers = evidence.window_of(begin, end)
        unique, back = np.unique(numbers, return_inverse=True)
        likeness = self.people.likeness(evidence.embeddings(unique))[back]
        voice = config.voice_gain * (likeness - config.stranger_cosine)
        place = config.place_gain * self.people.place_ratio(evidence.places(begin, end))
        nothing = np.zeros((end - begin, 1))
        return np.concatenate([nothing, speech[:, None] + voice + place, speech[:, None]], axis=1)

    def _commit(self, scores: Scores, state: int) -> list[Turn]:
        """Emit the frames from the last emitted one on as one turn, and learn from it."""
        begin, end = self._done, self._done + len(scores)
        self._done, self._before = end, state
        self._evidence.forget_before(begin)
        if state == PAUSE:
            return []
        inner = np.unique(self._evidence.window_of(begin + 3, max(end - 3, begin + 4)))
        heard = self._evidence.embeddings(inner)
        person, confidence = self._whose(scores, state, heard, begin)
        if person is None:
            self._before = PAUSE
            return []
        self._before = 1 + self.people.persons.index(person)
        seen = self._evidence.places(begin, end)
        person.last = end
        if confidence >= self._config.least_learn:
            self.people.learn(person, heard, np.ones(len(heard)), seen)
        self._talked[person.label] = self._talked.get(person.label, 0) + end - begin
        return [self._turn(begin, end, person, confidence, _azimuth(seen))]

    def _whose(
        self, scores: Scores, state: int, heard: NDArray[np.float32], begin: int
    ) -> tuple[Person | None, float]:
        """Person and confidence of a decided stretch."""
        totals = scores[:, 1:].sum(axis=0)
        stranger = len(totals) - 1
        if state - 1 == stranger:
            long_enough = len(scores) * FRAME >= self._config.least_new_s * SAMPLE_RATE
            person = None
            if long_enough and len(heard):
                person = self.people.add(heard.mean(axis=0).astype(np.float64), begin)
            if person is not None:
                return person, self._config.least_learn
            if not stranger:
                return None, 0.0
            state = 1 + int(totals[:-1].argmax())
        rest = np.delete(totals, state - 1)
        margin = float(totals[state - 1] - rest.max())
        confidence = 1 / (1 + np.exp(-np.clip(0.5 * margin, -20, 20)))
        return self.people.persons[state - 1], float(confidence)

    def _turn(
        self, begin: int, end: int, person: Person, confidence: float, azimuth: float | None
    ) -> Turn:
        turn = Turn(
            id=self._next_id,
            start=SampleIndex(self._evidence.origin + begin * FRAME),
            end=SampleIndex(self._evidence.origin + end * FRAME),
            label=person.label,
            primary=person.label == self._leader(),
            confidence=confidence,
            azimuth_deg=azimuth,
            emitted_at=SampleIndex(self._evidence.end),
        )
        self._next_id += 1
        return turn

    def _leader(self) -> str | None:
        """Label of the primary clinician: named, or who has talked most by now."""
        if self._primary is not None:
            return self._primary
        if not self._talked:
            return None
        label = max(self._talked, key=lambda each: self._talked[each])
        return label if self._talked[label] * FRAME >= ROLE_AFTER_S * SAMPLE_RATE else None


def _run(path: NDArray[np.int64]) -> int:
    """How many frames the first state lasts."""
    changes = np.flatnonzero(path != path[0])
    return int(changes[0]) if len(changes) else len(path)


def _azimuth(seen: Places) -> float | None:
    """Where most of the speech came from, in degrees."""
    total = seen.sum(axis=0)
    if total.sum() <= 0:
        return None
    peak = int(total.argmax())
    near = np.arange(peak - 4, peak + 5) % CELLS
    turned = np.exp(2j * np.pi * near / CELLS)
    return float(np.degrees(np.angle((total[near] * turned).sum())) % 360.0)

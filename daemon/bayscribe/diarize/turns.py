"""Speaker turns: who speaks when, joint in voice and place, a second and a half behind.

Every 100 ms the likeliest sequence of talkers since the last emitted turn is decoded
anew with what is known by now. A turn that ends :data:`AHEAD` frames before the beam's
end is final and is emitted. When the voices are clustered anew, turns of the last
seconds whose talker turns out to be somebody else are revised.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bayscribe.diarize.config import DiarizeConfig
from bayscribe.diarize.decode import PAUSE, decode, transitions
from bayscribe.diarize.enrol import Voiceprint
from bayscribe.diarize.evidence import FRAME, Evidence
from bayscribe.diarize.mixture import CELLS, Places, Values
from bayscribe.diarize.nearness import Nearness
from bayscribe.diarize.people import People
from bayscribe.diarize.speech import VoiceActivity
from bayscribe.diarize.voice import VoiceEncoder
from bayscribe.stream import Analysis, Pcm, TrackFrame, Turn
from bayscribe.units import SAMPLE_RATE, SampleIndex

AHEAD = 3
"""Frames of the beam behind a turn's end that its decision waits for."""

ROLE_AFTER_S = 10.0
"""Talk time from which the one who talks most counts as the one who leads."""

CONFIDENCE = (0.83, 1.37)
"""Log-odds of a turn's label at no margin over the next likely person, and their rise with the
mean margin of a frame: a logistic regression over 1,414 turns of 18 bays (docs/diarization.md)."""

WAIT_S = 3.0
"""How long speech waits for the first voice to be found when no voice is known."""

LOG = logging.getLogger("bayscribe.diarize")


class SpeakerTurns:
    """Beam, microphones and tracks in; voice activity and speaker turns out.

    Args:
        activity: voice activity, for this recording alone.
        encoder: of voices.
        voices: known voices.
        primary: label of the primary clinician; without one, who talks most leads.
        config: thresholds.
        nearness: whether somebody near speaks; without it, a linear fusion says so.
    """

    def __init__(
        self,
        activity: VoiceActivity,
        encoder: VoiceEncoder,
        voices: Sequence[Voiceprint],
        primary: str | None,
        config: DiarizeConfig | None = None,
        nearness: Nearness | None = None,
    ) -> None:
        self._config = config or DiarizeConfig()
        self._evidence = Evidence(activity, encoder, nearness)
        self.people = People(voices, self._config)
        self._primary = primary
        if primary is None:
            LOG.info("no primary voice is named: who talks most is taken to lead")
        self._talked: dict[str, int] = {}
        self._recent: list[Turn] = []
        self._next_id = 1
        self._begun = False
        self._done = 0
        self._before: int | None = None
        self._unheard = 0.0

    def push(
        self,
        first: SampleIndex,
        beam: Pcm,
        mics: Pcm,
        tracks: Sequence[TrackFrame],
    ) -> Analysis:
        """Take beam int16 (n,) and microphones int16 (n, mics) from ``first`` on."""
        turns: list[Turn] = []
        if not self._begun or first != self._evidence.end:
            turns += self._close()
            self._restart(first)
        speech = self._evidence.push(first, beam, mics, tracks)
        while self._evidence.pending:
            self._hear(self._evidence.advance())
            turns += self._recluster()
            turns += self._decide(self._evidence.frames, AHEAD)
        return Analysis(tuple(speech), tuple(turns))

    def use(self, active: NDArray[np.bool_]) -> None:
        """Leave out dead or stuck microphones, bool (mics,), from now on."""
        self._evidence.use(active)

    def flush(self) -> Analysis:
        """What is left when the audio ends, or before a jump in it."""
        turns = self._close()
        self._begun = False
        return Analysis((), tuple(turns))

    def _restart(self, first: SampleIndex) -> None:
        self._evidence.restart(first)
        self._begun = True
        self._done = 0
        self._before = None
        self._recent.clear()

    def _close(self) -> list[Turn]:
        return self._decide(self._evidence.frames, 0) if self._begun else []

    def _hear(self, windows: list[int]) -> None:
        """Remember the voice of each new window in which somebody speaks."""
        for number in windows:
            frame = self._evidence.frame_of(number)
            around = (max(frame - 2, 0), min(frame + 3, self._evidence.frames))
            chance = 1 / (1 + np.exp(-self._speech(*around).mean()))
            if chance >= self._config.least_speech:
                embedding = self._evidence.embeddings(np.array([number]))[0]
                self.people.hear(embedding, self._evidence.places(*around).mean(axis=0))
                self._unheard += 0.25

    def _recluster(self) -> list[Turn]:
        if self._unheard < self._config.recluster_s:
            return []
        self._unheard = 0.0
        self.people.recluster(self._evidence.origin + self._evidence.frames * FRAME)
        return self._revise()

    def _decide(self, until: int, ahead: int) -> list[Turn]:
        """Decode frames up to ``until`` and emit the turns that are final."""
        turns: list[Turn] = []
        longest = int(self._config.longest_turn_s * SAMPLE_RATE / FRAME)
        while self._done < until - ahead:
            final = until - ahead - self._done
            if ahead and not len(self.people) and final * FRAME < WAIT_S * SAMPLE_RATE:
                break
            scores = self._scores(self._done, until)
            path = decode(scores, transitions(scores.shape[1] - 1, self._config), self._before)
            length = _run(path)
            if length > final:
                if path[0] != PAUSE and ahead and final < longest:
                    break
                length = final
            turns += self._commit(scores[: min(length, longest)], int(path[0]))
        return turns

    def _speech(self, begin: int, end: int) -> Values:
        """Log-odds of speech (frames,): the network's, or a linear fusion's without one."""
        config = self._config
        near = self._evidence.near(begin, end)
        if near is not None:
            return near + config.near_bias
        weights = np.array([config.speech_level, config.speech_vad, config.speech_track])
        return np.asarray(config.speech_bias + self._evidence.features(begin, end) @ weights)

    def _scores(self, begin: int, end: int) -> Values:
        """Log-likelihood ratios (frames, 1 + persons) against the pause.

        Voices and places decide between persons, not whether anybody speaks: their
        windows are longer than pauses.
        """
        config, evidence = self._config, self._evidence
        speech = config.speech_gain * self._speech(begin, end)
        numbers, back = np.unique(evidence.window_of(begin, end), return_inverse=True)
        voice = config.voice_gain * self.people.likeness(evidence.embeddings(numbers))[back]
        place = config.place_gain * self.people.place_ratio(evidence.places(begin, end))
        who = voice + place
        who[:, ~self.people.candidates()] = -1e3
        scores = speech[:, None] + who - who.max(axis=1, keepdims=True, initial=-1e3)
        return np.concatenate([np.zeros((end - begin, 1)), scores], axis=1)

    def _commit(self, scores: Values, state: int) -> list[Turn]:
        """Emit the frames from the last emitted one on as one turn."""
        begin, end = self._done, self._done + len(scores)
        self._done, self._before = end, state
        if state == PAUSE:
            return []
        person = self.people.persons[state - 1]
        self._talked[person.label] = self._talked.get(person.label, 0) + end - begin
        turn = Turn(
            id=self._number(),
            start=SampleIndex(self._evidence.origin + begin * FRAME),
            end=SampleIndex(self._evidence.origin + end * FRAME),
            label=person.label,
            primary=person.label == self._leader(),
            confidence=_confidence(scores, state),
            azimuth_deg=_azimuth(self._evidence.places(begin, end)),
            emitted_at=SampleIndex(self._evidence.end),
        )
        self._recent.append(turn)
        return [turn]

    def _revise(self) -> list[Turn]:
        """Turns of the last seconds that, by what is known now, are somebody else's."""
        now = self._evidence.origin + self._evidence.frames * FRAME
        oldest = now - self._config.revise_s * SAMPLE_RATE
        self._recent = [turn for turn in self._recent if turn.start >= oldest]
        if not self._recent:
            return []
        origin, revised = self._evidence.origin, list[Turn]()
        begin = (int(self._recent[0].start) - origin) // FRAME
        scores = self._scores(begin, self._evidence.frames)
        path = decode(scores, transitions(scores.shape[1] - 1, self._config), None)
        labels = [person.label for person in self.people.persons]
        for k, turn in enumerate(self._recent):
            span = [(int(at) - origin) // FRAME for at in (turn.start, turn.end)]
            spoken = path[span[0] - begin : span[1] - begin]
            counts = np.bincount(spoken, minlength=len(labels) + 1)[1:]
            best = int(counts.argmax())
            if labels[best] == turn.label or counts[best] < self._config.revise_share * len(spoken):
                continue
            self._talked[turn.label] -= span[1] - span[0]
            self._talked[labels[best]] = self._talked.get(labels[best], 0) + span[1] - span[0]
            self._recent[k] = replace(
                turn,
                id=self._number(),
                label=labels[best],
                primary=labels[best] == self._leader(),
                confidence=_confidence(scores[span[0] - begin : span[1] - begin], best + 1),
                emitted_at=SampleIndex(self._evidence.end),
                revises=turn.id,
            )
            LOG.debug("turn revised", extra={"turn": turn.id, "label": labels[best]})
            revised.append(self._recent[k])
        return revised

    def _number(self) -> int:
        self._next_id += 1
        return self._next_id - 1

    def _leader(self) -> str | None:
        """Label of the primary clinician: named, or who has talked most by now."""
        if self._primary is not None or not self._talked:
            return self._primary
        label = max(self._talked, key=lambda each: self._talked[each])
        return label if self._talked[label] * FRAME >= ROLE_AFTER_S * SAMPLE_RATE else None


def _confidence(scores: Values, state: int) -> float:
    """Chance that ``state`` is right among the persons, (frames, 1 + persons) given."""
    mean = scores[:, 1:].mean(axis=0)
    rest = np.delete(mean, state - 1)
    margin = mean[state - 1] - (rest.max() if len(rest) else 0.0)
    level, slope = CONFIDENCE
    return float(1 / (1 + np.exp(-level - slope * np.clip(margin, -3.0, 4.0))))


def _run(path: NDArray[np.int64]) -> int:
    """How many frames the first state lasts."""
    changes = np.flatnonzero(path != path[0])
    return int(changes[0]) if len(changes) else len(path)


def _azimuth(seen: Places) -> float | None:
    """Where most of the speech came from, in degrees."""
    total = seen.sum(axis=0)
    if total.sum() <= 0:
        return None
    near = np.arange(int(total.argmax()) - 4, int(total.argmax()) + 5) % CELLS
    turned = np.exp(2j * np.pi * near / CELLS)
    return float(np.degrees(np.angle((total[near] * turned).sum())) % 360.0)

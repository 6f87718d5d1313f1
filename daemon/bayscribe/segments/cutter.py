"""Cutting the beam into segments at pauses, at most ten seconds each.

Where a segment ends depends on sample indices alone: on the audio's position and on the
voice activity of the audio itself, never on when either arrived. So a recording is cut at
the same samples whether it came through ALSA or from a file, and in whatever pieces.
"""

from collections import deque
from dataclasses import dataclass

import numpy as np

from bayscribe.stream import (
    Analysis,
    CutSegment,
    Fault,
    Gap,
    Pcm,
    SpeechFrame,
    Steering,
    Turn,
)
from bayscribe.units import SAMPLE_RATE, SampleIndex

LONGEST = 10 * SAMPLE_RATE
"""Samples. A power cut loses at most the segment that is open."""

LONGEST_TALK = 3 * SAMPLE_RATE
"""Samples of a segment in which somebody speaks: its words are on the clinician's page
seconds after they were said, and a turn is told about a second behind its end. What the
last twentieth of words waits for, docs/transcript.md says; recognition does not suffer, as
the relay hears a segment together with what came before it."""

SHORTEST = 2 * SAMPLE_RATE
"""Samples. Shorter ones cost more in headers and flash blocks than they save."""

PAUSE = SAMPLE_RATE * 3 // 10
"""Samples of silence that make a pause: longer than the stops inside a word."""

DECISION_LAG = SAMPLE_RATE // 5
"""Samples by which voice activity may lag behind the beam; a cut is decided this late.

Fixed, so that a cut does not depend on how far the analysis happened to be.
"""

SPEECH_PROBABILITY = 0.35
"""Below it a frame counts as silence; low, since cutting into a word costs more than
waiting for the next pause."""


@dataclass(frozen=True, slots=True)
class CutRules:
    """The cutter's constants, in samples, for tests that want them small."""

    longest: int = LONGEST
    talk: int = LONGEST_TALK
    shortest: int = SHORTEST
    pause: int = PAUSE
    lag: int = DECISION_LAG
    speech: float = SPEECH_PROBABILITY


class SegmentCutter:
    """Collects beam audio and everything known about it, and cuts it into segments.

    Notes (gaps, faults, steering, turns, voice activity) may be given at any time; each
    goes into the segment that holds its sample, or into the open one if that is gone.
    """

    def __init__(self, rules: CutRules | None = None) -> None:
        self._rules = rules or CutRules()
        self._pieces: deque[Pcm] = deque()
        self._first: int | None = None
        self._end = 0
        self._spoke = False
        self._silent_since: int | None = None
        self._walked: list[SpeechFrame] = []
        self._speech: deque[SpeechFrame] = deque()
        self._gaps: list[Gap] = []
        self._faults: list[Fault] = []
        self._turns: list[Turn] = []
        self._steering: list[Steering] = []
        self._weights: dict[bytes, bytes] = {}
        self._told: set[bytes] = set()

    def note_gap(self, gap: Gap) -> None:
        """Samples are missing (their place holds zeros, or the stream jumps)."""
        self._gaps.append(gap)

    def note_fault(self, fault: Fault) -> None:
        """A fault was found or has gone."""
        self._faults.append(fault)

    def note_steering(self, steering: Steering, weights: bytes) -> None:
        """The beam's weights change; ``weights`` is the set's record."""
        self._steering.append(steering)
        if steering.weights_sha256 not in self._told:
            self._told.add(steering.weights_sha256)
            self._weights[steering.weights_sha256] = weights

    def note_analysis(self, analysis: Analysis) -> None:
        """Voice activity and speaker turns."""
        self._speech.extend(analysis.speech)
        self._turns.extend(analysis.turns)

    def push(self, first: SampleIndex, pcm: Pcm) -> list[CutSegment]:
        """Take the next samples of the beam; segments that end in what is decided.

        Args:
            first: index of the first sample; the end of the last push, unless
                :meth:`flush` lies between them.
            pcm: int16 (n,).
        """
        if len(pcm) == 0:
            return []
        if self._first is None:
            self._first = int(first)
        self._pieces.append(pcm)
        self._end = int(first) + len(pcm)
        return self._decide(self._end - self._rules.lag)

    def flush(self) -> list[CutSegment]:
        """Close everything: the recording is over or the stream jumps."""
        if self._first is None:
            return []
        segments = self._decide(self._end)
        if self._pieces and len(self._pieces[0]):
            segments.append(self._cut(self._end))
        self._first = None
        self._pieces.clear()
        self._forget_walk()
        self._speech.clear()
        return segments

    def _decide(self, until: int) -> list[CutSegment]:
        """Walk the voice activity up to ``until`` and cut where the rules say."""
        segments: list[CutSegment] = []
        while self._first is not None:
            longest = self._rules.longest
            limit = self._first + (min(longest, self._rules.talk) if self._spoke else longest)
            if self._speech and self._speech[0].end <= min(until, limit):
                frame = self._speech.popleft()
                if frame.end > self._first and self._pauses_at(frame):
                    segments.append(self._cut(frame.end))
            elif until >= limit:
                segments.append(self._cut(self._least_likely_speech(limit)))
            else:
                break
        return segments

    def _pauses_at(self, frame: SpeechFrame) -> bool:
        """Take in a frame of the open segment; whether the segment should end with it.

        A stretch in which nobody spoke is not cut at all until it is ten seconds long,
        unless a turn waits in it.
        """
        assert self._first is not None  # noqa: S101 - the caller's loop condition
        begin = self._walked[-1].end if self._walked else self._first
        self._walked.append(frame)
        if frame.probability >= self._rules.speech:
            self._spoke, self._silent_since = True, None
        elif self._silent_since is None:
            self._silent_since = begin
        waits = any(turn.emitted_at < frame.end for turn in self._turns)
        return (
            (self._spoke or waits)
            and self._silent_since is not None
            and frame.end - self._silent_since >= self._rules.pause
            and frame.end - self._first >= self._rules.shortest
        )

    def _least_likely_speech(self, limit: int) -> int:
        """Where to cut when nobody paused: the least likely speech of the last two fifths."""
        assert self._first is not None  # noqa: S101 - the caller's loop condition
        since = limit - (limit - self._first) * 2 // 5
        late = [frame for frame in self._walked if frame.end > since]
        return min(late, key=lambda frame: frame.probability).end if late else limit

    def _cut(self, end: int) -> CutSegment:
        assert self._first is not None  # noqa: S101 - only an open segment is cut
        first, self._first = self._first, end
        pcm = np.concatenate(list(self._pieces))
        self._pieces = deque([pcm[end - first :]])
        segment = CutSegment(
            first=SampleIndex(first),
            pcm=pcm[: end - first].copy(),
            gaps=tuple(gap for gap in self._gaps if gap.first < end),
            faults=tuple(fault for fault in self._faults if fault.at < end),
            steering=self._steering_for(first, end),
            turns=tuple(self._turns),
            weights=self._weights,
        )
        self._gaps = [gap for gap in self._gaps if gap.first >= end]
        self._faults = [fault for fault in self._faults if fault.at >= end]
        self._turns, self._weights = [], {}
        self._speech.extendleft(reversed([frame for frame in self._walked if frame.end > end]))
        self._forget_walk()
        return segment

    def _forget_walk(self) -> None:
        self._spoke, self._silent_since, self._walked = False, None, []

    def _steering_for(self, first: int, end: int) -> tuple[Steering, ...]:
        """Changes before ``end``, beginning with the set in force at ``first``."""
        before = [mark for mark in self._steering if mark.at <= first]
        inside = [mark for mark in self._steering if first < mark.at < end]
        self._steering = [mark for mark in self._steering if mark.at >= end]
        in_force = [*before[-1:], *inside]
        self._steering[:0] = in_force[-1:]
        return tuple(in_force)

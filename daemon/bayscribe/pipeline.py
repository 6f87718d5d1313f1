"""The line of stages that turns microphones into beam, turns and segments.

::

    quanta ─▶ channel check ─▶ localize ─▶ steer ─▶ beam ─▶ speech and speaker ─▶ cut
      (gaps become zeros or a jump)           (from the beam on, LOOKAHEAD behind)

It has no thread, no clock and no input or output: it runs live in the daemon, offline
in ``bayscribe process`` and in tests, and gives the same bits in all three however its
input is chunked. Every stage is driven by sample index, and the line as a whole
advances in quanta of :data:`QUANTUM` frames.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bayscribe.audio.channel_check import ChannelCheck
from bayscribe.dsp.adaptive import LOOKAHEAD, BeamSteerer
from bayscribe.dsp.beam import FixedPointBeam
from bayscribe.dsp.localize import Localizer
from bayscribe.segments.cutter import SegmentCutter
from bayscribe.stream import (
    Analysis,
    Block,
    CutSegment,
    Fault,
    FaultCode,
    Gap,
    Pcm,
    SpeechFrame,
    Steering,
    TrackFrame,
    Turn,
)
from bayscribe.units import SAMPLE_RATE, SampleIndex

QUANTUM = 1600
"""Frames by which the line advances: 100 ms, the rate at which tracks are stated."""

LONGEST_FILLED_GAP = SAMPLE_RATE
"""Frames. A longer gap closes the segment and jumps instead of being filled with zeros."""

StageTimer = Callable[[str], AbstractContextManager[None]]
"""Wraps the work of a stage, so that a shell may measure it; the line has no clock."""


@dataclass(slots=True)
class Output:
    """What one push gives.

    Attributes:
        beam: int16 (n,), new samples of the beam, in order.
        tracks: new track frames.
        turns: new speaker turns and revisions.
        segments: segments that were closed.
        speech: new frames of voice activity.
    """

    beam: list[Pcm] = field(default_factory=list)
    tracks: list[TrackFrame] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)
    segments: list[CutSegment] = field(default_factory=list)
    speech: list[SpeechFrame] = field(default_factory=list)


@dataclass(slots=True)
class Counters:
    """What the line has done since it was made."""

    frames: int = 0
    quanta: int = 0
    gaps: int = 0
    gap_frames: int = 0
    shed_quanta: int = 0
    ducked_quanta: int = 0
    jumps: int = 0


class SpeechStage(Protocol):
    """Beam, microphones and tracks in; voice activity and speaker turns out."""

    def push(
        self, first: SampleIndex, beam: Pcm, mics: Pcm, tracks: Sequence[TrackFrame]
    ) -> Analysis:
        """Take beam int16 (n,) and microphones int16 (n, mics) from ``first`` on."""
        ...

    def use(self, active: NDArray[np.bool_]) -> None:
        """Leave out dead or stuck microphones, bool (mics,), from now on."""
        ...

    def flush(self) -> Analysis:
        """What is left when the audio ends, or before a jump in it."""
        ...


@dataclass(frozen=True, slots=True)
class Stages:
    """The stages of one recording, as the shell has made them."""

    check: ChannelCheck
    localizer: Localizer
    steerer: BeamSteerer
    speech: SpeechStage
    cutter: SegmentCutter


class Pipeline:
    """Runs the stages of one recording, from its first sample to its last.

    Args:
        stages: new stages.
        mics: how many microphones a block has.
        timer: wraps each stage's work under its name.
    """

    def __init__(self, stages: Stages, mics: int, timer: StageTimer | None = None) -> None:
        self.counters = Counters()
        self._stages = stages
        self._timer = timer or (lambda _name: nullcontext())
        self._pending = np.zeros((0, mics), np.int16)
        self._next: SampleIndex | None = None
        self._window = _Window(mics)
        self._beam = FixedPointBeam(stages.steerer.initial)
        self._active = np.ones(mics, np.bool_)
        self._speech_seen: tuple[SpeechFrame, ...] = ()
        self._shed = False
        self._ducked = False
        self._duck_left = 0

    @property
    def faults(self) -> tuple[tuple[FaultCode, int | None], ...]:
        """Faults of microphones that are raised now."""
        return self._stages.check.faults

    def push(self, block: Block, *, shed: bool = False, ducked: bool = False) -> Output:
        """Take the next block; ``shed`` skips analysis for the quanta that it completes.

        ``ducked`` says that the unit itself was sounding in this block: every quantum with
        any of it, and the beam that is made of it later, is recorded and not analysed.

        A block that begins behind the last one's end stands behind a gap: a short one is
        filled with zeros, a long one ends the segment and jumps.

        Raises:
            ValueError: the block begins before the last one's end.
        """
        output = Output()
        self._shed = shed
        if self._next is None:
            self._start(block.first)
        if ducked:
            # The beam comes out LOOKAHEAD and half its filter behind; a quantum covers that.
            self._duck_left = int(block.end) + LOOKAHEAD + QUANTUM
        missing = block.first - self._expected
        if missing < 0:
            raise ValueError(f"block at {block.first} overlaps what came before")
        if missing > LONGEST_FILLED_GAP:
            self._jump(block.first, output)
        elif missing:
            self._take(np.zeros((missing, block.pcm.shape[1]), np.int16), output)
        self._take(block.pcm, output)
        return output

    def gap(self, gap: Gap) -> None:
        """Note a gap; the samples behind it arrive with :meth:`push`."""
        self.counters.gaps += 1
        self.counters.gap_frames += gap.samples
        self._stages.cutter.note_gap(gap)

    def fault(self, fault: Fault) -> None:
        """Note a fault of the array, or that one has gone."""
        self._stages.cutter.note_fault(fault)

    def flush(self) -> Output:
        """Take everything to its end: the recording is over."""
        output = Output()
        if self._next is not None:
            self._drain(output)
            output.segments += self._stages.cutter.flush()
        return output

    @property
    def _expected(self) -> int:
        assert self._next is not None  # noqa: S101 - set before any use
        return self._next + len(self._pending)

    def _start(self, first: SampleIndex) -> None:
        self._next = first
        self._window.restart(first)
        self._beam.restart(first)
        weights = self._beam.newest_weights
        self._stages.cutter.note_steering(Steering(first, weights.sha256), weights.record)

    def _jump(self, to: SampleIndex, output: Output) -> None:
        self.counters.jumps += 1
        self._drain(output)
        output.segments += self._stages.cutter.flush()
        self._start(to)

    def _take(self, pcm: Pcm, output: Output) -> None:
        assert self._next is not None  # noqa: S101 - set before any use
        self.counters.frames += len(pcm)
        self._pending = np.concatenate([self._pending, pcm])
        while len(self._pending) >= QUANTUM:
            quantum, self._pending = self._pending[:QUANTUM], self._pending[QUANTUM:]
            first, self._next = self._next, SampleIndex(self._next + QUANTUM)
            self._advance(first, quantum, output)

    def _advance(self, first: SampleIndex, quantum: Pcm, output: Output) -> None:
        self.counters.quanta += 1
        self._duck(first)
        if not self._ducked:
            with self._timer("check"):
                self._check(Block(first, quantum))
        frames: list[TrackFrame] = []
        if self._ducked:
            self.counters.ducked_quanta += 1
        elif self._shed:
            self.counters.shed_quanta += 1
        else:
            with self._timer("localize"):
                frames = self._stages.localizer.push(first, quantum)
        self._window.push(quantum)
        self._steer(frames)
        self._beamform(self._window.until(SampleIndex(first + QUANTUM - LOOKAHEAD)), frames, output)

    def _duck(self, first: SampleIndex) -> None:
        """Whether the quantum from ``first`` on is ducked; both edges go into the segment."""
        ducked = first < self._duck_left
        if ducked != self._ducked:
            self._ducked = ducked
            mark = Fault(first, FaultCode.PROMPT, None, cleared=not ducked)
            self._stages.cutter.note_fault(mark)

    def _check(self, block: Block) -> None:
        """Look for faults of channels, and leave microphones out that have one."""
        for fault in self._stages.check.push(block):
            self._stages.cutter.note_fault(fault)
        active = np.zeros_like(self._active)
        active[list(self._stages.check.healthy_channels)] = True
        if not np.array_equal(active, self._active):
            self._active = active
            self._stages.localizer.use(active)
            self._stages.steerer.use(active.tolist())
            self._stages.speech.use(active)

    def _steer(self, frames: list[TrackFrame]) -> None:
        with self._timer("steer"):
            for at, weights in self._stages.steerer.push(frames, self._speech_seen):
                begins = self._beam.steer(weights, max(at, self._beam.next_output))
                if begins is not None:
                    mark = Steering(begins, weights.sha256)
                    self._stages.cutter.note_steering(mark, weights.record)
        self._speech_seen = ()

    def _beamform(self, mics: Pcm, frames: list[TrackFrame], output: Output) -> None:
        first = self._beam.next_output
        with self._timer("beam"):
            pcm = self._beam.push(mics)
        self._behind_beam(first, pcm, frames, output)

    def _behind_beam(
        self, first: SampleIndex, pcm: Pcm, frames: list[TrackFrame], output: Output
    ) -> None:
        output.tracks += frames
        output.beam.append(pcm)
        mics = self._window.between(first, len(pcm))
        if not self._shed and not self._ducked:
            with self._timer("speech"):
                analysis = self._stages.speech.push(first, pcm, mics, frames)
            self._analysed(analysis, output)
        with self._timer("cut"):
            output.segments += self._stages.cutter.push(first, pcm)

    def _analysed(self, analysis: Analysis, output: Output) -> None:
        """Stamp turns with the microphones' position: that is when they were emitted."""
        assert self._next is not None  # noqa: S101 - set before any use
        turns = tuple(replace(turn, emitted_at=self._next) for turn in analysis.turns)
        self._speech_seen += analysis.speech
        output.speech += analysis.speech
        output.turns += turns
        self._stages.cutter.note_analysis(Analysis(analysis.speech, turns))

    def _drain(self, output: Output) -> None:
        """Bring every sample that was taken through localization and beam."""
        assert self._next is not None  # noqa: S101 - set before any use
        rest, self._pending = self._pending, self._pending[:0]
        self._window.push(rest)
        frames = []
        if not self._shed and not self._ducked:
            if len(rest):
                frames += self._stages.localizer.push(self._next, rest)
            frames += self._stages.localizer.flush()
        self._next = SampleIndex(self._next + len(rest))
        self._steer(frames)
        self._beamform(self._window.until(self._next), frames, output)
        first = self._beam.next_output
        self._behind_beam(first, self._beam.flush(), [], output)
        self._analysed(self._stages.speech.flush(), output)


class _Window:
    """The microphones' frames between the beam's output and the newest input."""

    def __init__(self, mics: int) -> None:
        self._frames = np.zeros((0, mics), np.int16)
        self._first = 0
        self._given = 0

    def restart(self, first: SampleIndex) -> None:
        self._frames = self._frames[:0]
        self._first = self._given = int(first)

    def push(self, frames: Pcm) -> None:
        self._frames = np.concatenate([self._frames, frames])

    def until(self, end: SampleIndex) -> Pcm:
        """Frames not given before, up to ``end``."""
        begin, self._given = self._given, max(self._given, int(end))
        return self._frames[begin - self._first : self._given - self._first]

    def between(self, first: SampleIndex, count: int) -> Pcm:
        """The ``count`` frames from ``first`` on; what lies before them is forgotten."""
        skip = int(first) - self._first
        self._frames = self._frames[skip:]
        self._first = int(first)
        return self._frames[:count]

"""What flows between the stages of the appliance.

One direction: ``capture -> frontend -> localize -> beamform -> diarize -> segment``.
All of it is driven by sample index; a stage keeps whatever does not fill its own
frame and gives the same results however the input is chunked.
"""

from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from bayscribe.units import SampleIndex

Pcm = NDArray[np.int16]
"""int16; (frames, mics) for microphones in profile order, (frames,) for a beam."""


class GapReason(StrEnum):
    """Why samples are missing from the stream."""

    OVERRUN = "overrun"
    UNPLUGGED = "unplugged"
    SHORT_READ = "short-read"
    MUTED = "muted"
    CLOCK = "clock"
    STORAGE = "storage"


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive frames of all microphones.

    Attributes:
        first: index of the first frame.
        pcm: int16 (frames, mics), profile order, full scale 32768.
        monotonic_ns: CLOCK_MONOTONIC at which the first frame was captured, or 0 offline.
        playback: whether the array's own playback reference carried sound meanwhile.
    """

    first: SampleIndex
    pcm: Pcm
    monotonic_ns: int = 0
    playback: bool = False

    @property
    def end(self) -> SampleIndex:
        """Index of the frame after the last one."""
        return SampleIndex(self.first + len(self.pcm))


@dataclass(frozen=True, slots=True)
class Gap:
    """Samples that the array produced and nobody got.

    Attributes:
        first: index of the first missing frame.
        samples: how many are missing, from the hardware clock.
        reason: why.
    """

    first: SampleIndex
    samples: int
    reason: GapReason


class FaultCode(StrEnum):
    """What can be wrong with a microphone channel."""

    DEAD = "dead"
    STUCK = "stuck"
    SWAPPED = "swapped"
    INVERTED = "inverted"
    CLIPPED = "clipped"
    DC = "dc"
    CLOCK_DRIFT = "clock-drift"
    PROMPT = "prompt"
    """No fault of a microphone: from here on, until it is cleared, the unit itself was
    sounding a prompt, so nobody's speech was looked for."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of the array, found at a sample.

    Attributes:
        at: where it was decided.
        code: what it is.
        channel: microphone index in profile order, or None for the whole array.
        cleared: True when this record says that the fault has gone.
        detail: a short figure for the operator, for instance ``-7 dBFS DC``.
    """

    at: SampleIndex
    code: FaultCode
    channel: int | None
    cleared: bool = False
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Track:
    """One tracked talker at one instant.

    Attributes:
        id: identity of the track, kept through pauses.
        azimuth_deg: ``atan2(y, x)`` in the profile's coordinates, 0 to 360.
        salience: 0..1, how certain it is that somebody speaks there now.
        elevation_deg: angle out of the array's plane, 0 to 90; which side is not told.
    """

    id: int
    azimuth_deg: float
    salience: float
    elevation_deg: float = 0.0


@dataclass(frozen=True, slots=True)
class TrackFrame:
    """All tracked talkers over the 100 ms that end at sample ``at``.

    Attributes:
        speech: log-odds that anybody near speaks, by what the microphones say together; None
            where they are too few to say.
        overlap: log-odds that two do; likewise.
    """

    at: SampleIndex
    tracks: tuple[Track, ...]
    speech: float | None = None
    overlap: float | None = None


@dataclass(frozen=True, slots=True)
class SpeechFrame:
    """Voice activity up to sample ``end``: probability of speech, 0..1."""

    end: SampleIndex
    probability: float


@dataclass(frozen=True, slots=True)
class Turn:
    """One speaker turn.

    Attributes:
        id: number of the turn in this stream, in order of emission.
        start: first sample.
        end: sample after the last.
        label: an enrolled label, or ``unknown-N`` in order of appearance.
        primary: whether this is the primary clinician.
        confidence: 0..1 that the label is right.
        azimuth_deg: where it came from, or None.
        emitted_at: sample index of the stream when the turn was emitted.
        revises: id of the turn that this one replaces, or None.
    """

    id: int
    start: SampleIndex
    end: SampleIndex
    label: str
    primary: bool
    confidence: float
    azimuth_deg: float | None
    emitted_at: SampleIndex
    revises: int | None = None


@dataclass(frozen=True, slots=True)
class Analysis:
    """What the speech and speaker stage says about one push."""

    speech: tuple[SpeechFrame, ...] = ()
    turns: tuple[Turn, ...] = ()


@dataclass(frozen=True, slots=True)
class Steering:
    """From sample ``at`` on, the beam was made with the weight set ``weights_sha256``."""

    at: SampleIndex
    weights_sha256: bytes


@dataclass(frozen=True, slots=True)
class CutSegment:
    """A finished stretch of beam audio, not yet hashed into the chain or sealed.

    Attributes:
        first: index of the first sample.
        pcm: int16 (samples,), 16 kHz, the fixed-point beam; gaps are zeros.
        gaps: gaps inside this segment, and directly before it when ``first`` jumps.
        faults: faults found or cleared in it.
        steering: weight changes in force in it; the first one is at or before ``first``.
        turns: turns emitted while it was open.
        monotonic_ns: CLOCK_MONOTONIC of the first sample, 0 offline.
        wall_ns: CLOCK_REALTIME of the first sample, 0 offline.
        clock_synchronised: what the system said of its clock at that time.
    """

    first: SampleIndex
    pcm: Pcm
    gaps: tuple[Gap, ...] = ()
    faults: tuple[Fault, ...] = ()
    steering: tuple[Steering, ...] = ()
    turns: tuple[Turn, ...] = ()
    monotonic_ns: int = 0
    wall_ns: int = 0
    clock_synchronised: bool = False
    weights: dict[bytes, bytes] = field(default_factory=dict)
    """Weight sets first used in this segment, by SHA-256: their ``WeightSet.record``."""

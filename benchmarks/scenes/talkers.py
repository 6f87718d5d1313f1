"""The talkers at the bed: levels, masks, movement, and their images at the microphones."""

from dataclasses import dataclass, field

import numpy as np
from scipy.signal import firwin2, oaconvolve

from benchmarks.scenes.levels import SAMPLE_RATE, Signal, amplitude, rms
from benchmarks.scenes.room import Array, Point, Room
from benchmarks.scenes.timeline import Turn

USUAL_DB_SPL: dict[str, float] = {
    "clinician": 69.6,
    "nurse": 68.8,
    "therapist": 69.0,
    "patient": 67.0,
    "visitor": 68.6,
}
"""Level at 1 m in a 70 dB bed: between a raised and a loud voice (ISO 9921: 66 and 72 dB(A))."""

LOMBARD_SLOPE = 0.1
"""dB of voice per dB of bed; the ED's talkers raise their voice in a 60 dB bed already."""

STEP_S = 0.25
FADE = 800
"""Samples of crossfade between two places of a walk."""

WALK_STEPS = 10


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a turn spoken from one place.

    Attributes:
        first: scene sample.
        end: scene sample after the last, crossfade included.
        place: name of the impulse response.
        fade: samples of crossfade at inner edges.
    """

    first: int
    end: int
    place: str
    fade: int


@dataclass(slots=True)
class SpokenTurn:
    """A turn with everything the truth file says of it.

    Attributes:
        id: index in the scene.
        turn: what is said when.
        level: dB SPL at 1 m while active, before a mask.
        n95: whether through a respirator.
        segments: places.
        dry: float64 (frames,), at 1 m, in digital units.
        walking: whether the talker moves during it.
    """

    id: int
    turn: Turn
    level: float
    n95: bool
    segments: list[Segment]
    dry: Signal
    walking: bool


@dataclass(slots=True)
class Stage:
    """Names and places of everybody who speaks in the bay.

    Attributes:
        places: impulse-response name to mouth.
        home: role to the name of its first place.
    """

    places: dict[str, Point]
    home: dict[str, str] = field(default_factory=dict)


def respirator() -> Signal:
    """What an N95 does to a voice: 6 dB off at 3 kHz, 9 dB at 8 kHz.

    Linear phase, 65 taps; after the measurements of Corey, Jones and Singer, "Acoustic
    effects of medical, cloth, and transparent face masks on speech signals", JASA 148, 2020.
    """
    corners = np.array([0.0, 1000.0, 2000.0, 3000.0, 4500.0, 8000.0]) / 8000.0
    gains = 10.0 ** (np.array([0.0, -0.5, -3.0, -6.0, -8.0, -9.0]) / 20.0)
    taps: Signal = firwin2(65, corners, gains)
    return taps


def _walk(turn: Turn, start: str, goal: str, turn_id: int, stage: Stage) -> list[Segment]:
    """Segments of a turn during which the talker walks from one place to another."""
    hop = int(STEP_S * SAMPLE_RATE)
    segments: list[Segment] = []
    for step, first in enumerate(range(turn.first, turn.end, hop)):
        name = goal
        if step < WALK_STEPS:
            name = f"walk{turn_id}_{step}"
            share = (step + 0.5) / WALK_STEPS
            stage.places[name] = (1 - share) * stage.places[start] + share * stage.places[goal]
        segments.append(Segment(first, min(turn.end, first + hop + FADE), name, FADE))
    if len(segments) > 1 and segments[-1].end - segments[-1].first <= FADE:
        # Too short a rest to crossfade into: the last place lasts to the end.
        rest = segments.pop()
        last = segments[-1]
        segments[-1] = Segment(last.first, rest.end, last.place, FADE)
    return segments


def walking_turns(turns: list[Turn]) -> list[int]:
    """The clinician's longest turn in the first half and the longest in the second."""
    own = [i for i, t in enumerate(turns) if t.role == "clinician"]
    half = turns[-1].end // 2
    parts = ([i for i in own if turns[i].end < half], [i for i in own if turns[i].end >= half])
    return [max(part, key=lambda i: len(turns[i].audio)) for part in parts if part]


def direct(
    turns: list[Turn],
    stage: Stage,
    bed_level: float,
    offset: float,
    walk: bool,
    n95: bool,
    rng: np.random.Generator,
) -> list[SpokenTurn]:
    """Gives each turn its level, mask and places.

    Args:
        turns: what is said when.
        stage: places; those of walks are added to it.
        bed_level: dB SPL, for the Lombard effect.
        offset: dB by which everybody talks louder than usual.
        walk: whether the clinician goes to the second place and comes back.
        n95: whether clinical staff put respirators on half-way.
        rng: level differences between turns.
    """
    moves = walking_turns(turns) if walk else []
    mask, half = respirator(), turns[-1].end // 2
    now = dict(stage.home)
    spoken: list[SpokenTurn] = []
    for i, turn in enumerate(turns):
        level = USUAL_DB_SPL[turn.role] + offset + LOMBARD_SLOPE * (bed_level - 70.0)
        level += float(rng.normal(0.0, 0.8))
        masked = n95 and turn.first > half and turn.role not in {"patient", "visitor"}
        active = np.concatenate(
            [turn.audio[a - turn.first : b - turn.first] for a, b in turn.active]
        )
        dry: Signal = turn.audio * (amplitude(level) / rms(active))
        if masked:
            dry = oaconvolve(dry, mask, mode="same")
        segments = [Segment(turn.first, turn.end, now[turn.role], 0)]
        if i in moves:
            goal = "clinB" if now["clinician"] == "clinA" else "clinA"
            segments = _walk(turn, now["clinician"], goal, i, stage)
            now["clinician"] = goal
        spoken.append(SpokenTurn(i, turn, level, masked, segments, dry, i in moves))
    return spoken


def faded(spoken: SpokenTurn, segment: Segment) -> Signal:
    """The dry samples of one segment with the crossfades at its inner edges."""
    first, end = spoken.turn.first, spoken.turn.end
    x: Signal = spoken.dry[segment.first - first : segment.end - first].copy()
    if segment.fade:
        window = np.sin(np.linspace(0.0, np.pi / 2.0, segment.fade)) ** 2
        if segment.first > first:
            x[: segment.fade] *= window
        if segment.end < end:
            x[-segment.fade :] *= window[::-1]
    return x


def turn_image(spoken: SpokenTurn, responses: dict[str, Signal], samples: int) -> Signal:
    """A turn as the microphones hear it, float64 (samples, mics)."""
    mics = len(next(iter(responses.values())))
    out: Signal = np.zeros((samples, mics))
    for segment in spoken.segments:
        x = faded(spoken, segment)
        wet = np.stack([oaconvolve(x, h) for h in responses[segment.place]], axis=1)
        end = min(samples, segment.first + len(wet))
        out[segment.first : end] += wet[: end - segment.first]
    return out


def azimuths(spoken: SpokenTurn, stage: Stage, array: Array) -> list[list[float]]:
    """Where the talker is: rows of start s, end s, azimuth and elevation in degrees."""
    rows: list[list[float]] = []
    for i, segment in enumerate(spoken.segments):
        last = i == len(spoken.segments) - 1
        end = segment.end if last else spoken.segments[i + 1].first
        azimuth, elevation = array.direction(stage.places[segment.place])
        times = (segment.first / SAMPLE_RATE, end / SAMPLE_RATE)
        rows.append([*times, round(azimuth, 3), round(elevation, 3)])
    return rows


def responses_of(stage: Stage, bay: Room, array: Array) -> dict[str, Signal]:
    """Impulse responses of every place, each float64 (mics, taps)."""
    return {name: bay.responses(point, array.mics) for name, point in stage.places.items()}

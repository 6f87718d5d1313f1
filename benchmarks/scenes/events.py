"""What happens on top of the bed: alarms, an overhead page, a tube arrival, a cart."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.signal import butter, sosfilt

from benchmarks.scenes.alarms import MELODIES, alarm
from benchmarks.scenes.levels import SAMPLE_RATE, Signal, amplitude, rms
from benchmarks.scenes.noise import ARRAY_IN_DEPARTMENT, image
from benchmarks.scenes.room import DEPARTMENT, Array, Room
from benchmarks.scenes.voices import VOICES, Speech

EventType = Literal["alarm_high", "alarm_med", "page", "tube", "cart"]
EVENT_TYPES: tuple[EventType, ...] = ("alarm_high", "alarm_med", "page", "tube", "cart")

LEVELS: dict[EventType, float] = {
    "alarm_high": 63.5,
    "alarm_med": 63.5,
    "page": 66.0,
    "tube": 72.5,
    "cart": 69.5,
}
"""dB SPL at the array while the event sounds."""

PAGES = (
    "Respiratory therapy to the resuscitation room, please.",
    "Transport to radiology, transport to radiology.",
    "Would the owner of a silver van please come to the front desk.",
)
"""Overhead announcements."""

_PLACES = {
    "alarm_high": (3.15, 0.5, 1.45),
    "alarm_med": (3.15, 0.5, 1.45),
    "tube": (3.35, 4.1, 1.4),
    "cart": (1.9, 4.35, 0.6),
}


@dataclass(frozen=True, slots=True)
class Event:
    """One event.

    Attributes:
        type: what it is.
        start: seconds into the scene.
        end: seconds.
        level: dB SPL at the array while it sounds.
        info: melody or words.
    """

    type: EventType
    start: float
    end: float
    level: float
    info: str


def _tube(rng: np.random.Generator) -> Signal:
    n = int(3.4 * SAMPLE_RATE)
    t = np.arange(n) / SAMPLE_RATE
    rush = sosfilt(
        butter(2, (300.0, 3000.0), "band", fs=SAMPLE_RATE, output="sos"), rng.standard_normal(n)
    )
    swell = np.clip(t / 2.0, 0.0, 1.0) ** 2 * (t < 2.1)
    thump = np.where(t > 2.1, np.exp(-np.maximum(t - 2.1, 0.0) / 0.12), 0.0)
    knock = np.sin(2 * np.pi * 95.0 * t) + 0.4 * rng.standard_normal(n)
    sound: Signal = rush * swell + 2.0 * thump * knock
    return sound


def _cart(rng: np.random.Generator) -> Signal:
    n = int(6.5 * SAMPLE_RATE)
    t = np.arange(n) / SAMPLE_RATE
    band = butter(2, (150.0, 5000.0), "band", fs=SAMPLE_RATE, output="sos")
    pass_by = np.exp(-(((t - 3.2) / 1.8) ** 2))
    rattle = np.zeros(n)
    for at in rng.uniform(0.0, 6.3, 110):
        first = int(at * SAMPLE_RATE)
        m = min(n - first, int(0.06 * SAMPLE_RATE))
        ring = np.sin(2 * np.pi * rng.uniform(900.0, 3800.0) * t[:m]) * np.exp(-t[:m] / 0.012)
        rattle[first : first + m] += rng.uniform(0.3, 1.5) * ring
    rolling = sosfilt(band, rng.standard_normal(n))
    sound: Signal = pass_by * (rolling + 1.5 * rattle)
    return sound


def _page(text: str, speech: Speech) -> Signal:
    t = np.arange(int(0.7 * SAMPLE_RATE)) / SAMPLE_RATE
    chime = 0.05 * np.exp(-t / 0.3) * np.sin(2 * np.pi * 660.0 * t)
    said = np.concatenate([chime, speech.say(VOICES["slt"], text)])
    horn: Signal = sosfilt(butter(2, (400.0, 3600.0), "band", fs=SAMPLE_RATE, output="sos"), said)
    return horn


def _sound(
    kind: EventType, longest_s: float, speech: Speech, rng: np.random.Generator
) -> tuple[Signal, str]:
    if kind == "tube":
        return _tube(rng), ""
    if kind == "cart":
        return _cart(rng), ""
    if kind == "page":
        text = PAGES[int(rng.integers(len(PAGES)))]
        return _page(text, speech), text
    melody = sorted(MELODIES)[int(rng.integers(len(MELODIES)))]
    seconds = min(float(rng.uniform(18.0, 26.0)), longest_s)
    return alarm(melody, "high" if kind == "alarm_high" else "medium", seconds), melody


def add_events(
    kinds: tuple[EventType, ...],
    array: Array,
    bay: Room,
    samples: int,
    speech: Speech,
    rng: np.random.Generator,
) -> tuple[Signal, list[Event]]:
    """Events one after another over the scene.

    Args:
        kinds: which, in order; each gets an equal share of the scene to happen in.
        array: the microphones.
        bay: the room of alarms, tube and cart; a page sounds in the department.
        samples: length of the scene.
        speech: the engine room.
        rng: times, melodies, words.

    Returns:
        Their sum, float64 (samples, mics), and what they were.
    """
    total: Signal = np.zeros((samples, len(array.mics)))
    done: list[Event] = []
    slot = samples / SAMPLE_RATE / max(1, len(kinds))
    for i, kind in enumerate(kinds):
        sound, info = _sound(kind, slot - 2.0, speech, rng)
        length = len(sound) / SAMPLE_RATE
        start = i * slot + float(rng.uniform(0.5, max(0.6, slot - length - 0.5)))
        first = int(start * SAMPLE_RATE)
        dry = np.zeros(samples)
        dry[first : first + len(sound)] = sound[: samples - first]
        heard = _heard(kind, dry, array, bay, samples)
        end = min(samples, first + len(sound))
        gain = amplitude(LEVELS[kind]) / rms(heard[first:end])
        total += heard * gain
        times = (round(start, 2), round(end / SAMPLE_RATE, 2))
        done.append(Event(kind, *times, LEVELS[kind], info))
    return total, done


def _heard(kind: EventType, dry: Signal, array: Array, bay: Room, samples: int) -> Signal:
    if kind != "page":
        return image(dry, bay.responses(np.array(_PLACES[kind]), array.mics), samples)
    hall = Room(DEPARTMENT, 0.8)
    mics = array.mics + ARRAY_IN_DEPARTMENT
    speakers = (np.array([3.0, 5.5, 2.85]), np.array([10.5, 5.5, 2.85]))
    responses = [hall.responses(s, mics) for s in speakers]
    taps = min(r.shape[1] for r in responses)
    return image(dry, responses[0][:, :taps] + responses[1][:, :taps], samples)

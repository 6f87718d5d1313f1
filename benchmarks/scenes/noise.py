"""The noise bed: many far talkers, air conditioning, a ventilator, microphone noise."""

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, oaconvolve, sosfilt

from benchmarks.scenes.levels import SAMPLE_RATE, Signal, at_level, rms
from benchmarks.scenes.room import DEPARTMENT, SPEED_OF_SOUND, Array, Point, Room
from benchmarks.scenes.timeline import load_sentences
from benchmarks.scenes.voices import VOICES, Speech, Voice

ARRAY_IN_DEPARTMENT = np.array([6.2, 4.9, 0.0])
"""Where the bay's origin lies on the department's floor."""

RELATIVE_DB = {"babble": 0.0, "hvac": -6.0, "ventilator": -11.0}
"""Parts of the bed against the babble."""

SELF_NOISE_DB_SPL = 30.0
"""Equivalent input noise of a MEMS microphone with 64 dB SNR."""

_PLANE_WAVES = 32


def image(dry: Signal, responses: Signal, samples: int) -> Signal:
    """A source as the microphones hear it.

    Args:
        dry: float64 (frames,), begins with the scene.
        responses: float64 (mics, taps).
        samples: length of the scene.

    Returns:
        float64 (samples, mics).
    """
    out = np.stack([oaconvolve(dry, h)[:samples] for h in responses], axis=1)
    padded: Signal = np.zeros((samples, len(responses)))
    padded[: len(out)] = out
    return padded


def _far_place(rng: np.random.Generator, centre: Point) -> Point:
    while True:
        place = rng.uniform((0.6, 0.6, 1.1), (DEPARTMENT[0] - 0.6, DEPARTMENT[1] - 0.6, 1.75))
        distance = float(np.linalg.norm(place - centre))
        if 3.0 <= distance <= 8.0:
            return np.asarray(place, dtype=np.float64)


def babble(
    array: Array,
    samples: int,
    talkers: int,
    speech: Speech,
    rng: np.random.Generator,
    absent: set[str],
) -> Signal:
    """Voices of people 3 to 8 m away in the department, well outside the critical distance.

    Args:
        array: the microphones in the bay.
        samples: length of the scene.
        talkers: how many talk at once.
        speech: the engine room.
        rng: places, voices and order of sentences.
        absent: names of voices that must not be among them (the talkers at the bed).

    Returns:
        float64 (samples, mics), any level.
    """
    room = Room(DEPARTMENT, 0.8)
    mics = array.mics + ARRAY_IN_DEPARTMENT
    names = sorted(set(VOICES) - absent)
    out: Signal = np.zeros((samples, len(mics)))
    for i in range(talkers):
        voice = VOICES[names[i % len(names)]]
        dry = _monologue(voice, samples, speech, rng)
        place = _far_place(rng, array.centre + ARRAY_IN_DEPARTMENT)
        one = image(dry, room.responses(place, mics), samples)
        out += one * (rng.uniform(0.7, 1.3) / rms(one))
    return out


def _monologue(voice: Voice, samples: int, speech: Speech, rng: np.random.Generator) -> Signal:
    sentences = load_sentences("babble")
    out = np.zeros(samples)
    at = -int(rng.uniform(0.0, 2.0) * SAMPLE_RATE)
    while at < samples:
        for index in rng.permutation(len(sentences)):
            said = speech.say(voice, sentences[int(index)])
            first, end = max(at, 0), min(at + len(said), samples)
            if first < end:
                out[first:end] += said[first - at : end - at]
            at += len(said) + int(rng.uniform(0.15, 0.9) * SAMPLE_RATE)
            if at >= samples:
                break
    return out


def _shaped_noise(samples: int, rng: np.random.Generator, slope_db_per_octave: float) -> Signal:
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    f = np.maximum(np.fft.rfftfreq(samples, 1.0 / SAMPLE_RATE), 60.0)
    gain = (f / 60.0) ** (slope_db_per_octave / 6.0206)
    shaped: Signal = np.fft.irfft(spectrum * gain, samples)
    return shaped


def diffuse_hvac(array: Array, samples: int, rng: np.random.Generator) -> Signal:
    """Air conditioning: independent plane waves from everywhere, falling 4 dB an octave.

    Returns:
        float64 (samples, mics), any level.
    """
    f = np.fft.rfftfreq(samples, 1.0 / SAMPLE_RATE)
    offsets = array.mics - array.centre
    total = np.zeros((len(offsets), len(f)), dtype=np.complex128)
    for direction in _sphere(_PLANE_WAVES, rng):
        spectrum = np.fft.rfft(_shaped_noise(samples, rng, -4.0))
        delays = -(offsets @ direction) / SPEED_OF_SOUND
        for mic, delay in enumerate(delays):
            total[mic] += spectrum * np.exp(-2j * np.pi * f * delay)
    return np.ascontiguousarray(np.fft.irfft(total, samples, axis=1).T)


def _sphere(count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Even directions on the sphere (golden-angle spiral), turned at random."""
    i = np.arange(count) + 0.5
    polar, around = np.arccos(1.0 - 2.0 * i / count), np.pi * (1.0 + 5.0**0.5) * i
    around = around + rng.uniform(0.0, 2.0 * np.pi)
    return np.stack(
        [np.cos(around) * np.sin(polar), np.sin(around) * np.sin(polar), np.cos(polar)], axis=1
    )


def ventilator(samples: int, rng: np.random.Generator) -> Signal:
    """A ventilator at 16 breaths a minute: blower hum, inspiratory hiss, expiratory rush.

    Returns:
        float64 (samples,), dry.
    """
    t = np.arange(samples) / SAMPLE_RATE
    phase = (t + rng.uniform(0.0, 3.75)) % 3.75
    inspire = np.where(phase < 1.1, np.sin(np.pi * np.minimum(phase, 1.1) / 1.1) ** 0.5, 0.0)
    since = np.maximum(phase - 1.25, 0.0)
    expire = np.where(phase > 1.25, np.exp(-since / 0.45), 0.0)
    noise = rng.standard_normal(samples)
    low = sosfilt(butter(2, (250.0, 1800.0), "band", fs=SAMPLE_RATE, output="sos"), noise)
    high = sosfilt(butter(2, (600.0, 4500.0), "band", fs=SAMPLE_RATE, output="sos"), noise)
    hum = np.sin(2 * np.pi * 118.0 * t) + 0.5 * np.sin(2 * np.pi * 236.0 * t)
    sound: Signal = 0.7 * inspire * low + expire * high + 0.05 * hum
    return sound


def noise_bed(
    array: Array,
    bay: Room,
    samples: int,
    level: float,
    talkers: int,
    speech: Speech,
    rng: np.random.Generator,
    absent: set[str],
) -> Signal:
    """All of the bed at a calibrated level.

    Args:
        array: the microphones.
        bay: the room, for the ventilator beside the bed.
        samples: length of the scene.
        level: dB SPL, unweighted, RMS over the scene and all microphones.
        talkers: voices in the babble.
        speech: the engine room.
        rng: everything random.
        absent: voices of the talkers at the bed.

    Returns:
        float64 (samples, mics).
    """
    beside = np.array([3.05, 0.35, 1.1])
    parts = {
        "babble": babble(array, samples, talkers, speech, rng, absent),
        "hvac": diffuse_hvac(array, samples, rng),
        "ventilator": image(ventilator(samples, rng), bay.responses(beside, array.mics), samples),
    }
    bed: Signal = np.zeros((samples, len(array.mics)))
    for name, part in parts.items():
        bed += at_level(part, RELATIVE_DB[name])
    bed = at_level(bed, level)
    hiss = rng.standard_normal(bed.shape)
    total: Signal = bed + at_level(hiss, SELF_NOISE_DB_SPL)
    return total

"""What an array hears during a commissioning: int16 (n, mics), 16 kHz."""

from functools import cache
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy.signal import fftconvolve

from bayscribe.audio.profiles import ArrayProfile, load_profile
from bayscribe.commission.measure.reverberation import sweep
from bayscribe.stream import Pcm

RATE = 16_000
SCENES = Path(__file__).resolve().parents[1] / "scenes"
PROFILE_PATH = SCENES / "circle-4-32mm.toml"
SPEED = 343.2
Floats = NDArray[np.float64]


@cache
def profile() -> ArrayProfile:
    return load_profile(PROFILE_PATH)


def plane_wave(source: Floats, azimuth_deg: float) -> Floats:
    """A sound from far away, in the plane: float64 (n, mics)."""
    mics = profile().geometry
    angle = np.radians(azimuth_deg)
    lead = mics @ np.array([np.cos(angle), np.sin(angle), 0.0]) / SPEED
    hertz = np.fft.rfftfreq(len(source), 1 / RATE)
    spectra = np.fft.rfft(source)[:, None] * np.exp(2j * np.pi * hertz[:, None] * lead[None])
    wave: Floats = np.fft.irfft(spectra, len(source), axis=0)
    return wave


def noise(seconds: float, db_spl: float, seed: int = 5) -> Floats:
    """Sound from all around at a level, with a little of the microphones' own."""
    rng = np.random.default_rng(seed)
    n = round(seconds * RATE)
    total = np.zeros((n, len(profile().microphones)))
    hertz = np.fft.rfftfreq(n, 1 / RATE)
    tilt = 1 / np.sqrt(np.maximum(hertz, 80) / 80)
    for azimuth in rng.uniform(0, 360, 24):
        phase = np.exp(2j * np.pi * rng.random(len(hertz)))
        total += plane_wave(np.fft.irfft(tilt * phase, n), float(azimuth))
    sound: Floats = total * rms(db_spl) / total.std() + rng.normal(0, 1.0, total.shape)
    return sound


def rms(db_spl: float) -> float:
    return float(32768 * 10 ** ((db_spl - 94 - 26) / 20))


def pcm(sound: Floats) -> Pcm:
    return np.clip(np.round(sound), -32768, 32767).astype(np.int16)


def room(seconds: float) -> Pcm:
    return pcm(noise(seconds, 62.0))


def quiet(seconds: float) -> Pcm:
    return pcm(noise(seconds, 44.0, seed=6))


def claps(azimuth_deg: float, count: int = 3, level: float = 6000.0) -> Pcm:
    """Claps a second apart: a burst of 3 ms, then a faint tail from elsewhere."""
    rng = np.random.default_rng(7)
    source = np.zeros(round((count + 0.2) * RATE))
    tail = np.zeros_like(source)
    for k in range(count):
        at = round((0.6 + k) * RATE) if k else round(0.6 * RATE)
        burst = rng.normal(0, 1, 48) * np.exp(-np.arange(48) / 12)
        burst[0] = 3.0
        source[at : at + 48] += level * burst / np.abs(burst).max()
        length = min(3200, len(source) - at - 160)
        tail[at + 160 : at + 160 + length] += (
            0.04 * level * rng.normal(0, 1, length) * np.exp(-np.arange(length) / 1200)
        )
    wave = plane_wave(source, azimuth_deg) + plane_wave(tail, azimuth_deg + 130)
    return pcm(wave + noise(len(source) / RATE, 44.0, seed=8))


def tone(seconds: float, db_spl: float = 94.0) -> Pcm:
    t = np.arange(round(seconds * RATE)) / RATE
    wave = np.sqrt(2) * rms(db_spl) * np.sin(2 * np.pi * 1000 * t)
    return pcm(np.repeat(wave[:, None], len(profile().microphones), axis=1))


def swept(seconds: float, rt60_s: float, level: float = 12_000.0) -> Pcm:
    """The sweep in a room of a known reverberation time."""
    rng = np.random.default_rng(9)
    n = round(seconds * RATE)
    sound = np.zeros((n, len(profile().microphones)))
    tail = np.arange(round(2 * rt60_s * RATE))
    for mic in range(sound.shape[1]):
        response = 0.03 * rng.normal(0, 1, len(tail)) * 10 ** (-3 * tail / (rt60_s * RATE))
        response[0] = 1.0
        heard = fftconvolve(level * sweep(), response)[: n - RATE]
        sound[RATE : RATE + len(heard), mic] += heard
    return pcm(sound + noise(seconds, 40.0, seed=10))


@cache
def speech(name: str, begin_s: float = 0.0) -> Floats:
    """Dry speech of a talker of the scenes, pauses cut out: float64 (n,), RMS 1."""
    x, _ = soundfile.read(SCENES / "sepsis-4mic-70db" / f"{name}.flac", dtype="float64")
    frames = x[: len(x) // 1600 * 1600].reshape(-1, 1600)
    loud = frames[frames.std(axis=1) > 0.3 * frames.std()]
    spoken: Floats = loud.reshape(-1)[round(begin_s * RATE) :].copy()
    spoken /= spoken.std()
    return spoken


def talk(name: str, azimuth_deg: float, seconds: float, db_spl: float = 68.0) -> Pcm:
    source = speech(name)
    source = np.resize(source, round(seconds * RATE))
    wave = plane_wave(source, azimuth_deg) * rms(db_spl)
    return pcm(wave + noise(seconds, 45.0, seed=11))

"""A day of clean audio through the channel checks, and how many checks fail: none may.

The sound is synthetic and faster than real time: fields of plane waves and a diffuse rest
from changing directions, between a bay at night (40 dB SPL) and a full one (75 dB SPL),
with pauses, talkers that come and go, bangs, tones of alarms, and the microphones' own
noise, matched within 1 dB. Beside it the array's clock, seen with scheduling jitter.

With ``--exchanges N`` instead: in N such bays two channels change places after two minutes; how
soon the channel check names both. Opposite microphones of a square are told from neighbours,
since their exchange is a mirror of the array: only what was heard before can show it. With
``--recordings`` the same in the repository's recorded scenes, every pair, after half a minute.
"""

import argparse
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # small matrices; before numpy is loaded

import numpy as np
import soundfile
from numpy.typing import NDArray

from bayscribe.audio.channel_check import ChannelCheck
from bayscribe.audio.profiles import ArrayProfile, load_profile
from bayscribe.audio.sample_clock import SampleClock
from bayscribe.health.acoustics import ArrayWatch
from bayscribe.health.monitor import Monitor
from bayscribe.health.snapshot import ChannelFault, Snapshot
from bayscribe.stream import Block, FaultCode, Pcm
from bayscribe.units import SAMPLE_RATE, MonotonicNs, SampleIndex

SCENE_S = 16
SCENES_IN_A_BAY = 100
FULL_SCALE = 32_768.0
SELF_NOISE_DB_SPL = 32.0
SPEED_OF_SOUND = 343.2
EXCHANGED_AT_S, WATCHED_S = 120, 600
RECORDING_EXCHANGED_AT_S = 30
SCENES = Path(__file__).resolve().parents[1] / "tests" / "scenes"
PROFILES = {4: "circle-4-32mm.toml", 6: "circle-6-46mm.toml"}


class Bay:
    """A bay that sounds for ever, scene after scene, each cross-faded into the next.

    Args:
        profile: the array.
        seed: of everything random.
    """

    def __init__(self, profile: ArrayProfile, seed: int) -> None:
        self._mics = profile.geometry
        self._to_dbfs = -profile.db_spl(0.0)
        self._random = np.random.default_rng(seed)
        self._gain = 10 ** (self._random.uniform(-0.5, 0.5, len(self._mics)) / 20)
        self._n = (SCENE_S + 1) * SAMPLE_RATE
        self._hertz = np.fft.rfftfreq(self._n, 1 / SAMPLE_RATE)
        self._tilt = 1 / np.sqrt(np.maximum(self._hertz, 80) / 80)
        self._tail = np.zeros((SAMPLE_RATE, len(self._mics)))
        self._scene_number = 0
        self._furnish()

    def _furnish(self) -> None:
        """Another bay: where its noise comes from, how loud it is, where people stand."""
        draw = self._random
        self._ambient = draw.uniform(40, 75)
        around = zip(draw.normal(size=(24, 3)), draw.uniform(0.3, 1.0, 24), strict=True)
        noise = np.sum([gain * self._wave(direction) for direction, gain in around], axis=0)
        self._noise_around = noise / noise.std()
        self._places = [self._wave(place) for place in draw.normal(size=(5, 3)) * (1, 1, 0.3)]

    def scenes(self) -> Iterator[Pcm]:
        """Scenes of 16 s: int16 (n, mics)."""
        fade = np.linspace(0, 1, SAMPLE_RATE)[:, None]
        while True:
            if self._scene_number % SCENES_IN_A_BAY == 0 and self._scene_number:
                self._furnish()
            self._scene_number += 1
            sound = self._scene()
            sound[:SAMPLE_RATE] = sound[:SAMPLE_RATE] * fade + self._tail * (1 - fade)
            self._tail = sound[-SAMPLE_RATE:]
            body = sound[:-SAMPLE_RATE] * self._gain
            body += self._self_noise(body.shape)
            yield np.clip(np.round(body), -32768, 32767).astype(np.int16)

    def _self_noise(self, shape: tuple[int, ...]) -> NDArray[np.float64]:
        level = FULL_SCALE * 10 ** ((SELF_NOISE_DB_SPL + self._to_dbfs) / 20)
        noise: NDArray[np.float64] = self._random.normal(0, level, shape)
        return noise

    def _scene(self) -> NDArray[np.float64]:
        draw = self._random
        ambient = self._ambient + draw.uniform(-3, 3)
        x: NDArray[np.float64] = np.roll(
            self._noise_around, draw.integers(0, self._n), axis=0
        ) * self._rms(ambient)
        for place in draw.permutation(len(self._places))[: draw.integers(0, 4)]:
            talker = np.roll(self._places[place], draw.integers(0, self._n), axis=0)
            talker *= self._rms(min(82.0, ambient + draw.uniform(0, 15)))
            x += talker * self._syllables()
        if draw.random() < 0.2:
            x += self._alarm(ambient)
        if draw.random() < 0.1:
            at = draw.integers(0, self._n - 2000)
            bang = (
                draw.normal(0, self._rms(95), (1600, 1)) * np.exp(-np.arange(1600) / 300)[:, None]
            )
            x[at : at + 1600] += bang
        return x

    def _rms(self, db_spl: float) -> float:
        return float(FULL_SCALE * 10 ** ((db_spl + self._to_dbfs) / 20))

    def _wave(self, direction: NDArray[np.float64]) -> NDArray[np.float64]:
        """Pink-ish noise of RMS 1 from a direction: float64 (n, mics), a loop without a seam."""
        lead = self._mics @ (direction / np.linalg.norm(direction)) / SPEED_OF_SOUND
        source = self._tilt * np.exp(2j * np.pi * self._random.random(len(self._hertz)))
        spectra = source[:, None] * np.exp(2j * np.pi * self._hertz[:, None] * lead[None])
        wave: NDArray[np.float64] = np.fft.irfft(spectra, self._n, axis=0)
        wave *= 1 / wave.std()
        return wave

    def _syllables(self) -> NDArray[np.float64]:
        """On and off, some four times a second, with pauses of seconds."""
        steps = self._random.random(8 * (SCENE_S + 1)) < 0.5
        pauses = np.repeat(self._random.random((SCENE_S + 3) // 2) < 0.6, 16)[: len(steps)]
        return np.repeat((steps & pauses).astype(float), SAMPLE_RATE // 8)[:, None]

    def _alarm(self, ambient: float) -> NDArray[np.float64]:
        direction = self._random.normal(size=3)
        lead = self._mics @ (direction / np.linalg.norm(direction)) / SPEED_OF_SOUND
        t = np.arange(self._n)[:, None] / SAMPLE_RATE + lead[None]
        gate = (np.arange(self._n) // (SAMPLE_RATE // 3) % 2)[:, None]
        tone: NDArray[np.float64] = np.sin(2 * np.pi * 960 * t) * gate
        return tone * self._rms(ambient + 6)


class Clock:
    """When blocks are captured: true time, a crystal 40 ppm off, late looks at it."""

    def __init__(self, seed: int) -> None:
        self._line = SampleClock(SAMPLE_RATE)
        self._random = np.random.default_rng(seed)

    def capture(self, first: SampleIndex, frames: int) -> int:
        """The time of a block's first frame, as capture would state it."""
        true = (first + frames) / SAMPLE_RATE * (1 - 40e-6)
        late = self._random.exponential(0.0005) + (self._random.random() < 0.001) * 0.05
        self._line.observe(MonotonicNs(round((10 + true + late) * 1e9)), first + frames)
        return self._line.time_of(first)


def simulate(hours: float, array: str, seed: int) -> Counter[str]:
    """Push it all through the checks; how often each problem was raised."""
    profile = load_profile(array)
    bay, clock = Bay(profile, seed), Clock(seed)
    check, watch, monitor = ChannelCheck(profile.geometry), ArrayWatch(profile), Monitor()
    raised: Counter[str] = Counter()
    standing: set[tuple[str, str]] = set()
    at, end = 0, round(hours * 3600) * SAMPLE_RATE
    for pcm in bay.scenes():
        for offset in range(0, len(pcm), 4000):
            first = SampleIndex(at + offset)
            piece = pcm[offset : offset + 4000]
            block = Block(first, piece, clock.capture(first, len(piece)))
            check.push(block)
            watch.push(block)
            if offset % 16_000:
                continue
            faults = tuple(ChannelFault(code, mic) for code, mic in check.faults)
            view = replace(watch.figures(), faults=faults, drift_ppm=watch.drift_ppm)
            report = monitor.step(first / SAMPLE_RATE, Snapshot(array=view))
            now = {(one.problem.code, one.subject) for one in report.problems}
            for code, subject in now - standing:
                raised[code] += 1
                words = next(o.words for o in report.problems if o.subject == subject)
                print(f"   {first / SAMPLE_RATE / 3600:7.3f} h  {code}: {words}", flush=True)
            standing = now
        at += len(pcm)
        if at >= end:
            return raised
    return raised


def named_after(
    mics: NDArray[np.float64], sound: Iterable[Pcm], pair: tuple[int, int], at_s: float
) -> tuple[float | None, bool]:
    """Exchange two channels; seconds until both are named, and whether wrong ones were.

    Naming them as one of several pairs that would look the same is vague, and not wrong.
    """
    check, wrong, at = ChannelCheck(mics), False, 0
    for pcm in sound:
        for offset in range(0, len(pcm), 4000):
            piece, since = pcm[offset : offset + 4000], at - at_s * SAMPLE_RATE
            if since >= 0:
                piece = piece.copy()
                piece[:, list(pair)] = piece[:, [pair[1], pair[0]]]
            check.push(Block(SampleIndex(at), piece))
            at += len(piece)
            named = {mic for code, mic in check.faults if code is FaultCode.SWAPPED}
            if named >= set(pair) and since >= 0:
                return (since + len(piece)) / SAMPLE_RATE, wrong
            wrong |= bool(named)
        if at > (at_s + WATCHED_S) * SAMPLE_RATE:
            break
    return None, wrong


Trial = tuple[NDArray[np.float64], Iterable[Pcm], tuple[int, int], float]


def of_bays(count: int, array: str, seed: int) -> Iterator[Trial]:
    """Synthetic bays, each with another pair."""
    profile = load_profile(array)
    pairs = list(combinations(range(len(profile.geometry)), 2))
    for trial in range(count):
        sound = Bay(profile, seed + trial).scenes()
        yield profile.geometry, sound, pairs[trial % len(pairs)], EXCHANGED_AT_S


def of_recordings() -> Iterator[Trial]:
    """The repository's scenes, each with every pair."""
    for path in sorted(SCENES.glob("sepsis-*/mics.flac")):
        pcm = soundfile.read(path, dtype="int16")[0]
        mics = load_profile(str(SCENES / PROFILES[pcm.shape[1]])).geometry
        for pair in combinations(range(len(mics)), 2):
            yield mics, [pcm], pair, RECORDING_EXCHANGED_AT_S


def exchanges(trials: Iterable[Trial]) -> None:
    """Print how soon exchanged channels are named, by what the geometry can see."""
    found: dict[str, list[tuple[float | None, bool]]] = {}
    for mics, sound, pair, at_s in trials:
        centred = mics - mics.mean(axis=0)
        mirror = len(mics) == 4 and np.allclose(centred[pair[0]], -centred[pair[1]], atol=1e-4)
        kind = f"{len(mics)} microphones, {'opposite' if mirror else 'others'}"
        found.setdefault(kind, []).append(named_after(mics, sound, pair, at_s))
    for kind, seen in sorted(found.items()):
        after = [seconds for seconds, _ in seen if seconds is not None]
        shares = [sum(s <= within for s in after) for within in (5.0, 60.0, WATCHED_S)]
        others = sum(wrong for _, wrong in seen)
        print(
            f"{kind:23} of {len(seen)}: named within 5 s {shares[0]}, 60 s {shares[1]}, "
            f"{WATCHED_S:.0f} s {shares[2]}; named other ones before {others}",
            flush=True,
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Simulate; exit status 0 if no check failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--array", default="circle-4-32mm")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--exchanges", type=int, default=0, metavar="N")
    parser.add_argument("--recordings", action="store_true")
    options = parser.parse_args(argv if argv is not None else [])
    if options.exchanges:
        exchanges(of_bays(options.exchanges, options.array, options.seed))
        return 0
    if options.recordings:
        exchanges(of_recordings())
        return 0
    begin = time.process_time()
    raised = simulate(options.hours, options.array, options.seed)
    spent = time.process_time() - begin
    print(f"audio                {options.hours:g} h of clean sound on {options.array}")
    print(f"checks that failed   {sum(raised.values())} {dict(raised) or ''}")
    print(f"CPU                  {spent:.0f} s, synthesis included")
    return int(bool(raised))


if __name__ == "__main__":
    import sys

    sys.exit(main(sys.argv[1:]))

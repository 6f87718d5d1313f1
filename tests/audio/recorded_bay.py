"""A bay with a recorded microphone, for tests of capture."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from threading import Thread

import numpy as np
import soundfile

from bayscribe.audio.capture import CaptureSource, Item
from bayscribe.audio.profiles import ArrayProfile, Microphone
from bayscribe.audio.recorded_mic import Idle, RecordedMicrophone
from bayscribe.audio.recorded_pcm import make_pcm
from bayscribe.audio.recording import Recording
from bayscribe.audio.replay import ReplaySummary, parse_fault, replay
from bayscribe.stream import Block, Fault, Pcm

RATE = 16_000


def circle(mics: int, *, alsa_channels: int = 0, first_channel: int = 0) -> ArrayProfile:
    """Microphones on a circle of 40 mm, on consecutive ALSA channels."""
    azimuth = 2 * np.pi * np.arange(mics) / mics
    return ArrayProfile(
        alsa_channels=alsa_channels or mics,
        sample_rate=RATE,
        microphones=tuple(
            Microphone(first_channel + i, float(0.04 * np.cos(a)), float(0.04 * np.sin(a)))
            for i, a in enumerate(azimuth)
        ),
        name=f"circle-{mics}",
    )


def distinct(seconds: float, channels: int, seed: int = 1) -> Pcm:
    """Noise in which every frame of channels is different: int16 (n, channels)."""
    rng = np.random.default_rng(seed)
    pcm = rng.integers(-9000, 9000, (round(seconds * RATE), channels), dtype=np.int16)
    pcm[:, 0] = (np.arange(len(pcm)) % 60_000 - 30_000).astype(np.int16)
    return pcm


@cache
def field(mics: int, seconds: float, seed: int = 3) -> Pcm:
    """A bay at 70 dB SPL: plane waves from all round and three stronger directions.

    Pink-ish noise of -50 dBFS with a little self-noise of the microphones; int16 (n, mics).
    """
    rng = np.random.default_rng(seed)
    n = round(seconds * RATE)
    hertz = np.fft.rfftfreq(n, 1 / RATE)
    tilt = 1 / np.sqrt(np.maximum(hertz, 80) / 80)
    places = circle(mics).geometry
    total = np.zeros((len(hertz), mics), dtype=np.complex128)
    directions = rng.normal(size=(40, 3))
    gains = np.where(np.arange(40) < 3, 4.0, 1.0)
    for direction, gain in zip(directions, gains, strict=True):
        lead = places @ (direction / np.linalg.norm(direction)) / 343.2
        source = gain * tilt * np.exp(2j * np.pi * rng.random(len(hertz)))
        total += source[:, None] * np.exp(2j * np.pi * hertz[:, None] * lead[None])
    x = np.fft.irfft(total, n, axis=0)
    x *= 32768 * 10 ** (-50 / 20) / x.std()
    return np.round(x + rng.normal(0, 2, x.shape)).astype(np.int16)


class Bay:
    """A recorded microphone, its PCM, and capture from it."""

    def __init__(self, folder: Path, profile: ArrayProfile, idle: Idle) -> None:
        self.profile = profile
        self.folder = folder
        self.environment = make_pcm(
            "bay", profile, folder / "alsa", directory=folder / "mic" / "bay", idle=idle
        )
        self.microphone = RecordedMicrophone(
            folder / "mic" / "bay", profile.alsa_channels, profile.sample_rate
        )
        self.summary: ReplaySummary | None = None
        self._replays: list[Thread] = []
        self.sources: list[CaptureSource] = []

    def source(self, period_frames: int = 320, periods: int = 25, **more: float) -> CaptureSource:
        source = CaptureSource(
            self.profile, "bay", period_frames=period_frames, periods=periods, **more
        )
        self.sources.append(source)
        return source

    def play(self, pcm: Pcm, *faults: str, at_end: Idle = Idle.WAIT) -> None:
        """Start to replay; :meth:`finish` waits for the end."""
        path = self.folder / f"recording-{len(self._replays)}.wav"
        soundfile.write(path, pcm, RATE, subtype="PCM_16")

        def run() -> None:
            with Recording(path, self.profile) as recording:
                self.summary = replay(
                    recording,
                    self.microphone,
                    faults=[parse_fault(fault, self.profile) for fault in faults],
                    at_end=at_end,
                    should_stop=lambda: any(source.is_stopped for source in self.sources),
                )

        self._replays.append(Thread(target=run))
        self._replays[-1].start()

    def collect(self, source: CaptureSource) -> list[Item]:
        """Everything that comes until the replay has come to its end and all was read."""
        items: list[Item] = []
        while self._replays[-1].is_alive():
            items += source.read(0.05)
        source.stop()
        items += source.read(0)
        return items

    def close(self) -> None:
        for source in self.sources:
            source.stop()
        for thread in self._replays:
            thread.join()
        self.microphone.close()


OpenBay = Callable[..., Bay]


def samples(items: list[Item]) -> Pcm:
    """All blocks after one another: int16 (n, mics)."""
    return np.concatenate([item.pcm for item in items if isinstance(item, Block)])


def length(items: list[Item]) -> int:
    """Frames from the first to the last, gaps included; fails if an index is off."""
    expected = 0
    for item in items:
        if isinstance(item, Fault):
            continue
        assert item.first == expected
        expected += len(item.pcm) if isinstance(item, Block) else item.samples
    return expected

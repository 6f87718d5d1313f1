"""The beam through the near-speech network's mask: what a filter behind the beam would give.

A view for judging alone: what is hashed, kept and heard back is the beam itself.
"""

from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from bayscribe.audio.profiles import load_profile
from bayscribe.diarize.interpreter import Floats, load_network
from bayscribe.diarize.nearness import DELAY, FFT, HOP, STATE, bands
from bayscribe.stream import Pcm
from benchmarks.hearing import measure
from benchmarks.hearing.line import Geometry, Line

WAYS = {"the beam, masked": 1.0, "the beam, half masked": 0.5}
"""Exponent of the mask by way of listening."""

_TAPER = np.hanning(FFT + 1)[:-1]


def microphones(scene: Path) -> tuple[Pcm, Geometry]:
    """A scene's recording, int16 (n, mics), and where its microphones are, metres (mics, 3)."""
    pcm, _ = soundfile.read(scene / "mics.flac", dtype="int16")
    profile = load_profile(str(measure.TOP / "tests" / "scenes" / measure.ARRAYS[pcm.shape[1]]))
    return pcm, np.array([(m.x, m.y, m.z) for m in profile.microphones])


def masks(inputs: Floats) -> Floats:
    """Share of each bin's magnitude that is speech, float32 (frames, bins)."""
    network = load_network("near")
    state, found = np.zeros(STATE, np.float32), list[Floats]()
    for row in np.concatenate([inputs, np.repeat(inputs[-1:], DELAY, axis=0)]):
        out = network.run({"x": row[None], "h": state})
        state = out["h_out"]
        found.append(out["mask"][0])
    return np.asarray(np.stack(found[DELAY:]) @ bands(), np.float32)


def views(pcm: Pcm, geometry: Geometry) -> dict[str, NDArray[np.float32]]:
    """Microphones int16 (n, mics) to float32 (n',), full scale one, by way of listening."""
    line = Line(pcm, geometry)
    shares, found = masks(line.inputs), {}
    spans = np.arange(FFT)[None] + HOP * np.arange(len(shares))[:, None]
    spectra = np.fft.rfft(line.beam[spans] / 32768.0 * _TAPER, axis=1)
    for name, exponent in WAYS.items():
        frames = np.fft.irfft(spectra * shares**exponent, axis=1)
        sound = np.zeros(len(line.beam), np.float32)
        for k, frame in enumerate(frames):
            sound[k * HOP : k * HOP + FFT] += frame
        found[name] = sound
    return found

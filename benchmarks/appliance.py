"""CPU, memory and latency of the appliance's whole pipeline, through ``bayscribe process``.

Protocol: the committed 4-microphone recording at 70 dB SPL, one thread, stream pace of one
ALSA period, CPU seconds of the process by stage over seconds of audio (``stats.json``),
peak resident memory of the process, and the delay between a turn's end and the sample at
which it was emitted. Peer for capture + localization + beam: ODAS (C) with its own
configuration for such an array on a 90 s recording of this kind, 0.03 CPU-seconds per
second of audio; that figure was taken apart from this run, on a machine of this kind.
"""

import json
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.provenance import sha256_of

REPOSITORY = Path(__file__).resolve().parents[1]
SCENE = REPOSITORY / "tests" / "scenes" / "sepsis-4mic-70db"
ODAS_CPU = 0.03
FRONT_STAGES = ("read", "localize", "steer", "beam")


def main() -> int:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        subprocess.run(_command(out), check=True)
        stats = json.loads((out / "stats.json").read_text())
        turns = [json.loads(line) for line in (out / "turns.jsonl").read_text().splitlines()]
    audio = stats["audio_s"]
    stages = {name: spent / audio for name, spent in stats["cpu_s"].items()}
    front = sum(stages.get(name, 0.0) for name in FRONT_STAGES)
    delays = np.array([turn["emitted_at"] - turn["end"] for turn in turns])
    print(f"data {SCENE.name} sha256 {sha256_of(SCENE / 'mics.flac')[:16]}, {audio:.1f} s")
    for name, digest in stats["models"].items():
        print(f"network {name} sha256 {digest[:16]}")
    print(f"machine {platform.machine()} {platform.python_version()}")
    for name, share in stages.items():
        print(f"  {name:10} {share:8.4f} CPU-s per s")
    print(f"capture + localization + beam {front:.4f} CPU-s per s = {front / ODAS_CPU:.2f} x ODAS")
    total = stages["all"]
    print(f"whole pipeline with networks {total:.4f} CPU-s per s; floor to beat 0.25")
    print(f"peak resident memory {stats['peak_rss_mib']:.0f} MiB; floor to beat 250 MiB")
    print(
        f"turn latency median {np.median(delays):.2f} s, p95 {np.percentile(delays, 95):.2f} s "
        f"over {len(turns)} turns; floor to beat 1.5 s"
    )
    return 0


def _command(out: Path) -> list[str]:
    return [
        str(Path(sys.executable).with_name("bayscribe")),
        "process",
        str(SCENE / "mics.flac"),
        "--array",
        str(SCENE.parent / "circle-4-32mm.toml"),
        "--enrol",
        f"clinician={SCENE / 'enrol_clinician.flac'}",
        "--primary",
        "clinician",
        "--out",
        str(out),
    ]


if __name__ == "__main__":
    sys.exit(main())

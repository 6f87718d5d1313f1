"""Pictures of what was heard: level curves, tracks against truth, confusion over time.

Runs in the environment of ``requirements.txt`` beside it.
"""

import argparse
import json
import sys
from pathlib import Path
from statistics import median
from typing import Any

import matplotlib as mpl
import numpy as np

from benchmarks.hearing import measure, scoring

mpl.use("Agg")
from matplotlib import pyplot as plt

BIN_S = 5.0


def level_curves(scenes: list[dict[str, Any]], target: Path) -> None:
    """DER, attribution and direction over the level of the noise."""
    levels = sorted({one["level_db_spl"] for one in scenes})
    curves = {
        "attribution of the clinician": ("attribution", "accuracy"),
        "DER, no collar": ("no_collar", "der"),
        "direction, ours": ("directions", "ours", "within_10"),
        "direction, SRP-PHAT": ("directions", "pyroomacoustics SRP", "within_10"),
        "direction, MUSIC": ("directions", "pyroomacoustics MUSIC", "within_10"),
    }
    figure, axes = plt.subplots(figsize=(7, 4.2))
    for name, path in curves.items():
        by_level = [
            100 * median(measure.value(s, path) for s in scenes if s["level_db_spl"] == level)
            for level in levels
        ]
        axes.plot(levels, by_level, marker="o", label=name)
    axes.set(xlabel="noise, dB SPL", ylabel="%", ylim=(0, 102), xticks=levels)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    _save(figure, target)


def polar_tracks(scene: Path, out: Path, target: Path) -> None:
    """Azimuth round the circle, time outwards: the truth and the most salient track."""
    figure, axes = plt.subplots(figsize=(5.5, 5.5), subplot_kw={"projection": "polar"})
    truth, heard = np.array(measure.talking(scene)), np.array(measure.own_directions(out))
    axes.scatter(np.radians(truth[:, 1]), truth[:, 0], s=14, c="0.75", label="talker")
    axes.scatter(np.radians(heard[:, 1]), heard[:, 0], s=2, c="tab:red", label="track")
    axes.set_title(f"{scene.name}: seconds outwards", fontsize=9)
    axes.legend(fontsize=8, loc="lower left")
    _save(figure, target)


def confusion_over_time(scenes: list[Path], out: Path, target: Path) -> None:
    """Missed, false and confused speech in stretches of five seconds, mean of the scenes."""
    kinds = ("missed", "false_alarm", "confusion")
    sums: dict[int, list[list[float]]] = {}
    for scene in scenes:
        duration = measure.read(scene / "scene.json")["duration"]
        reference = scoring.read_rttm(scene / "ref.rttm")
        heard = scoring.read_rttm(out / scene.name / "turns.rttm")
        errors = scoring.errors_over_time(reference, heard, duration)
        width = round(BIN_S / scoring.FRAME_S)
        for n in range(errors.shape[1] // width):
            part = errors[:, n * width : (n + 1) * width]
            sums.setdefault(n, []).append(part.mean(axis=1).tolist())
    figure, axes = plt.subplots(figsize=(7, 3.2))
    times = [(n + 0.5) * BIN_S for n in sums]
    means = np.array([np.mean(rows, axis=0) for rows in sums.values()])
    axes.stackplot(times, 100 * means.T, labels=kinds, alpha=0.8)
    axes.set(xlabel="seconds", ylabel="% of time", xlim=(0, max(times)))
    axes.legend(fontsize=8)
    _save(figure, target)


def _save(figure: Any, target: Path) -> None:  # noqa: ANN401 - a figure of matplotlib
    figure.tight_layout()
    figure.savefig(target, dpi=110)
    plt.close(figure)


def main() -> int:
    """Three pictures."""
    parser = argparse.ArgumentParser(description="Draw what was heard.")
    parser.add_argument("--from", dest="source", type=Path, required=True)
    parser.add_argument("--to", type=Path, required=True)
    options = parser.parse_args()
    options.to.mkdir(parents=True, exist_ok=True)
    found = json.loads((options.source / "figures.json").read_text(encoding="utf-8"))["scenes"]
    loudest = [one for one in found if one["level_db_spl"] == max(s["level_db_spl"] for s in found)]
    folders = [options.source / "scenes" / one["scene"] for one in loudest]
    out = options.source / "out"
    level_curves(found, options.to / "hearing-levels.png")
    polar_tracks(folders[0], out / folders[0].name, options.to / "hearing-tracks.png")
    confusion_over_time(folders, out, options.to / "hearing-confusion.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())

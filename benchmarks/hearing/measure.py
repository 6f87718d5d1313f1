"""What the product makes of one scene, scored against its truth."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.hearing import scoring

TOP = Path(__file__).resolve().parents[2]
ARRAYS = {4: "circle-4-32mm.toml", 6: "circle-6-46mm.toml"}
PRIMARY = "clinician"
STEP_S = 0.1
NEAR_S = 0.3
COLLAR_S = 0.25
LEAST_TURN_S = 1.5
"""Shorter turns are not judged by their sound."""


def process(scene: Path, out: Path) -> None:
    """Run ``bayscribe process`` over a scene, as a program of its own on one thread."""
    truth = read(scene / "scene.json")
    array = TOP / "tests" / "scenes" / ARRAYS[truth["n_mics"]]
    command: list[str | Path] = [
        Path(sys.executable).with_name("bayscribe"), "process", scene / "mics.flac",
        "--array", array, "--enrol", f"{PRIMARY}={scene / 'enrol_clinician.flac'}",
        "--primary", PRIMARY, "--out", out,
    ]  # fmt: skip
    subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL)


def read(path: Path) -> dict[str, Any]:
    """A JSON object."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def value(figures: dict[str, Any], path: tuple[str, ...]) -> float:
    """A figure by the names that lead to it."""
    found: Any = figures
    for name in path:
        found = found[name]
    return float(found)


def rows(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSON-lines file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def talking(scene: Path) -> list[tuple[float, float]]:
    """Every 100 ms with exactly one talker: its time and his azimuth."""
    truth = read(scene / "scene.json")
    turns = scoring.read_rttm(scene / "ref.rttm")
    found = []
    for step in range(round(truth["duration"] / STEP_S)):
        now = step * STEP_S
        speaking = {turn.label for turn in turns if turn.start <= now < turn.end}
        if len(speaking) != 1:
            continue
        places = [p for p in truth["azimuth_track"][speaking.pop()] if p[0] <= now <= p[1]]
        if places:
            found.append((now, float(places[-1][2])))
    return found


def own_directions(out: Path) -> list[tuple[float, float]]:
    """Time and azimuth of the most salient track of each frame that has one."""
    found = []
    for frame in rows(out / "tracks.jsonl"):
        if frame["talkers"]:
            best = max(frame["talkers"], key=lambda track: float(track["salience"]))
            found.append((frame["t"] - STEP_S / 2, float(best["azimuth_deg"])))
    return found


def texts(scene: Path) -> list[str]:
    """What is said in each turn whose sound is judged."""
    turns = read(scene / "scene.json")["turns"]
    return [
        turn["text"]
        for turn in turns
        if len(turn["segments"]) == 1
        and turn["overlap_frac"] == 0
        and turn["end"] - turn["start"] >= LEAST_TURN_S
    ]


def direction_error(scene: Path, estimates: list[tuple[float, float]]) -> scoring.DirectionError:
    """Estimates against the talkers; the nearest one within 0.3 s counts."""
    wanted, given = [], list[float | None]()
    for now, azimuth in talking(scene):
        wanted.append(azimuth)
        nearest = min(estimates, key=lambda one: abs(one[0] - now), default=None)
        near = nearest is not None and abs(nearest[0] - now) <= NEAR_S
        given.append(nearest[1] if nearest is not None and near else None)
    return scoring.direction_error(wanted, given)


def diarizers(scene: Path, heard: Path) -> dict[str, Any]:
    """Diarization error without collar of what ``diarizers.py`` wrote, by way."""
    truth, reference = read(scene / "scene.json"), scoring.read_rttm(scene / "ref.rttm")
    found = {}
    for name, one in read(heard).items():
        turns = [scoring.Turn(start, end, label) for start, end, label in one["turns"]]
        error = scoring.diarization_error(reference, turns, truth["duration"])
        found[name] = {
            "der": error.rate,
            "missed": error.missed / error.total,
            "false_alarm": error.false_alarm / error.total,
            "confusion": error.confusion / error.total,
            "cpu_s_per_s": one["cpu_s_per_s"],
        }
    return found


def figures(scene: Path, out: Path) -> dict[str, Any]:
    """All scores of one processed scene; shares, not per cent."""
    truth = read(scene / "scene.json")
    reference, heard = scoring.read_rttm(scene / "ref.rttm"), scoring.read_rttm(out / "turns.rttm")
    found: dict[str, Any] = {
        "scene": scene.name,
        "level_db_spl": round(truth["noise_bed_dbspl"]),
        "mics_sha256": hashlib.sha256((scene / "mics.flac").read_bytes()).hexdigest(),
        "noise_with_events_db_spl": truth["noise_with_events_dbspl"],
        "median_turn_snr_db": truth["median_turn_snr_db"],
    }
    for name, collar in (("no_collar", 0.0), ("collar", COLLAR_S)):
        error = scoring.diarization_error(reference, heard, truth["duration"], collar)
        found[name] = {"der": error.rate} | {
            kind: getattr(error, kind) / error.total
            for kind in ("missed", "false_alarm", "confusion")
        }
    who = scoring.attribution(reference, heard, truth["duration"], PRIMARY, COLLAR_S)
    found["attribution"] = {"accuracy": who.accuracy} | {
        kind: getattr(who, kind) / who.total
        for kind in ("undetected", "missed", "false", "abstained")
    }
    found["directions"] = {"ours": vars(direction_error(scene, own_directions(out)))}
    claims = [
        (scoring.Turn(t["start"], t["end"], t["label"]), bool(t["primary"]), float(t["confidence"]))
        for t in rows(out / "turns.jsonl")
    ]
    apart, above = scoring.reliability(reference, claims, truth["duration"], PRIMARY)
    found["confidence"] = {"calibration_error": apart, "above_the_truth": above}
    delays = [turn["emitted_at"] - turn["end"] for turn in rows(out / "turns.jsonl")]
    found["turn_latency_p95_s"] = scoring.percentiles(delays)[1]
    stats = read(out / "stats.json")
    found["cpu_s_per_s"] = stats["cpu_s"]["all"] / stats["audio_s"]
    found["stats"] = stats
    return found

"""Writing a scene: FLAC, RTTM, JSON, and the manifest of what is committed."""

import hashlib
import json
from pathlib import Path

import numpy as np
import soundfile

from benchmarks.scenes.levels import SAMPLE_RATE, Signal
from benchmarks.scenes.scene import DRY_GAIN_DB, Scene

MANIFEST = "MANIFEST.sha256"


def rttm_lines(name: str, speech: list[tuple[float, float, str]]) -> list[str]:
    """RTTM rows of (start s, end s, label), in order of time."""
    return [
        f"SPEAKER {name} 1 {start:.3f} {end - start:.3f} <NA> <NA> {label} <NA> <NA>"
        for start, end, label in sorted(speech)
    ]


def _flac(path: Path, x: Signal) -> None:
    soundfile.write(path, x, SAMPLE_RATE, subtype="PCM_16")


def write_scene(scene: Scene, folder: Path, references: bool) -> None:
    """Writes ``mics.flac``, ``ref.rttm``, ``scene.json``, ``script.json`` and enrolments.

    Args:
        scene: what to write.
        folder: made when missing.
        references: also write dry speech and impulse responses at microphone 0.
    """
    folder.mkdir(parents=True, exist_ok=True)
    soundfile.write(folder / "mics.flac", scene.pcm, SAMPLE_RATE, subtype="PCM_16")
    lines = rttm_lines(scene.spec.name, scene.speech)
    (folder / "ref.rttm").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for name, content in (("scene", scene.truth), ("script", scene.script)):
        text = json.dumps(content, indent=1) + "\n"
        (folder / f"{name}.json").write_text(text, encoding="utf-8")
    for role, audio in scene.enrolments.items():
        _flac(folder / f"enrol_{role}.flac", audio)
    if not references:
        return
    gain = 10.0 ** (DRY_GAIN_DB / 20.0)
    for role, audio in scene.dry.items():
        _flac(folder / f"dry_{role}.flac", audio * gain)
    arrays: dict[str, np.ndarray] = {}
    for place, (reverberant, direct) in scene.responses.items():
        arrays[f"h_{place}"] = reverberant.astype(np.float32)
        arrays[f"d_{place}"] = direct.astype(np.float32)
        arrays[f"p_{place}"] = np.array(int(np.argmax(np.abs(direct))), dtype=np.int32)
    np.savez_compressed(folder / "rirs_mic0.npz", allow_pickle=False, **arrays)


def write_noise(scene: Scene, folder: Path) -> None:
    """Writes ``noise.flac``: what ``mics.flac`` has of everything but the turns."""
    soundfile.write(folder / "noise.flac", scene.noise, SAMPLE_RATE, subtype="PCM_16")


def write_excerpt(scene: Scene, folder: Path, start: float, seconds: float) -> None:
    """A few seconds of a scene for fast tests: ``mics.flac``, ``ref.rttm``, ``excerpt.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    first, count = int(start * SAMPLE_RATE), int(seconds * SAMPLE_RATE)
    pcm = scene.pcm[first : first + count]
    soundfile.write(folder / "mics.flac", pcm, SAMPLE_RATE, subtype="PCM_16")
    inside = [
        (max(0.0, a - start), min(seconds, b - start), label)
        for a, b, label in scene.speech
        if b > start and a < start + seconds
    ]
    lines = rttm_lines(folder.name, inside)
    (folder / "ref.rttm").write_text("\n".join(lines) + "\n", encoding="utf-8")
    about = {"scene": scene.spec.name, "start": start, "seconds": seconds}
    (folder / "excerpt.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


def write_manifest(folder: Path) -> None:
    """SHA-256 of every recording and truth file below a folder, as ``sha256sum`` prints it."""
    rows = []
    for path in sorted(folder.rglob("*")):
        if path.suffix in {".flac", ".rttm", ".json", ".npz", ".toml"}:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            rows.append(f"{digest}  {path.relative_to(folder).as_posix()}")
    (folder / MANIFEST).write_text("\n".join(rows) + "\n", encoding="utf-8")

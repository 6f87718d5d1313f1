#!/usr/bin/env python3
"""Renders emergency-bay scenes: recordings of a microphone array with exact truth."""

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

if TYPE_CHECKING:
    from benchmarks.scenes.scene import SceneSpec
    from benchmarks.scenes.voices import Speech

EXAMPLES = """\
examples:
  render.py --committed                        the recordings of tests/scenes, again
  render.py --out DIR --level 65 --mics 6      one random scene at a 65 dB SPL bed
  render.py --out DIR --count 20 --seed 100    twenty of them, seeds 100 to 119
  render.py --out DIR --script my.toml --voice clinician=heart --voice nurse=slt
"""


def _parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog="render.py",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = p.add_argument
    add("--committed", action="store_true", help="render what tests/scenes holds, into --out")
    add("--out", type=Path, default=None, help="folder for the scenes (one folder each)")
    add("--count", type=int, default=1, help="how many random scenes (default 1)")
    add("--seed", type=int, default=1, help="seed of the first; each further scene adds one")
    add("--level", type=float, default=70.0, help="noise bed in dB SPL, 55 to 75 (default 70)")
    add("--mics", type=int, choices=(4, 6), help="circle of 32 mm (4) or 46.3 mm (6)")
    add("--mount", choices=("ceiling", "shelf", "wall"), help="where the array hangs")
    add("--rt60", type=float, help="reverberation time in seconds, 0.2 to 0.9")
    add("--script", help="sepsis, chest-pain, breathless, or a TOML file of that form")
    add("--voice", action="append", default=[], metavar="ROLE=VOICE", help="cast a role")
    add("--overlap", type=float, help="share of speech with two talkers, 0 to 0.3")
    add("--walk", action=argparse.BooleanOptionalAction, help="the clinician moves about")
    add("--n95", action=argparse.BooleanOptionalAction, help="respirators in the second half")
    add("--babble", type=int, help="voices in the background, 1 to 20")
    add("--no-references", action="store_true", help="leave out dry speech and responses")
    add("--noise", action="store_true", help="also write the noise alone, to train networks")
    add("--cache", type=Path, help="where spoken sentences are kept")
    add("--list-voices", action="store_true", help="print the voices and stop")
    return p


def _bad(message: str) -> NoReturn:
    print(f"render.py: {message}", file=sys.stderr)
    raise SystemExit(2)


def _check(a: argparse.Namespace) -> None:
    if a.out is None and not (a.committed or a.list_voices):
        _bad("give --out DIR (or --committed)")
    for name, low, high in (
        ("level", 55.0, 75.0),
        ("rt60", 0.2, 0.9),
        ("overlap", 0.0, 0.3),
        ("babble", 1, 20),
        ("count", 1, 10_000),
    ):
        value = getattr(a, name)
        if value is not None and not low <= value <= high:
            _bad(f"--{name} {value} is outside {low} to {high}")


def _check_script(name: str) -> None:
    from benchmarks.scenes.room import PLACES
    from benchmarks.scenes.timeline import SCRIPTS, load_script

    path = Path(name) if name.endswith(".toml") else SCRIPTS / f"{name}.toml"
    if not path.is_file():
        _bad(f"--script {name}: there is no {path}")
    try:
        roles, turns = load_script(name)
    except (KeyError, TypeError, ValueError) as error:
        _bad(f"--script {name}: not a script ({error!r}); see scripts/sepsis.toml")
    strangers = ({t.role for t in turns} | set(roles)) - set(PLACES)
    if strangers or "clinician" not in roles or {t.role for t in turns} - set(roles):
        _bad(f"--script {name}: roles are {', '.join(PLACES)}, with a clinician among them")


def _specs(a: argparse.Namespace) -> list["SceneSpec"]:
    from benchmarks.scenes.catalogue import random_spec
    from benchmarks.scenes.voices import VOICES

    if a.script is not None:
        _check_script(a.script)
    voices = dict(v.split("=", 1) for v in a.voice if "=" in v)
    if len(voices) != len(a.voice) or not set(voices.values()) <= set(VOICES):
        _bad("--voice takes ROLE=VOICE; --list-voices prints the voices")
    fixed = {
        k: getattr(a, k)
        for k in ("mount", "rt60", "overlap", "walk", "n95", "babble")
        if getattr(a, k) is not None
    }
    specs = []
    for seed in range(a.seed, a.seed + a.count):
        spec = replace(random_spec(seed, a.level, a.mics, a.script), **fixed)
        name = f"r{seed:04d}-{spec.mics}mic-{spec.mount}-{spec.level:.0f}db"
        specs.append(replace(spec, name=name, voices=spec.voices | voices))
    return specs


def _committed(out: Path, speech: "Speech", references: bool) -> None:
    from benchmarks.scenes.catalogue import COMMITTED, EXCERPT
    from benchmarks.scenes.files import write_excerpt, write_manifest, write_scene
    from benchmarks.scenes.scene import render

    source, name, start, seconds = EXCERPT
    for spec in COMMITTED:
        scene = render(spec, speech)
        write_scene(scene, out / spec.name, references)
        _say(scene.truth)
        if spec.name == source:
            write_excerpt(scene, out / name, start, seconds)
    write_manifest(out)


def _say(truth: dict[str, object]) -> None:
    keys = ["duration", "noise_bed_dbspl", "noise_with_events_dbspl", "speech_at_mic0_dbspl"]
    keys += ["median_turn_snr_db", "overlap_fraction", "clinician_share", "rt60_measured"]
    print(truth["scene"], " ".join(f"{k}={truth[k]}" for k in keys), flush=True)


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; 0 when everything was written, 2 for bad use."""
    a = _parser().parse_args(argv)
    _check(a)
    from benchmarks.scenes.files import write_noise, write_scene
    from benchmarks.scenes.scene import render
    from benchmarks.scenes.voices import VOICES, Speech

    if a.list_voices:
        for voice in VOICES.values():
            print(f"{voice.name:12s} {voice.sex}  {voice.engine}  tract {voice.tract}")
        return 0
    home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    speech = Speech(a.cache or home / "bayscribe-scenes")
    if a.committed:
        _committed(a.out or ROOT / "tests" / "scenes", speech, not a.no_references)
        return 0
    for spec in _specs(a):
        scene = render(spec, speech)
        write_scene(scene, a.out / spec.name, not a.no_references)
        if a.noise:
            write_noise(scene, a.out / spec.name)
        _say(scene.truth)
    return 0


if __name__ == "__main__":
    sys.exit(main())

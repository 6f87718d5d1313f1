"""``python -m benchmarks.writeback.fuzz``: coverage-guided fuzzing of what comes from outside.

Each target runs in a process of its own under atheris (libFuzzer) for a number of seconds.
A crash, an input that takes longer than ten seconds, memory without bound, or content in a
log ends the run with status 1 and leaves the input in the folder that is named.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.writeback import figures
from benchmarks.writeback.fuzz_targets import TARGETS, seeds

_ROUNDS = re.compile(r"^#(\d+)\s", re.MULTILINE)
_CHILD = """
import sys
import atheris
with atheris.instrument_imports(include=["bayscribe", "bayscribe_relay"]):
    from benchmarks.writeback import fuzz_targets
fuzz_targets.watched()
atheris.Setup([sys.argv[0], *sys.argv[2:]], fuzz_targets.TARGETS[sys.argv[1]])
atheris.Fuzz()
"""


def fuzz(name: str, seconds: int, folder: Path) -> tuple[bool, str]:
    """Fuzz one target; whether nothing fell, and what to print of it."""
    corpus = folder / name
    corpus.mkdir(parents=True, exist_ok=True)
    for place, seed in enumerate(seeds()[name]):
        (corpus / f"seed-{place}").write_bytes(seed)
    options = [f"-max_total_time={seconds}", "-timeout=10", "-rss_limit_mb=1024"]
    options += ["-max_len=8192", f"-artifact_prefix={folder}/{name}-"]
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, name, *options, str(corpus)],
        capture_output=True, text=True, check=False, timeout=seconds + 300,
    )  # fmt: skip
    rounds = max((int(found) for found in _ROUNDS.findall(done.stderr)), default=0)
    if done.returncode == 0 and rounds:
        return True, f"{name:10s} {rounds} inputs in {seconds} s, nothing fell"
    return False, f"{name:10s} FELL after {rounds} inputs: {done.stderr[-2_000:]}"


def main(arguments: Sequence[str] = ()) -> int:
    """Fuzz and report."""
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=180, help="for each target")
    parser.add_argument("--target", choices=sorted(TARGETS), action="append")
    options = parser.parse_args(arguments)
    folder = Path(tempfile.mkdtemp(prefix="bayscribe-fuzz-"))
    print(f"fuzzing with atheris; {figures.machine()}; inputs kept in {folder}")
    good = True
    for name in options.target or TARGETS:
        held, line = fuzz(name, options.seconds, folder)
        good = good and held
        print(f"  {line}", flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

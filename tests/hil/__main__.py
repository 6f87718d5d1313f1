"""``./run hil [NAME ...]``: the long hardware-in-loop runs, by name; all without one."""

import argparse
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent


def _module(name: str, *arguments: str) -> Callable[[], int]:
    return lambda: subprocess.run([sys.executable, "-m", name, *arguments], check=False).returncode


def _script(name: str) -> Callable[[], int]:
    return lambda: subprocess.run(["sh", str(HERE / name)], check=False).returncode


RUNS: dict[str, tuple[str, Callable[[], int]]] = {
    "kills": ("kill -9 of appliance, relay and both, 50 times each", _module("hil.kills")),
    "powercut": ("30 power cuts in User-Mode Linux, and the control", _module("hil.powercut")),
    "image": ("the image in QEMU: power-on to an acknowledged segment", _module("hil.image")),
    "unboxed": (
        "from a unit without a key to an acknowledged segment, by the guide, timed",
        _module("hil.unboxed"),
    ),
    "arm64": ("the image for 64-bit ARM in QEMU, to its enrolment", _module("hil.image.arm64")),
    "update": ("updates and a rollback in QEMU", _module("hil.image.update")),
    "grub": ("the boot loader's choices and attempts, in QEMU", _module("hil.image.grub")),
    "update-uml": (
        "updates and a rollback of the whole system in User-Mode Linux",
        _module("hil.image.update_uml"),
    ),
    "update-cuts": (
        "50 power cuts during updates, in User-Mode Linux",
        _module("hil.image.cuts", "--cuts", "50"),
    ),
    "aarch64": ("the beam's bits on aarch64, under qemu-user", _script("aarch64_beam.sh")),
    "synthetic": (
        "kill -9 of a synthetic unit, the relay and both, 50 times each",
        _module("faults.kill_synthetic"),
    ),
}


def main() -> int:
    """Run what was asked for; exit status 1 if anything failed."""
    parser = argparse.ArgumentParser(
        prog="./run hil",
        description="Long hardware-in-loop runs.",
        epilog="\n".join(f"  {name:10} {what}" for name, (what, _) in RUNS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME")
    names = parser.parse_args().names or list(RUNS)
    unknown = [name for name in names if name not in RUNS]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}")
    failed = []
    for name in names:
        print(f"== {name}: {RUNS[name][0]}", flush=True)
        if RUNS[name][1]() != 0:
            failed.append(name)
    print(f"{len(names) - len(failed)} passed, {len(failed)} failed {' '.join(failed)}".strip())
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

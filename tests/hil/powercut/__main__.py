"""Cut the power of a machine that runs the real buffer, again and again.

After every cut the machine starts anew and the buffer must hold every record whose append
had returned (and at most one more), be acknowledged no less than it had said, verify from
end to end, and not look tampered with. The same without flushes must lose records:
otherwise the experiment shows nothing.
"""

import argparse
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from hil.powercut.machine import BUILD, Machine, MachineError, build_root, cut_later, new_data_disk
from hil.powercut.promises import Promises

CONTROL_CUTS = 5


def cut_flushed(root: Path, cuts: int, chance: random.Random) -> bool:
    """Cut the power of the buffer as it is; whether every promise held."""
    began, promises = time.monotonic(), Promises()
    data = new_data_disk("flushed.ext4")
    for number in range(cuts + 1):
        _boot(Machine(root, data, _log("flushed", number)), promises, number < cuts, chance)
        if promises.problems:
            print(f"after cut {number}: {'; '.join(promises.problems)}", flush=True)
            break
    print(
        f"power cuts: {cuts} cuts, {promises.appended} records appended, "
        f"{promises.acknowledged} acknowledged; the buffer was opened "
        f"{promises.openings} times, read back whole {promises.checked} times, and "
        f"had something to repair {promises.repairs} times; {promises.lost} records lost, "
        f"{len(promises.problems)} problems; {time.monotonic() - began:.0f} s",
        flush=True,
    )
    return not promises.problems


def cut_unflushed(root: Path, cuts: int, chance: random.Random) -> bool:
    """Cut the power of a buffer that never flushes; whether it lost records, as it must."""
    began, promises = time.monotonic(), Promises()
    data = new_data_disk("unflushed.ext4")
    for number in range(cuts + 1):
        machine = Machine(root, data, _log("unflushed", number), "powercut.unflushed")
        _boot(machine, promises, number < cuts, chance)
        if promises.broken:
            print(f"control, after cut {number}: {promises.problems[-1]}", flush=True)
            break
    print(
        f"control without flushes: {cuts} cuts, {promises.lost} records lost in "
        f"{promises.losses} of them: "
        f"{'it fails, as it must' if promises.lost else 'IT LOST NOTHING: the runs show nothing'}"
        f"; {time.monotonic() - began:.0f} s",
        flush=True,
    )
    return promises.lost > 0


def _boot(machine: Machine, promises: Promises, cut: bool, chance: random.Random) -> None:
    """Let the machine run, cut its power, and take in what it had said."""
    try:
        if cut:
            cut_later(machine, chance)
        else:
            machine.wait_for("READY")
    finally:
        machine.cut()
    promises.hear(machine.lines())


def _log(name: str, number: int) -> Path:
    return BUILD / f"{name}-{number:03d}.log"


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0 if nothing was lost and the control lost something."""
    parser = argparse.ArgumentParser(prog="hil.powercut", description=__doc__)
    parser.add_argument("--cuts", type=int, default=30, help="power cuts (%(default)s)")
    parser.add_argument(
        "--control",
        type=int,
        nargs="?",
        const=CONTROL_CUTS,
        default=CONTROL_CUTS,
        metavar="CUTS",
        help="power cuts without flushes (%(default)s)",
    )
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    options = parser.parse_args(argv)
    if options.cuts < 1 or options.control < 1:
        parser.error("both need at least one cut: without its control a run shows nothing")
    print(f"seed {options.seed}", flush=True)
    chance = random.Random(options.seed)
    try:
        root = build_root()
        kept = cut_flushed(root, options.cuts, chance)
        lost = cut_unflushed(root, options.control, chance)
    except MachineError as error:
        print(f"power cuts: {error}", file=sys.stderr)
        return 2
    return 0 if kept and lost else 1


if __name__ == "__main__":
    sys.exit(main())

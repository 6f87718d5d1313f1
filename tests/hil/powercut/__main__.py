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
from dataclasses import dataclass, field
from pathlib import Path

from hil.powercut.machine import BUILD, Machine, MachineError, build_root, cut_later, new_data_disk


@dataclass(slots=True)
class Promises:
    """What the guest has said over all boots, and what became of it."""

    chains: dict[int, str] = field(default_factory=dict)
    appended: int = 0
    acknowledging: int = 0
    acknowledged: int = 0
    checked: int = 0
    problems: list[str] = field(default_factory=list)

    def hear(self, lines: Sequence[str]) -> None:
        """Take in one boot's lines, the promises of those before in mind."""
        for line in lines:
            match line.split(" "):
                case ["INSPECT", "tampered"]:
                    self.problems.append("an inspection takes the cut for tampering")
                case ["BROKEN", *rest]:
                    self.problems.append(f"broken: {' '.join(rest)}")
                case ["FOUND", newest, acked, chain]:
                    self._found(int(newest), int(acked), chain)
                case ["VERIFIED", _]:
                    self.checked += 1
                case ["APPENDED", seq, chain]:
                    self.appended = int(seq)
                    self.chains[int(seq)] = chain
                case ["ACKNOWLEDGING", seq]:
                    self.acknowledging = max(self.acknowledging, int(seq))
                case ["ACKNOWLEDGED", seq]:
                    self.acknowledged = max(self.acknowledged, int(seq))

    def _found(self, newest: int, acked: int, chain: str) -> None:
        if newest < self.appended:
            self.problems.append(f"lost records {newest + 1} to {self.appended}")
        if newest > self.appended + 1:
            self.problems.append(f"{newest - self.appended} records more than were appended")
        if not self.acknowledged <= acked <= max(self.acknowledged, self.acknowledging):
            self.problems.append(f"acknowledged up to {acked}, said {self.acknowledged}")
        if self.chains.setdefault(newest, chain) != chain:
            self.problems.append(f"record {newest} is another one than was appended")
        self.appended = newest
        self.acknowledged = self.acknowledging = acked


def cut_often(root: Path, name: str, cuts: int, chance: random.Random, *words: str) -> Promises:
    """Cut a machine's power ``cuts`` times and look once more; stops at the first problem."""
    data, promises = new_data_disk(f"{name}.ext4"), Promises()
    for number in range(cuts + 1):
        machine = Machine(root, data, BUILD / f"{name}-{number:03d}.log", *words)
        try:
            if number < cuts:
                cut_later(machine, chance)
            else:
                machine.wait_for("READY")
        finally:
            machine.cut()
        promises.hear(machine.lines())
        if promises.problems:
            print(f"{name}: after cut {number}: {'; '.join(promises.problems)}", flush=True)
            break
    return promises


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0 if nothing was lost and the control lost something."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cuts", type=int, default=30, help="power cuts (%(default)s)")
    parser.add_argument("--control", type=int, default=5, help="without flushes (%(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(argv)
    chance, began = random.Random(options.seed), time.monotonic()
    try:
        root = build_root()
        kept = cut_often(root, "flushed", options.cuts, chance)
        control = cut_often(root, "unflushed", options.control, chance, "powercut.unflushed")
    except MachineError as error:
        print(f"power cuts: {error}", file=sys.stderr)
        return 2
    lost = any(problem.startswith(("lost", "broken")) for problem in control.problems)
    print(
        f"power cuts: {options.cuts} cuts, {kept.appended} records appended, "
        f"{kept.acknowledged} acknowledged, {kept.checked} times verified whole, "
        f"{len(kept.problems)} problems; the control without flushes "
        f"{'loses records, as it must' if lost else 'LOST NOTHING: the experiment is void'}; "
        f"{time.monotonic() - began:.0f} s"
    )
    return 0 if lost and not kept.problems else 1


if __name__ == "__main__":
    sys.exit(main())

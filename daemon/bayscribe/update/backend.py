"""What rauc(1) asks of the boot loader, by its custom boot loader interface.

rauc's own GRUB backend counts every start of every slot, so that a cut of power during a
start throws a good system away, and it rewrites the environment file in place. Here a slot
that rauc is about to write becomes void, and nothing that rauc says makes it start: that is
for :mod:`bayscribe.update.install`, after the slot was read back.
"""

import sys
from collections.abc import Sequence

from bayscribe.errors import BayscribeError
from bayscribe.update.bootstate import SLOTS
from bayscribe.update.machine import Machine


def answer(words: Sequence[str], machine: Machine) -> str:
    """Carry out one request; what is printed.

    Raises:
        BayscribeError: the state cannot be read or written.
        ValueError: it is no request of rauc's.
    """
    sector = machine.sector()
    state = sector.read()
    match list(words):
        case ["get-primary"]:
            return state.starts() or ""
        case ["get-state", name] if name in SLOTS:
            healthy = state.of(name) in ("good", "1", "2", "3")
            return "good" if healthy else "bad"
        case ["set-state", name, "bad"] if name in SLOTS and name != machine.slot():
            sector.write(state.with_state(name, "void", first=machine.slot()))
            return ""
        case ["set-state", name, _] | ["set-primary", name] if name in SLOTS:
            raise BayscribeError(
                f"rauc may not decide on slot {name}", "use `bayscribe update`", code="update"
            )
    raise ValueError(f"unknown request {list(words)}")


def main() -> int:
    """Entry point; exit status as rauc expects it."""
    try:
        print(answer(sys.argv[1:], Machine()))  # noqa: T201 - the answer
    except (BayscribeError, ValueError) as error:
        print(f"boot-choice: {error}", file=sys.stderr)  # noqa: T201 - for rauc's log
        return 1
    return 0

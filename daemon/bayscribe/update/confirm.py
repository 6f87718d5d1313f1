"""After a start: believe a new system that does its job, or go back to the old one."""

import logging
import time
from collections.abc import Callable, Sequence
from enum import StrEnum

from bayscribe.enrol.keystore import replace_file
from bayscribe.update.bootstate import other
from bayscribe.update.jobchecks import Check
from bayscribe.update.machine import Machine

PATIENCE_S = 300.0
"""Seconds that a new system has for its checks. Well above the slowest start that was seen,
with an array that is plugged in late."""
POLL_S = 2.0

log = logging.getLogger("bayscribe.update")


class Outcome(StrEnum):
    """What became of a start."""

    SETTLED = "settled"
    """The system was not on trial."""
    GOOD = "good"
    BAD = "bad"


def confirm(
    machine: Machine,
    checks: Callable[[], Sequence[Check]],
    patience_s: float = PATIENCE_S,
    *,
    clock: Callable[[], float] = time.monotonic,
    wait: Callable[[float], None] = time.sleep,
) -> tuple[Outcome, list[Check]]:
    """Decide on the running system if it is on trial; the decision is on the disk.

    Args:
        machine: the unit.
        checks: asked every two seconds until all pass.
        patience_s: seconds until the system is given up.
        clock: monotonic seconds.
        wait: sleeps.

    Returns:
        the outcome and the checks as they were last; after ``BAD`` the unit must restart.

    Raises:
        StorageError: the boot state cannot be written.
    """
    slot, sector = machine.slot(), machine.sector()
    state = sector.read()
    if not state.on_trial(slot):
        _raise_floor(machine)
        return Outcome.SETTLED, []
    end = clock() + patience_s
    while True:
        found = list(checks())
        if found and all(check.passed for check in found):
            sector.write(state.with_state(slot, "good", first=slot))
            _raise_floor(machine)
            log.info("the new system does its job", extra={"slot": slot})
            return Outcome.GOOD, found
        if clock() >= end:
            sector.write(state.with_state(slot, "bad", first=other(slot)))
            failed = {check.name: check.found for check in found if not check.passed}
            log.error("the new system does not do its job", extra={"slot": slot, "failed": failed})
            return Outcome.BAD, found
        wait(POLL_S)


def _raise_floor(machine: Machine) -> None:
    """Remember this release as one that this unit has had."""
    floor = machine.floor()
    path = machine.state / "floor"
    machine.state.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text(encoding="ascii") != str(floor):
        replace_file(path, str(floor).encode())

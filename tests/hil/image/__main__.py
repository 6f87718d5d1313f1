"""``./run hil image``: from power-on to the first acknowledged segment, in QEMU.

A fresh disk, a fresh site: the unit makes its key, enrols, records the scene that its
microphone hears, and the relay acknowledges. Then the power is cut and it starts again.
Software emulation on one processor: a board is faster.

The time of capturing is that of the first sample that the relay holds of the run, as the unit
sealed it. Its clock is the emulator's real-time clock, which is read once, in whole seconds:
a second is added, so that what is printed is never too early.
"""

import argparse
import os
import shutil
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from image.declaration import REPOSITORY

from hil.image.builds import built
from hil.image.guest import PROFILE, Guest, GuestError, journal, make_disk
from hil.image.site import HospitalSite

WORK = REPOSITORY / ".build" / "hil-image"
TARGET_S = 60.0
"""By the clock on the wall."""

CLOCK_STEP_S = 1.0
PATIENCE_S = 1800.0


def power_on(site: HospitalSite, disk: Path, log: Path, what: str) -> float:
    """One start, until the relay has acknowledged a segment of it; seconds to capturing.

    Raises:
        GuestError: it did not come so far.
    """
    runs = site.first_captured_s()
    switched_on = time.time()
    guest = Guest(disk, log)
    used: list[tuple[float, float]] = []

    def ready() -> bool:
        used.append((guest.age, guest.processor_s))
        return "BAYSCRIBE-READY" in guest.console()

    try:
        loaded = guest.wait(ready, "a unit that is ready", PATIENCE_S)
        loaded_used = guest.processor_s
        arrives = guest.wait(
            lambda: len(site.first_captured_s()) > len(runs), "an acknowledged segment", PATIENCE_S
        )
        arrives_used = guest.processor_s
    finally:
        guest.cut()
    first = min(at for run, at in site.first_captured_s().items() if run not in runs)
    captures = first - switched_on + CLOCK_STEP_S
    captures_used = next((cpu for age, cpu in used if age >= captures), loaded_used)
    _say(f"{what}: power-on to capturing", captures, captures_used)
    _say(f"{what}: power-on to everything loaded", loaded, loaded_used)
    _say(f"{what}: power-on to first acknowledged segment", arrives, arrives_used)
    return captures


def _say(what: str, wall_s: float, processor_s: float) -> None:
    print(
        f"{what}: {wall_s:.0f} s, of which the emulator had a processor for {processor_s:.0f} s "
        f"(load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors)",
        flush=True,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0 if both starts came to an acknowledged segment, in time."""
    parser = argparse.ArgumentParser(prog="hil.image", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="keep disk and logs")
    options = parser.parse_args(argv)
    WORK.mkdir(parents=True, exist_ok=True)
    image = built("amd64").image
    site = HospitalSite(WORK / "site")
    site.start()
    disk = WORK / "unit.img"
    try:
        make_disk(image, disk, site.order(PROFILE))
        power_on(site, disk, WORK / "first.log", "first start")
        again = power_on(site, disk, WORK / "second.log", "every start")
        segments, encounters, problems = site.received()
    except GuestError:
        traceback.print_exc()
        print(journal(disk)[-6000:], file=sys.stderr)
        return 1
    finally:
        site.stop()
    reasons = [encounter.state.closed_reason or "open" for encounter in encounters]
    print(f"{segments} segments in {len(encounters)} encounters ({', '.join(reasons)}), ", end="")
    print(f"{len(problems)} problems; target for capturing {TARGET_S:.0f} s: ", end="")
    print("met" if again < TARGET_S else "MISSED")
    if not options.keep:
        shutil.rmtree(WORK)
    return 0 if again < TARGET_S and not problems else 1


if __name__ == "__main__":
    sys.exit(main())

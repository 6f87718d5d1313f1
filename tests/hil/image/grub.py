"""``./run hil grub``: the real boot loader's choices, in QEMU.

A new system in slot B is started three times without ever being confirmed, by cutting the power
as soon as GRUB has handed over; the fourth start must be slot A again. Then a slot that is
void, and one that cannot be loaded. What GRUB writes to the disk is read back from the disk.
"""

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from image.commands import sh
from image.declaration import REPOSITORY
from image.disk import put

from bayscribe.update.bootstate import BootState
from hil.image.builds import built
from hil.image.disks import LAYOUT, boot_state, set_boot_state
from hil.image.guest import Guest, GuestError

WORK = REPOSITORY / ".build" / "hil-grub"
PATIENCE_S = 900.0

TRIAL = BootState("b", "good", "3")
STEPS = (
    ("a new system, first attempt", TRIAL, "b", BootState("b", "good", "2")),
    ("second attempt", None, "b", BootState("b", "good", "1")),
    ("third attempt", None, "b", BootState("b", "good", "0")),
    ("no attempt left", None, "a", BootState("b", "good", "0")),
    ("slot A being written", BootState("a", "void", "good"), "b", BootState("a", "void", "good")),
)
"""What it is, state to begin with (None: as the last step left it), slot that must start, and
the state that must be on the disk then."""


def started(disk: Path, log: Path, times: int = 1) -> str:
    """Power on, until GRUB has named so many slots; the last of them.

    Raises:
        GuestError: it never does.
    """
    guest = Guest(disk, log)
    try:
        guest.wait(lambda: len(guest.starts()) >= times, "a start", PATIENCE_S)
        return guest.starts()[-1]
    finally:
        guest.cut()


def run(disk: Path) -> None:
    """All steps.

    Raises:
        GuestError: GRUB chose otherwise.
    """
    for number, (what, before, slot, after) in enumerate(STEPS):
        if before is not None:
            set_boot_state(disk, before)
        chosen = started(disk, WORK / f"{number}.log")
        found = boot_state(disk)
        print(f"{what}: slot {chosen} ({found.a}, {found.b})", flush=True)
        if (chosen, found) != (slot, after):
            raise GuestError(f"expected slot {slot} and {after}, found {found}")
    with disk.open("r+b") as file:
        file.seek(LAYOUT.places["slot-b"][0] << 20)
        file.write(bytes(1 << 20))
    set_boot_state(disk, BootState("b", "good", "good"))
    chosen = started(disk, WORK / "unloadable.log", times=2)
    print(f"slot B cannot be loaded: slot {chosen}", flush=True)
    if chosen != "a":
        raise GuestError("a slot that cannot be loaded did not give way")


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0 if GRUB chose as it must."""
    argparse.ArgumentParser(prog="hil.image.grub", description=__doc__).parse_args(argv)
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    base, disk = built("amd64"), WORK / "unit.img"
    sh("cp", "--sparse=always", base.image, disk)
    put(disk, base.image.with_suffix(".slot"), LAYOUT.places["slot-b"][0])
    try:
        run(disk)
    except GuestError as error:
        print(f"grub: {error}", file=sys.stderr)
        return 1
    shutil.rmtree(WORK)
    return 0


if __name__ == "__main__":
    sys.exit(main())

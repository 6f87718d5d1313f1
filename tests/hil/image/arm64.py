"""``./run hil arm64``: the image for 64-bit ARM in QEMU's ``virt`` machine.

From UEFI firmware through GRUB and the slot's own kernel to the unit's first-start enrolment:
the site certifies the key that the unit made. No microphone: its plug-in would have to be
built for that processor, and bit-exactness there is ``./run hil aarch64``'s to show.
"""

import argparse
import os
import shutil
import sys
import traceback
from collections.abc import Sequence

from image.declaration import REPOSITORY

from hil.image.builds import built
from hil.image.guest import PROFILE, Guest, GuestError, journal, make_disk
from hil.image.site import HospitalSite

WORK = REPOSITORY / ".build" / "hil-arm64"
PATIENCE_S = 1800.0


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0 if the unit was enrolled."""
    argparse.ArgumentParser(prog="hil.image.arm64", description=__doc__).parse_args(argv)
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    site, disk = HospitalSite(WORK / "site"), WORK / "unit.img"
    site.start()
    try:
        make_disk(built("arm64").image, disk, site.order(PROFILE), microphone=False)
        guest = Guest(disk, WORK / "console.log", machine="arm64")
        try:
            guest.wait_for("starting slot a", PATIENCE_S)
            enrolled = guest.wait((site.keys / "issued").is_dir, "a certificate", PATIENCE_S)
            emulated = guest.processor_s
        finally:
            guest.cut()
    except GuestError:
        traceback.print_exc()
        print(journal(disk)[-6000:], file=sys.stderr)
        return 1
    finally:
        site.stop()
    load = f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors"
    print(
        f"arm64: power-on to enrolled {enrolled:.0f} s, of which the emulator had a processor "
        f"for {emulated:.0f} s ({load})"
    )
    shutil.rmtree(WORK)
    return 0


if __name__ == "__main__":
    sys.exit(main())

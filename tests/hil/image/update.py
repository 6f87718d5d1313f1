"""``./run hil update``: updates of a running unit in QEMU, asked for by its relay.

1. A good bundle: fetched, written to slot B, started, confirmed by the unit's own checks.
2. A bundle whose networks were altered: written to slot A, started, found unfit, and slot B
   started again without anybody's help.
3. An older release and a bundle of another publisher: fetched, refused, nothing changed.
"""

import argparse
import hashlib
import json
import shutil
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from image.declaration import REPOSITORY

from hil.image.builds import Built, built, variant
from hil.image.disks import boot_state
from hil.image.guest import PROFILE, Guest, GuestError, journal, make_disk
from hil.image.site import HOST, HospitalSite

WORK = REPOSITORY / ".build" / "hil-update"
ALTERED = "usr/lib/bayscribe/site/bayscribe/data/models/silero_fp16.tflite"
PATIENCE_S = 1800.0

JUDGE_S = 900.0
"""How long a bundle is given to be fetched and refused; fetching took seven minutes."""


def ask(site: HospitalSite, guest: Guest, bundle: Path) -> None:
    """Have the relay ask the unit to take a bundle."""
    target = site.updates / bundle.name
    if not target.exists():
        target.hardlink_to(bundle)
    with bundle.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    url = f"https://{HOST}:{site.provision_port}/v1/updates/{bundle.name}"
    words = {"url": url, "sha256": digest, "size": str(bundle.stat().st_size)}
    guest.wait(lambda: site.command("stage_update", words), "a unit that is connected")


def good_update(site: HospitalSite, guest: Guest, disk: Path, bundle: Path) -> None:
    """Slot B starts and becomes good."""
    began = time.monotonic()
    ask(site, guest, bundle)
    guest.wait(lambda: boot_state(disk).b == "void", "slot B being written", PATIENCE_S)
    guest.wait(lambda: boot_state(disk).first == "b", "slot B on trial", PATIENCE_S)
    print(f"good: fetched, written, read back in {time.monotonic() - began:.0f} s", flush=True)
    guest.wait(lambda: guest.starts()[-1] == "b", "a start from slot B", PATIENCE_S)
    guest.wait(lambda: boot_state(disk).b == "good", "slot B marked good", PATIENCE_S)
    print(f"good: slot B confirmed after {time.monotonic() - began:.0f} s", flush=True)


def bad_update(site: HospitalSite, guest: Guest, disk: Path, bundle: Path) -> None:
    """Slot A starts, is found unfit, and slot B starts again."""
    began, before = time.monotonic(), len(guest.starts())
    ask(site, guest, bundle)
    guest.wait(lambda: guest.starts()[before:] == ["a"], "a start from slot A", PATIENCE_S)
    guest.wait(lambda: boot_state(disk).a == "bad", "slot A found unfit", PATIENCE_S)
    guest.wait(lambda: guest.starts()[before:] == ["a", "b"], "slot B again", PATIENCE_S)
    print(f"unfit: rolled back by itself after {time.monotonic() - began:.0f} s", flush=True)


def refused(site: HospitalSite, guest: Guest, disk: Path, bundles: Sequence[Path]) -> None:
    """Neither bundle changes anything; what the unit says of them is read afterwards."""
    before = boot_state(disk)
    for bundle in bundles:
        segments, _, _ = site.received()
        ask(site, guest, bundle)
        # The unit goes on with its job while it fetches and refuses.
        guest.wait(lambda n=segments: site.received()[0] > n + 2, "segments", PATIENCE_S)  # type: ignore[misc]  # the default binds the loop's value
        time.sleep(JUDGE_S)
    if boot_state(disk) != before:
        raise GuestError(f"the boot state changed from {before} to {boot_state(disk)}")


def scenario(base: Built, site: HospitalSite, disk: Path) -> None:
    """All of it, on one disk."""
    ours, theirs = base.work.parent / "keys", WORK / "foreign-keys"
    good = variant(base, base.release + 1, WORK, signer=ours)
    unfit = variant(base, base.release + 2, WORK, spoil=ALTERED, signer=ours)
    foreign = variant(base, base.release + 3, WORK / "foreign", signer=theirs)
    make_disk(base.image, disk, site.order(PROFILE))
    guest = Guest(disk, WORK / "console.log")
    try:
        guest.wait_for("BAYSCRIBE-READY", PATIENCE_S)
        good_update(site, guest, disk, good)
        bad_update(site, guest, disk, unfit)
        guest.wait_for("BAYSCRIBE-READY", PATIENCE_S, times=3)
        refused(site, guest, disk, [base.bundle, foreign])
    finally:
        guest.cut()
    said = journal(disk)
    for what, text in (
        ("older release", "is not above"),
        ("foreign signature", "this unit trusts"),
    ):
        if text not in said:
            raise GuestError(f"the unit did not refuse the {what}")
        print(f"{what}: refused, nothing changed", flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0 if every step came out as it must."""
    parser = argparse.ArgumentParser(prog="hil.image.update", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="keep disk and logs")
    options = parser.parse_args(argv)
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    site, disk = HospitalSite(WORK / "site"), WORK / "unit.img"
    site.start()
    try:
        scenario(built("amd64"), site, disk)
        segments, _, problems = site.received()
    except GuestError:
        traceback.print_exc()
        if disk.exists():
            print(journal(disk)[-8000:], file=sys.stderr)
        return 1
    finally:
        site.stop()
    print(json.dumps({"segments": segments, "problems": problems}))
    if not options.keep:
        shutil.rmtree(WORK)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())

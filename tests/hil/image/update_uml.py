"""``./run hil update-uml``: updates of the whole system, in User-Mode Linux, without a network.

The image's own systemd starts the image's own services, on an enrolled unit with a recorded
microphone. An operator's step (uml_step.sh) asks, the services do the rest:

1. A good release: written to slot B, started, confirmed by the unit's own checks.
2. An older release and one of another publisher: refused.
3. A release whose networks were altered: written to slot A, started, found unfit, and slot B
   started again.
"""

import argparse
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from image.commands import sh
from image.declaration import REPOSITORY
from image.disk import data_partition, put

from bayscribe.enrol.order import ArrayTable, EnrolmentTable, Order, UnitTable, UplinkTable
from bayscribe.enrol.order import configuration as unit_toml
from bayscribe_relay.cli import main as relay_command
from hil.image.builds import Built, built, variant
from hil.image.cuts import VARIANTS
from hil.image.disks import LAYOUT, boot_state
from hil.image.guest import DROP_IN, HERE, PROFILE, lay_microphone
from hil.image.uml import Machine, System, UmlError, next_start, ram_disk

WORK = REPOSITORY / ".build" / "hil-update-uml"
ALTERED = "usr/lib/bayscribe/site/bayscribe/data/models/silero_fp16.tflite"
DISK_MIB = 2048
PATIENCE_S = 1500.0


def _unit(folder: Path) -> None:
    """Make the folder of a unit that has been enrolled."""
    keys = WORK / "keys"
    for words in (["init", str(keys)], ["device", "bay-31", "--dir", str(keys)],
                  ["seal-key", "--dir", str(keys)]):  # fmt: skip
        if relay_command(["pki", *words]) != 0:
            raise UmlError(f"pki {words[0]} failed")
    (folder / "bayscribe.service.d").mkdir(parents=True)
    (folder / "bayscribe.service.d" / "test.conf").write_text(DROP_IN)
    for name, source in (
        ("device.crt", "bay-31.pem"),
        ("device.key", "bay-31.key"),
        ("relay-ca.crt", "ca.pem"),
        ("relay-seal.pub", "seal.pub"),
    ):
        shutil.copy(keys / source, folder / name)
    order = Order(
        EnrolmentTable(url="https://nowhere", device="bay-31", ca_sha256="0" * 64, token="-" * 16),
        UnitTable("hil", "bay-31"),
        ArrayTable(PROFILE, "bay"),
        UplinkTable("wss://nowhere.invalid:8443"),
    )
    (folder / "bayscribe.toml").write_text(unit_toml(order))


def prepare(base: Built) -> tuple[Path, Path, Path, list[System]]:
    """Disk, bundles' disk, initial RAM disk, and the three systems."""
    ours = base.work.parent / "keys"
    good = variant(base, base.release + 1, VARIANTS, signer=ours)
    unfit = variant(base, base.release + 2, VARIANTS / "unfit", spoil=ALTERED, signer=ours)
    foreign = variant(base, base.release + 3, VARIANTS / "foreign", signer=WORK / "foreign-keys")
    systems = []
    for number, bundle in enumerate((base.bundle, good, unfit)):
        slot = bundle.with_suffix(".slot")
        digest = sh("sha256sum", slot).split()[0]
        systems.append(System(base.release + number, digest, slot.stat().st_size, bundle))
    disk, bundles = WORK / "unit.img", WORK / "bundles"
    sh("cp", "--sparse=always", base.image, disk)
    sh("truncate", "-s", f"{DISK_MIB}M", disk)
    content = WORK / "content"
    _unit(content / "lib" / "bayscribe-unit")
    lay_microphone(content / HERE.removeprefix("/var/"))
    (content / "uml").mkdir()
    for name, target in (("uml_guest.sh", "init"), ("uml_step.sh", "step.sh")):
        shutil.copy(Path(__file__).with_name(name), content / "uml" / target)
        (content / "uml" / target).chmod(0o755)
    data_partition(WORK / "data", LAYOUT.places["data"][1], "uml", content)
    put(disk, WORK / "data", LAYOUT.places["data"][0])
    bundles.mkdir()
    named = {"older": base.bundle, "good": good, "unfit": unfit, "foreign": foreign}
    for name, bundle in named.items():
        (bundles / f"{name}.raucb").hardlink_to(bundle)
    (bundles / "releases").write_text(f"base={base.release}\n")
    room = sum(bundle.stat().st_size for bundle in named.values()) // 2**20 + 96
    sh("truncate", "-s", f"{room}M", WORK / "bundles.ext4")
    sh("mkfs.ext4", "-q", "-F", "-d", bundles, WORK / "bundles.ext4")
    ram_disk(base, WORK / "initrd", "/var/uml/init")
    return disk, WORK / "bundles.ext4", WORK / "initrd", systems


def start(number: int, parts: tuple[Path, Path, Path, list[System]], slot: str) -> Machine:
    """Start what GRUB would, which must be this slot.

    Raises:
        UmlError: it would be another.
    """
    disk, bundles, ram, systems = parts
    chosen, system = next_start(disk, systems)
    if chosen != slot:
        raise UmlError(f"slot {chosen} would start, not {slot}: {boot_state(disk)}")
    print(f"start {number}: slot {chosen}, release {system.release}", flush=True)
    return Machine(disk, bundles, ram, chosen, WORK / f"start-{number}.log")


def scenario() -> None:
    """All steps.

    Raises:
        UmlError: one did not come out as it must.
    """
    base = built("amd64")
    parts = prepare(base)
    disk = parts[0]
    first = start(1, parts, "a")
    first.wait_for(f"GOOD a {base.release}", PATIENCE_S)
    first.wait_halted(PATIENCE_S)
    print(f"  took the good bundle, and restarted by itself: {boot_state(disk)}", flush=True)
    second = start(2, parts, "b")
    second.wait_for(f"GOOD b {base.release + 1}", PATIENCE_S)
    print(f"  slot b did its job and is good after {time.monotonic() - second.began:.0f} s")
    second.wait_halted(PATIENCE_S)
    for name in ("older", "foreign"):
        if f"REFUSED {name}" not in second.said() or f"TAKEN {name}" in second.said():
            raise UmlError(f"the {name} bundle was not refused: {second.said()[-1500:]}")
    for why in ("is not above", "this unit trusts"):
        if why not in second.said():
            raise UmlError(f"nobody said {why!r}: {second.said()[-1500:]}")
    print("  refused an older release and a foreign signature, took the unfit one", flush=True)
    third = start(3, parts, "a")
    third.wait_halted(PATIENCE_S)
    if boot_state(disk).a != "bad" or "models       FAIL" not in third.said():
        raise UmlError(f"slot a was not found unfit: {third.said()[-1500:]}")
    print(f"  found unfit after {time.monotonic() - third.began:.0f} s, and restarted by itself")
    fourth = start(4, parts, "b")
    try:
        fourth.wait_for(f"FINISHED b {base.release + 1}", PATIENCE_S)
    finally:
        fourth.cut()
    print(f"  slot b again, good, without anybody's help: {boot_state(disk)}", flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0 if every step came out as it must."""
    argparse.ArgumentParser(prog="hil.image.update_uml", description=__doc__).parse_args(argv)
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    try:
        scenario()
    except UmlError as error:
        print(f"update-uml: {error}", file=sys.stderr)
        return 1
    shutil.rmtree(WORK)
    return 0


if __name__ == "__main__":
    sys.exit(main())

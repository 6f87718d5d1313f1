"""``./run hil update-cuts``: power cuts at random moments of an update.

The machine is User-Mode Linux, because a start takes seconds in it; partitions, initial RAM
disk, slots, rauc and updater are the unit's own.

After every cut: the slot that starts next must hold one of three releases to the last byte,
and the next start must come up from it. The control, an updater that puts the slot on trial
before it writes it, must leave a mixed system.
"""

import argparse
import random
import re
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from image.commands import sh
from image.declaration import REPOSITORY
from image.disk import data_partition, put

from bayscribe.update.bootstate import BootState, Slot, other
from hil.image.builds import Built, built, variant
from hil.image.disks import LAYOUT, boot_state, set_boot_state, slot_head
from hil.image.uml import Machine, System, UmlError, held, next_start, ram_disk

WORK = REPOSITORY / ".build" / "hil-update-cuts"
VARIANTS = REPOSITORY / ".build" / "hil-variants"
BEFORE_INSTALL = 0.15
"""Share of cuts that fall before the installation begins, during the start."""


Parts = tuple[Path, Path, Path, list[System]]
"""Disk, bundles' disk, initial RAM disk and the three releases."""


@dataclass
class Tally:
    """What the cuts hit."""

    cuts: int = 0
    phases: dict[str, int] = field(default_factory=dict)
    updates: int = 0
    mixed: int = 0
    seconds: list[float] = field(default_factory=list)


def known_systems(base: Built) -> list[System]:
    """The three releases."""
    systems = []
    for release in range(base.release + 1, base.release + 4):
        made = variant(base, release, VARIANTS, signer=base.work.parent / "keys")
        slot = made.with_suffix(".slot")
        digest = sh("sha256sum", slot).split()[0]
        systems.append(System(release, digest, slot.stat().st_size, made))
    return systems


def prepare(base: Built) -> Parts:
    """Disk, bundles' disk, initial RAM disk and the three releases."""
    systems = known_systems(base)
    disk = WORK / "unit.img"
    sh("cp", "--sparse=always", base.image, disk)
    put(disk, systems[0].bundle.with_suffix(".slot"), LAYOUT.places["slot-a"][0])
    content = WORK / "content"
    (content / "cuts").mkdir(parents=True)
    shutil.copy(Path(__file__).with_name("cut_guest.sh"), content / "cuts" / "init")
    (content / "cuts" / "init").chmod(0o755)
    start, size = LAYOUT.places["data"]
    data_partition(WORK / "data", size, "cuts", content)
    put(disk, WORK / "data", start)
    bundles = WORK / "bundles"
    bundles.mkdir()
    for system in systems:
        (bundles / system.bundle.name).hardlink_to(system.bundle)
    total = sum(system.bundle.stat().st_size for system in systems) // 2**20 + 64
    sh("truncate", "-s", f"{total}M", WORK / "bundles.ext4")
    sh("mkfs.ext4", "-q", "-F", "-d", bundles, WORK / "bundles.ext4")
    ram = WORK / "initrd"
    ram_disk(base, ram, "/var/cuts/init")
    return disk, WORK / "bundles.ext4", ram, systems


def phase(said: str) -> str:
    """How far a unit had come, by its console."""
    found = re.findall(r"^(RUNNING|CONFIRMED|INSTALLING|INSTALLED)", said, re.MULTILINE)
    return found[-1].lower() if found else "starting"


def wanted(
    disk: Path, slot: Slot, runs: System, systems: Sequence[System], chance: random.Random
) -> str:
    """For the kernel's command line: which release to install.

    One that neither slot holds, or a slot half written would look whole.
    """
    there = held(disk, other(slot), systems)
    free = [system for system in systems if system not in (runs, there)]
    return f"cut.take={chance.choice(free).release}"


def one_cut(
    number: int,
    disk: Path,
    rest: tuple[Path, Path],
    systems: Sequence[System],
    tally: Tally,
    chance: random.Random,
) -> None:
    """Start, let the update begin, cut, and look at what is left.

    Raises:
        UmlError: the unit did not start, or a mixed system would.
    """
    slot, system = next_start(disk, systems)
    take = wanted(disk, slot, system, systems, chance)
    machine = Machine(disk, *rest, slot, WORK / f"cut-{number:03d}.log", take)
    try:
        if chance.random() < BEFORE_INSTALL:
            time.sleep(chance.uniform(0.0, 4.0))
        else:
            machine.wait_for("INSTALLING")
            took = sorted(tally.seconds)[len(tally.seconds) // 2] if tally.seconds else 8.0
            if tally.seconds or number:
                end = time.monotonic() + chance.uniform(0.0, took * 1.2)
                while time.monotonic() < end and "BROKEN" not in machine.said():
                    time.sleep(0.02)
            else:
                began = time.monotonic()  # the first runs to its end: it gives the measure
                machine.wait_for("INSTALLED")
                tally.seconds.append(time.monotonic() - began)
            if f"RUNNING {system.release}" not in machine.said():
                raise UmlError(f"slot {slot} is not release {system.release}")
    finally:
        machine.cut()
    if "BROKEN" in machine.said():
        raise UmlError(machine.said()[-1500:])
    tally.cuts += 1
    came = phase(machine.said())
    tally.phases[came] = tally.phases.get(came, 0) + 1
    tally.updates += came == "installed"
    state = boot_state(disk)
    print(f"cut {number}: {came}, next {state.starts()} ({state.a}, {state.b})", flush=True)


def run(parts: Parts, cuts: int, chance: random.Random) -> Tally:
    """All cuts on one disk, and a last start that must come up.

    Raises:
        UmlError: see :func:`one_cut`.
    """
    disk, bundles, ram, systems = parts
    set_boot_state(disk, BootState())
    tally = Tally()
    for number in range(cuts):
        one_cut(number, disk, (bundles, ram), systems, tally, chance)
    slot, system = next_start(disk, systems)
    machine = Machine(disk, bundles, ram, slot, WORK / "last.log")
    try:
        machine.wait_for(f"RUNNING {system.release}")
        machine.wait_for("CONFIRMED")
    finally:
        machine.cut()
    return tally


def control(parts: Parts, cuts: int, chance: random.Random) -> bool:
    """Cut an updater without guards until it has left a mixed system; whether it did."""
    disk, bundles, ram, systems = parts
    for number in range(cuts):
        try:
            slot, system = next_start(disk, systems)
        except UmlError as error:
            print(f"control, after cut {number}: {error}", flush=True)
            return True
        take = wanted(disk, slot, system, systems, chance)
        log = WORK / f"control-{number}.log"
        machine = Machine(disk, bundles, ram, slot, log, take, "unguarded")
        try:
            before = slot_head(disk, other(slot))
            machine.wait_for("WRITING")
            while slot_head(disk, other(slot)) == before and "INSTALLED" not in machine.said():
                time.sleep(0.01)  # until the first of it has reached the disk
        finally:
            machine.cut()
    return False


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0 if every cut left a unit that starts a whole system."""
    parser = argparse.ArgumentParser(prog="hil.image.cuts", description=__doc__)
    parser.add_argument("--cuts", type=int, default=50)
    parser.add_argument("--control", type=int, default=8, help="cuts without guards, at most")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    options = parser.parse_args(argv)
    if options.cuts < 1 or options.control < 1:
        parser.error("both need at least one cut: without its control a run shows nothing")
    print(f"seed {options.seed}", flush=True)
    began = time.monotonic()
    try:
        chance = random.Random(options.seed)
        shutil.rmtree(WORK, ignore_errors=True)
        WORK.mkdir(parents=True)
        parts = prepare(built("amd64"))
        tally = run(parts, options.cuts, chance)
        fails = control(parts, options.control, chance)
    except UmlError as error:
        print(f"update cuts: {error}", file=sys.stderr)
        return 1
    phases = ", ".join(f"{count} {name}" for name, count in sorted(tally.phases.items()))
    print(
        f"update cuts: {tally.cuts} cuts ({phases}), {tally.updates} updates went through; "
        f"every cut left a unit that started, no mixed system; {time.monotonic() - began:.0f} s"
    )
    if not fails:
        print("control without guards: NO MIXED SYSTEM: the run shows nothing")
        return 1
    print("control without guards: it fails, as it must")
    shutil.rmtree(WORK)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""A unit's disk and places as files, for tests of the updater."""

import hashlib
import json
from pathlib import Path

from image.disk import environment

from bayscribe.update.bootstate import BootState
from bayscribe.update.machine import Machine

RUNNING = 100


def machine(folder: Path, slot: str = "a", release: int = RUNNING) -> Machine:
    """A unit that runs ``release`` from ``slot``; the other slot is void."""
    (folder / "cmdline").write_text(f"ro quiet bayscribe.slot={slot} panic=10\n")
    first = "A B" if slot == "a" else "B A"
    states = {"A_STATE": "good", "B_STATE": "void"}
    if slot == "b":
        states = {"A_STATE": "void", "B_STATE": "good"}
    block = environment(ORDER=first, **states)
    (folder / "boot").write_bytes(bytes(1 << 20) + block + bytes(1 << 20))
    for name in ("slot-a", "slot-b"):
        (folder / name).write_bytes(bytes(1 << 20))
    facts = {"version": "0.1.0", "release": release, "architecture": "amd64"}
    (folder / "release.json").write_text(json.dumps(facts))
    for name in ("state", "unit", "runtime"):
        (folder / name).mkdir(exist_ok=True)
    return Machine(
        command_line=folder / "cmdline",
        boot=folder / "boot",
        slots=folder,
        facts=folder / "release.json",
        state=folder / "state",
        unit=folder / "unit",
        runtime=folder / "runtime",
    )


def boot_state(unit: Machine) -> BootState:
    """The boot loader's state as it is on the disk now."""
    return unit.sector().read()


def sha256(data: bytes) -> str:
    """In hex."""
    return hashlib.sha256(data).hexdigest()

"""Looking at a unit's disk from outside: its boot state and its slots."""

import hashlib
from pathlib import Path

from image.declaration import declaration
from image.disk import MIB, Disk

from bayscribe.update.bootstate import BLOCK, BootState, Slot, find_block

LAYOUT = Disk.of(declaration())


def _boot(disk: Path) -> tuple[int, bytes]:
    start, size = LAYOUT.places["boot"]
    with disk.open("rb") as file:
        file.seek(start * MIB)
        partition = file.read(size * MIB)
    at = find_block(partition)
    if at is None:
        raise ValueError(f"{disk} has no boot state")
    return start * MIB + at, partition[at : at + BLOCK]


def boot_state(disk: Path) -> BootState:
    """What the boot loader would find now."""
    return BootState.parse(_boot(disk)[1])


def set_boot_state(disk: Path, state: BootState) -> None:
    """Write the state as the boot loader does when it takes an attempt."""
    at, _ = _boot(disk)
    with disk.open("r+b") as file:
        file.seek(at)
        file.write(state.sector())


def slot_sha256(disk: Path, slot: Slot, size: int) -> str:
    """Hash of the first bytes of a slot."""
    start, _ = LAYOUT.places[f"slot-{slot}"]
    digest = hashlib.sha256()
    with disk.open("rb") as file:
        file.seek(start * MIB)
        left = size
        while left and (chunk := file.read(min(left, MIB))):
            digest.update(chunk)
            left -= len(chunk)
    return digest.hexdigest()


def slot_head(disk: Path, slot: Slot) -> bytes:
    """The first bytes of a slot, in which any two releases differ."""
    with disk.open("rb") as file:
        file.seek(LAYOUT.places[f"slot-{slot}"][0] * MIB)
        return file.read(4 * MIB)

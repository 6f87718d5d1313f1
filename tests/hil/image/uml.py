"""The image in User-Mode Linux: its own partitions, initial RAM disk script, slots and programs.

Only the kernel and the boot loader are others. GRUB's part, choosing a slot and taking an
attempt, is played by the model of ``grub.cfg`` that tests/update/test_grub_choice.py holds to
it.
"""

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bayscribe.update.bootstate import Slot
from hil.image.builds import Built
from hil.image.disks import boot_state, set_boot_state, slot_sha256
from image import initrd

MODULES = Path("/usr/lib/uml/modules")
WANTED = ("squashfs", "loop", "dm_mod", "dm_verity", "crc32c_generic", "sha256_generic")


class UmlError(Exception):
    """A unit that does not start, or a mixed system."""


@dataclass(frozen=True, slots=True)
class System:
    """One release: its number, and its slot's content."""

    release: int
    slot_sha256: str
    slot_bytes: int
    bundle: Path


def ram_disk(base: Built, path: Path, first: str) -> None:
    """The unit's own script with User-Mode Linux's modules, and another first process."""
    (kernel,) = MODULES.iterdir()
    path.write_bytes(initrd.build(base.work / "root", kernel, WANTED, first=first))


def held(disk: Path, slot: Slot, systems: Sequence[System]) -> System | None:
    """Which of the systems a slot holds, to the last byte."""
    for system in systems:
        if slot_sha256(disk, slot, system.slot_bytes) == system.slot_sha256:
            return system
    return None


def next_start(disk: Path, systems: Sequence[System]) -> tuple[Slot, System]:
    """What GRUB would start now, with an attempt taken; the slot must be whole.

    Raises:
        UmlError: nothing starts, or what would start is none of these systems.
    """
    state = boot_state(disk)
    slot = state.starts()
    if slot is None:
        raise UmlError(f"nothing would start: {state}")
    if state.of(slot) in ("1", "2", "3"):
        set_boot_state(disk, state.with_state(slot, str(int(state.of(slot)) - 1)))
    system = held(disk, slot, systems)
    if system is None:
        raise UmlError(f"slot {slot} holds a mixed system: {state}")
    return slot, system


class Machine:
    """One start.

    Args:
        disk: of the unit.
        bundles: second disk, read-only.
        ram: initial RAM disk.
        slot: that the boot loader chose.
        log: receives its console.
        words: further ones for the kernel's command line.
    """

    def __init__(
        self, disk: Path, bundles: Path, ram: Path, slot: Slot, log: Path, *words: str
    ) -> None:
        self.log = log
        command = ["linux.uml", "mem=768M", f"ubd0={disk}", f"ubd1r={bundles}", f"initrd={ram}"]
        command += [f"bayscribe.slot={slot}", f"rauc.slot={slot}", "root=/dev/ram0", "noreboot"]
        command += ["con0=null,fd:1", "con=null", "quiet", "panic=1", "systemd.show_status=0"]
        command += words
        with log.open("wb") as out:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
            )
        self.began = time.monotonic()

    def said(self) -> str:
        """Its console."""
        return self.log.read_text(errors="replace")

    @property
    def runs(self) -> bool:
        """Whether it has neither halted nor been cut."""
        return self._process.poll() is None

    def wait_for(self, text: str, patience_s: float = 300.0) -> None:
        """Wait until it has said something.

        Raises:
            UmlError: it never does, halts, or says that something is broken.
        """
        while text not in self.said():
            if "BROKEN" in self.said() or not self.runs:
                raise UmlError(f"{self.log.name}: no {text}: {self.said()[-1500:]}")
            if time.monotonic() - self.began > patience_s:
                raise UmlError(f"{self.log.name}: no {text} in time: {self.said()[-1500:]}")
            time.sleep(0.02)

    def wait_halted(self, patience_s: float) -> None:
        """Wait until it has shut itself down in order to start again.

        Raises:
            UmlError: it never does.
        """
        while self.runs and "reboot: Restarting" not in self.said():
            if time.monotonic() - self.began > patience_s:
                raise UmlError(f"{self.log.name}: it never restarts: {self.said()[-1500:]}")
            time.sleep(0.1)
        self.cut()

    def cut(self) -> None:
        """Cut the power."""
        if self.runs:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

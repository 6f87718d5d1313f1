"""The boot loader's state: which slot starts next, and which may.

GRUB keeps it as an environment block (1024 bytes, lines ``NAME=value``, filled up with
``#``), a file on the boot partition. All of ours is in its first 512 bytes, which are written
as one sector straight to the disk, past the file system: a cut of power leaves the old state
or the new one, and the boot partition is never mounted for writing.

::

    void ---install---> 3 --start--> 2 --start--> 1 --start--> 0      (the other slot starts)
                        |            |            |
                        +----job checks pass------+---> good
                        +----job checks fail------+---> bad           (the other slot starts)
"""

import mmap
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, cast

from msgspec import Struct, structs

from bayscribe.errors import IntegrityError, StorageError

Slot = Literal["a", "b"]
SLOTS: tuple[Slot, Slot] = ("a", "b")
STATES = frozenset({"good", "bad", "void", "0", "1", "2", "3"})
ATTEMPTS = "3"
"""Starts that a new system has until it must have passed its job checks."""

SECTOR = 512
BLOCK = 1024
HEADER = b"# GRUB Environment Block\n"
_BLOCK = re.compile(rb"# GRUB Environment Block\n(?:[A-Za-z_]+=[^\n]*\n)*#*")
SCANNED = 64 << 20
"""Most bytes of the boot partition that are searched for the block."""


def past_the_cache(device: Path) -> int:
    """The flag that reads or writes the disk itself; images in files have no such thing.

    Raises:
        StorageError: there is no such device.
    """
    try:
        return os.O_DIRECT if stat.S_ISBLK(device.stat().st_mode) else 0
    except OSError as error:
        raise StorageError(f"{device}: {error.strerror}") from None


def find_block(data: bytes) -> int | None:
    """Where an environment block begins in a partition's bytes, at a sector's start.

    GRUB's own program has the block's first line in it too, so all of a block must look
    like one.
    """
    for offset in range(0, len(data), SECTOR):
        if data.startswith(HEADER, offset) and _BLOCK.fullmatch(data, offset, offset + BLOCK):
            return offset
    return None


def other(slot: Slot) -> Slot:
    """The slot that is not this one."""
    return "b" if slot == "a" else "a"


class BootState(Struct, frozen=True):
    """What the block says.

    Attributes:
        first: the slot that is tried first.
        a: state of slot A, see the module's head.
        b: of slot B.
    """

    first: Slot = "a"
    a: str = "good"
    b: str = "void"

    @classmethod
    def parse(cls, block: bytes) -> "BootState":
        """Read a block; what it does not say is what the boot loader assumes.

        Raises:
            IntegrityError: it is not such a block.
        """
        if not block.startswith(HEADER):
            raise IntegrityError("the boot loader's state is not an environment block")
        values = dict(re.findall(rb"^([A-Z_]+)=([^\n]*)$", block, re.MULTILINE))
        order = values.get(b"ORDER", b"A B").split()
        a, b = (
            values.get(name, b"").decode("ascii", "replace") for name in (b"A_STATE", b"B_STATE")
        )
        return cls(
            first="b" if order[:1] == [b"B"] else "a",
            a=a if a in STATES else ("good" if not a else "bad"),
            b=b if b in STATES else ("void" if not b else "bad"),
        )

    def sector(self) -> bytes:
        """The first sector of the block that says this."""
        order = "A B" if self.first == "a" else "B A"
        text = HEADER + f"ORDER={order}\nA_STATE={self.a}\nB_STATE={self.b}\n".encode()
        return text.ljust(SECTOR, b"#")

    def of(self, slot: Slot) -> str:
        """State of a slot."""
        return self.a if slot == "a" else self.b

    def with_state(self, slot: Slot, state: str, *, first: Slot | None = None) -> "BootState":
        """The same with another state of one slot, and perhaps another first slot."""
        changed = structs.replace(self, **{slot: state})
        return structs.replace(changed, first=first) if first is not None else changed

    def on_trial(self, slot: Slot) -> bool:
        """Whether a slot has still to pass its job checks."""
        return self.of(slot) in ("0", "1", "2", "3")

    def starts(self) -> Slot | None:
        """The slot that the boot loader starts next, by the rules in ``grub.cfg``."""
        order = (self.first, other(self.first))
        for slot in order:
            if self.of(slot) in ("good", "1", "2", "3"):
                return slot
        return next((slot for slot in SLOTS if self.of(slot) != "void"), None)


class BootSector:
    """The block on the boot partition.

    Args:
        device: the partition, or an image of it.
    """

    def __init__(self, device: Path) -> None:
        self._device = device
        self._at: int | None = None

    def read(self) -> BootState:
        """The state in force.

        Raises:
            StorageError: the partition cannot be read.
            IntegrityError: there is no such block on it.
        """
        with self._opened(os.O_RDONLY) as descriptor:
            return BootState.parse(os.pread(descriptor, BLOCK, self._place(descriptor)))

    def write(self, state: BootState) -> None:
        """Put a state in force; it is on the disk when this returns.

        Raises:
            StorageError: the partition cannot be written.
            IntegrityError: there is no such block on it.
        """
        with self._opened(os.O_RDONLY) as descriptor:
            at = self._place(descriptor)
        direct = past_the_cache(self._device)
        aligned = mmap.mmap(-1, mmap.PAGESIZE)
        aligned[:SECTOR] = state.sector()
        try:
            with self._opened(os.O_WRONLY | os.O_SYNC | direct) as descriptor:
                if os.pwritev(descriptor, [memoryview(aligned)[:SECTOR]], at) != SECTOR:
                    raise StorageError(f"{self._device}: the boot state was not written")
                os.fsync(descriptor)
            with self._opened(os.O_RDONLY | direct) as descriptor:
                os.preadv(descriptor, [memoryview(aligned)[:SECTOR]], at)
        except OSError as error:
            raise StorageError(f"{self._device}: {error.strerror}") from None
        if bytes(aligned[:SECTOR]) != state.sector():
            raise StorageError(f"{self._device}: the boot state reads back differently")

    @contextmanager
    def _opened(self, flags: int) -> Iterator[int]:
        try:
            descriptor = os.open(self._device, flags)
        except OSError as error:
            raise StorageError(f"{self._device}: {error.strerror}") from None
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _place(self, descriptor: int) -> int:
        """Where the block lies; the boot partition is small enough to look through it."""
        if self._at is not None:
            return self._at
        step = 1 << 20
        for start in range(0, SCANNED, step):
            chunk = os.pread(descriptor, step + SECTOR, start)
            if (offset := find_block(chunk)) is not None:
                self._at = start + offset
                return self._at
            if len(chunk) < step:
                break
        raise IntegrityError(f"{self._device} holds no state of the boot loader")


def running(command_line: str) -> Slot:
    """The slot that this system runs from, by the kernel's command line.

    Raises:
        IntegrityError: the boot loader said none.
    """
    found = re.search(r"(?:^|\s)bayscribe\.slot=([ab])(?:\s|$)", command_line)
    if found is None:
        raise IntegrityError("this system was not started from a slot", "updates need the image")
    return cast("Slot", found[1])

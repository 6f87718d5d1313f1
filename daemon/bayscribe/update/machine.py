"""Where things lie on a unit, in one object, so that tests can lay them elsewhere."""

from dataclasses import dataclass
from pathlib import Path

import msgspec
from msgspec import Struct

from bayscribe.errors import IntegrityError
from bayscribe.update.bootstate import BootSector, Slot, running

BY_LABEL = Path("/dev/disk/by-partlabel")


class Release(Struct, frozen=True):
    """``release.json``: which release a system is.

    Attributes:
        version: of the product.
        release: counts up; no lower one is ever installed over a higher one.
        architecture: Debian's name.
    """

    version: str
    release: int
    architecture: str


@dataclass(frozen=True)
class Machine:
    """A unit's places.

    Attributes:
        command_line: the kernel's.
        boot: the boot partition.
        slots: folder with ``slot-a`` and ``slot-b``.
        facts: the running system's ``release.json``.
        state: folder on the data partition for floor and staged bundles.
        unit: the unit's own folder: configuration and certificates.
        runtime: the daemon's runtime directory.
    """

    command_line: Path = Path("/proc/cmdline")
    boot: Path = BY_LABEL / "boot"
    slots: Path = BY_LABEL
    facts: Path = Path("/usr/share/bayscribe/release.json")
    state: Path = Path("/var/lib/bayscribe-update")
    unit: Path = Path("/var/lib/bayscribe-unit")
    runtime: Path = Path("/run/bayscribe")

    def slot(self) -> Slot:
        """The slot that runs."""
        return running(self.command_line.read_text(encoding="ascii"))

    def sector(self) -> BootSector:
        """The boot loader's state."""
        return BootSector(self.boot)

    def device(self, slot: Slot) -> Path:
        """The partition of a slot."""
        return self.slots / f"slot-{slot}"

    def release(self) -> Release:
        """The running system's release.

        Raises:
            IntegrityError: it does not say.
        """
        try:
            return msgspec.json.decode(self.facts.read_bytes(), type=Release)
        except (OSError, msgspec.MsgspecError):
            raise IntegrityError(f"{self.facts} does not say which release this is") from None

    def floor(self) -> int:
        """The highest release that ever passed its checks here; nothing lower is taken."""
        try:
            known = int((self.state / "floor").read_text(encoding="ascii"))
        except (OSError, ValueError):
            known = 0
        return max(known, self.release().release)

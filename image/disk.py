"""A disk image: GPT with boot, slot A, slot B and data."""

import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path

from image.commands import BuildError, sh
from image.declaration import HERE, Architecture, Declaration

MIB = 1 << 20
TYPES = {
    "boot": "c12a7328-f81f-11d2-ba4b-00a0c93ec93b",  # EFI system partition
    "slot": "0fc63daf-8483-4772-8e79-3d69d8477de4",  # Linux data: slots are ours, not systemd's
    "data": "4d21b016-b534-45c2-a9fb-5c16e091fd2d",  # /var
}
"""GPT partition types (UEFI specification 5.3; Discoverable Partitions Specification)."""

NAMES = uuid.UUID("5f0f3c7e-6a5b-4d3c-9b0d-6b2f6d0c1a57")
"""Name space of the identifiers that a release's partitions get."""

GRUB_MODULES = (
    *("part_gpt", "fat", "squash4", "normal", "linux", "loadenv", "test", "regexp", "echo"),
    *("sleep", "reboot", "search", "configfile", "all_video"),
)
ENVIRONMENT_BYTES = 1024


@dataclass(frozen=True, slots=True)
class Disk:
    """Where the partitions of a disk image lie: start and size in MiB."""

    places: dict[str, tuple[int, int]]

    @classmethod
    def of(cls, declared: Declaration) -> "Disk":
        """Lay the declared partitions out."""
        sizes = declared.partitions
        start, places = 1, {}
        for name, size in (
            ("boot", sizes.boot),
            ("slot-a", sizes.slot),
            ("slot-b", sizes.slot),
            ("data", sizes.data),
        ):
            places[name] = (start, size)
            start += size
        return cls(places)

    @property
    def mib(self) -> int:
        """Size of the whole disk image."""
        start, size = self.places["data"]
        return start + size + 1  # the second partition table

    def script(self, release: str) -> str:
        """What ``sfdisk`` is told."""
        lines = ["label: gpt", f"label-id: {uuid.uuid5(NAMES, release)}"]
        for name, (start, size) in self.places.items():
            kind = TYPES[name.split("-")[0]]
            identifier = uuid.uuid5(NAMES, f"{release}/{name}")
            lines.append(
                f"start={start}MiB, size={size}MiB, type={kind}, name={name}, uuid={identifier}"
            )
        return "\n".join(lines) + "\n"


def environment(**values: str) -> bytes:
    """A GRUB environment block: 1024 bytes, of which the first 512 hold everything.

    Raises:
        BuildError: the values need more than one sector.
    """
    text = "# GRUB Environment Block\n" + "".join(f"{k}={v}\n" for k, v in values.items())
    if len(text) > 512:
        raise BuildError("the boot loader's state must fit one sector")
    return text.encode().ljust(ENVIRONMENT_BYTES, b"#")


def boot_folder(
    folder: Path, parts: Path, built_for: Architecture, parameters: tuple[str, ...]
) -> None:
    """Make what lies on the boot partition.

    Args:
        folder: new.
        parts: unpacked packages with GRUB's modules.
        built_for: which loader.
        parameters: of the kernel.
    """
    shutil.rmtree(folder, ignore_errors=True)
    loader = folder / "EFI" / "BOOT"
    loader.mkdir(parents=True)
    early = folder.with_name("early.cfg")
    early.write_text("set prefix=\nconfigfile ($root)/grub.cfg\n", encoding="utf-8")
    sh(
        *("grub-mkimage", "-O", built_for.grub, "-d", parts / "usr/lib/grub" / built_for.grub),
        *("-c", early, "-p", "/", "-o", loader / built_for.loader, *GRUB_MODULES),
    )
    words = " ".join((*parameters, f"console={built_for.console}"))
    text = (HERE / "files" / "grub.cfg").read_text(encoding="utf-8")
    (folder / "grub.cfg").write_text(text.replace("@PARAMETERS@", words), encoding="utf-8")
    state = environment(ORDER="A B", A_STATE="good", B_STATE="void")
    (folder / "grubenv").write_bytes(state)


def write(disk: Path, slot: Path, boot: Path, declared: Declaration, release: str) -> Disk:
    """Write a disk image with a system in slot A.

    Args:
        disk: the new file; sparse.
        slot: file system of slot A.
        boot: folder for the boot partition.
        declared: sizes.
        release: gives the partitions their identifiers.

    Raises:
        BuildError: the system does not fit its slot.
    """
    layout = Disk.of(declared)
    room = layout.places["slot-a"][1] * MIB
    if slot.stat().st_size > room:
        raise BuildError(f"the system has {slot.stat().st_size} bytes, a slot {room}")
    disk.unlink(missing_ok=True)
    with disk.open("wb") as file:
        file.truncate(layout.mib * MIB)
    script = disk.with_suffix(".sfdisk")
    script.write_text(layout.script(release), encoding="utf-8")
    with script.open(encoding="utf-8"):
        sh("sh", "-c", f'sfdisk -q "{disk}" < "{script}"')
    script.unlink()
    esp, data = disk.with_suffix(".esp"), disk.with_suffix(".data")
    _boot_partition(esp, boot, layout.places["boot"][1], release)
    data_partition(data, layout.places["data"][1], release)
    for part, name in ((esp, "boot"), (slot, "slot-a"), (data, "data")):
        put(disk, part, layout.places[name][0])
    esp.unlink()
    data.unlink()
    return layout


def put(disk: Path, part: Path, start_mib: int) -> None:
    """Copy a file system to its place on the disk."""
    sh(
        *("dd", f"if={part}", f"of={disk}", "bs=1M", f"seek={start_mib}", "conv=notrunc,sparse"),
        "status=none",
    )


def _boot_partition(path: Path, folder: Path, mib: int, release: str) -> None:
    path.unlink(missing_ok=True)
    serial = uuid.uuid5(NAMES, f"{release}/fat").hex[:8]
    with path.open("wb") as file:
        file.truncate(mib * MIB)
    sh("mkfs.vfat", "--invariant", "-n", "BAYSCRIBE", "-i", serial, path)
    for item in sorted(folder.iterdir()):
        sh("mcopy", "-s", "-m", "-i", path, item, "::")


def data_partition(path: Path, mib: int, release: str, content: Path | None = None) -> None:
    """Make the file system of the data partition: empty, or with a test's content."""
    path.unlink(missing_ok=True)
    with path.open("wb") as file:
        file.truncate(mib * MIB)
    identifier = uuid.uuid5(NAMES, f"{release}/ext4")
    words = ["-E", f"hash_seed={identifier},lazy_itable_init=0,lazy_journal_init=0"]
    if content is not None:
        words += ["-d", str(content)]
    sh("mkfs.ext4", "-q", "-F", "-L", "data", "-U", str(identifier), "-m", "1", *words, path)

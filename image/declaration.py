"""What an image is made of: ``image.toml`` and the boards, typed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct

from bayscribe import settings
from bayscribe.errors import BadUse

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent

Mebibytes = Annotated[int, Meta(ge=1)]
Words = tuple[str, ...]


class Partitions(Struct, frozen=True, forbid_unknown_fields=True):
    """Sizes in MiB; both slots have the size of ``slot``."""

    boot: Mebibytes
    slot: Mebibytes
    data: Mebibytes


class Architecture(Struct, frozen=True, forbid_unknown_fields=True):
    """What differs between processors.

    Attributes:
        kernel: Debian package of the kernel.
        wheels: platform tags of binary wheels that run there.
        triplet: Debian's multiarch name.
        compiler: C compiler for it on the building machine.
        grub: GRUB's name of its platform.
        grub_package: Debian package of GRUB's modules for it.
        loader: name under which firmware looks for a boot loader.
        console: first serial port.
    """

    kernel: str
    wheels: Words
    triplet: str
    compiler: str
    grub: str
    grub_package: str
    loader: str
    console: str


class Declaration(Struct, frozen=True, forbid_unknown_fields=True):
    """``image.toml``."""

    suite: str
    python: str
    hostname: str
    packages: Words
    modules_left_out: Words
    initrd_modules: Words
    initrd_disks: tuple[Words, ...]
    kept_modules: Words
    kernel_parameters: Words
    partitions: Partitions
    architectures: Mapping[str, Architecture]


class BoardPartition(Struct, frozen=True, forbid_unknown_fields=True):
    """One partition of a board's disk, in the order of the table."""

    name: Literal["boot", "slot-a", "slot-b", "data"]
    type: Literal["esp", "linux"]
    filesystem: Literal["vfat", "squashfs", "ext4"]
    mib: Mebibytes
    grows: bool = False


class FirmwareFile(Struct, frozen=True, forbid_unknown_fields=True):
    """A file on the boot partition that the board's own firmware reads.

    Attributes:
        path: on the boot partition.
        package: Debian package that has it, or empty where ``text`` is given.
        source: path in that package.
        component: of the Debian archive.
        text: its lines, where it is configuration.
    """

    path: str
    package: str = ""
    source: str = ""
    component: Literal["main", "non-free-firmware"] = "main"
    text: Words = ()


class Board(Struct, frozen=True, forbid_unknown_fields=True):
    """``boards/NAME.toml``.

    Attributes:
        title: for people.
        architecture: key of :attr:`Declaration.architectures`.
        tested: where the image for this board has really run.
        untested: what nobody has seen work yet.
        boots: chain from power-on to the slot, one step an item.
        kernel_package: where the architecture's own kernel does not know the board.
        kernel_parameters: beside those of the declaration.
        device_tree: file in the kernel's package; empty where the firmware brings it.
        arrays: profiles of arrays that fit the board.
        overlays: files of ``firmware-config/overlays`` that may be needed, by array.
        watchdog: kernel module of its hardware watchdog.
        partitions: the table.
        firmware: what its firmware wants to find.
    """

    title: str
    architecture: Literal["amd64", "arm64"]
    tested: Words
    untested: Words
    boots: Words
    partitions: tuple[BoardPartition, ...]
    arrays: Words
    watchdog: str
    kernel_package: str = ""
    kernel_parameters: Words = ()
    device_tree: str = ""
    overlays: Mapping[str, str] = {}
    firmware: tuple[FirmwareFile, ...] = ()


def declaration() -> Declaration:
    """Read ``image.toml``.

    Raises:
        ConfigError: something in it cannot be.
    """
    return settings.load(HERE / "image.toml", Declaration)


def boards() -> dict[str, Board]:
    """Read every board, by its file's name.

    Raises:
        ConfigError: something in one cannot be.
    """
    return {
        path.stem: settings.load(path, Board) for path in sorted((HERE / "boards").glob("*.toml"))
    }


def architecture(name: str) -> Architecture:
    """What is declared of an architecture.

    Raises:
        BadUse: there is none of that name.
    """
    known = declaration().architectures
    if name not in known:
        raise BadUse(f"{name!r} is no architecture", f"name one of {', '.join(known)}")
    return known[name]

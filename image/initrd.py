"""The initial RAM disk: a shell, a check of the file system, and the modules that find it.

Written directly as a "newc" archive (Linux, Documentation/driver-api/early-userspace/
buffer-format.rst), so that a foreign architecture costs nothing and the same content always
gives the same bytes.
"""

import gzip
import stat
from collections.abc import Sequence
from pathlib import Path

from image.commands import BuildError
from image.declaration import HERE

PROGRAMS = {"bin/busybox": "bin/busybox", "bin/e2fsck": "sbin/e2fsck.static"}
SYSTEMD = "/usr/lib/systemd/systemd"
LOOK = "look"
"""Among the modules: ends the loading if slot and data are there."""

FOLDERS = ("bin", "dev", "lib", "lib/modules", "proc", "root", "sys")


class Archive:
    """A newc archive in memory."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._inode = 0

    def add(
        self, name: str, mode: int, data: bytes = b"", device: tuple[int, int] = (0, 0)
    ) -> None:
        """Add one entry."""
        self._inode += 1
        path = name.encode() + b"\0"
        numbers = (
            *(self._inode, mode, 0, 0, 1, 0, len(data), 0, 0, *device),
            *(len(path), 0),
        )
        head = b"070701" + b"".join(b"%08X" % number for number in numbers)
        self._parts += [_padded(head + path), _padded(data)]

    def finish(self) -> bytes:
        """The archive, compressed."""
        self.add("TRAILER!!!", 0)
        return gzip.compress(b"".join(self._parts), 6, mtime=0)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def kernel_version(modules: Path) -> str:
    """The kernel whose modules lie in a folder.

    Raises:
        BuildError: there is none, or more than one.
    """
    found = sorted(path.name for path in modules.iterdir())
    if len(found) != 1:
        raise BuildError(f"expected one kernel in the tree, found {found}")
    return found[0]


def in_order(modules: Path, wanted: Sequence[str]) -> list[str]:
    """Files of the wanted modules and of what they depend on, dependencies first.

    Args:
        modules: folder of one kernel, with ``modules.dep``.
        wanted: names; those that the kernel has built in or not at all are passed over.
    """
    needs: dict[str, list[str]] = {}
    for line in (modules / "modules.dep").read_text(encoding="utf-8").splitlines():
        path, _, others = line.partition(":")
        needs[path] = others.split()
    by_name = {Path(path).name.split(".ko")[0].replace("-", "_"): path for path in needs}
    order: list[str] = []
    for name in wanted:
        file = by_name.get(name.replace("-", "_"))
        if file is not None:
            # modules.dep lists what is needed in the reverse order of loading.
            order += [one for one in (*reversed(needs[file]), file) if one not in order]
    return order


def build(
    root: Path,
    modules: Path,
    wanted: Sequence[str],
    disks: Sequence[Sequence[str]] = (),
    *,
    first: str = SYSTEMD,
) -> bytes:
    """The RAM disk of a tree.

    Args:
        root: the tree, for its programs.
        modules: folder of one kernel's modules.
        wanted: modules that it loads, with what they depend on.
        disks: further ones, group by group, until it has found its slot.
        first: program of the slot that it hands over to.

    Raises:
        BuildError: the tree lacks a program.
    """
    archive = Archive()
    for folder in FOLDERS:
        archive.add(folder, stat.S_IFDIR | 0o755)
    archive.add("dev/console", stat.S_IFCHR | 0o600, device=(5, 1))
    archive.add("dev/kmsg", stat.S_IFCHR | 0o600, device=(1, 11))
    script = (HERE / "files" / "init").read_text(encoding="utf-8").replace(SYSTEMD, first)
    archive.add("init", stat.S_IFREG | 0o755, script.encode())
    for name, source in PROGRAMS.items():
        path = root / source
        if not path.is_file():
            raise BuildError(f"the tree has no /{source}")
        archive.add(name, stat.S_IFREG | 0o755, path.read_bytes())
    steps: list[str] = []
    for group in (wanted, *disks):
        for file in in_order(modules, group):
            name = f"lib/modules/{Path(file).name}"
            if f"/{name}" not in steps:
                steps.append(f"/{name}")
                archive.add(name, stat.S_IFREG | 0o644, (modules / file).read_bytes())
        steps.append(LOOK)
    archive.add("modules.order", stat.S_IFREG | 0o644, ("\n".join(steps) + "\n").encode())
    return archive.finish()

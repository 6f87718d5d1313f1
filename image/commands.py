"""Programs that the builder runs, with the one error that all of them may end in."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from bayscribe.errors import BadUse, BayscribeError

TOOLS = {
    "mmdebstrap": "mmdebstrap",
    "mksquashfs": "squashfs-tools",
    "mkfs.ext4": "e2fsprogs",
    "mkfs.vfat": "dosfstools",
    "mcopy": "mtools",
    "sfdisk": "fdisk",
    "depmod": "kmod",
    "grub-mkimage": "grub-common",
    "rauc": "rauc",
    "openssl": "openssl",
    "gcc": "gcc",
}
"""Program, and the Debian package that has it."""


class BuildError(BayscribeError):
    """A program of the build failed."""

    code = "build"


def need(*further: str) -> None:
    """Check that the builder's programs are there and that it may make system files.

    Raises:
        BadUse: names the packages that are missing, or that root is.
    """
    os.environ["PATH"] = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    missing = {package for tool, package in TOOLS.items() if shutil.which(tool) is None}
    missing |= {tool for tool in further if shutil.which(tool) is None}
    if missing:
        raise BadUse(f"the build needs {' '.join(sorted(missing))}", "install them with apt-get")
    if os.geteuid() != 0:
        raise BadUse("building an image needs root: it makes files of other users")


def sh(
    *command: str | Path, environment: Mapping[str, str] | None = None, folder: Path | None = None
) -> str:
    """Run a program; its standard output.

    Raises:
        BuildError: it failed; carries the last lines of what it said.
    """
    words = [str(word) for word in command]
    done = subprocess.run(
        words,
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, "LC_ALL": "C.UTF-8", "TZ": "UTC", **(environment or {})},
    )
    if done.returncode != 0:
        said = " | ".join((done.stderr or done.stdout).strip().splitlines()[-6:])
        raise BuildError(f"{words[0]} ended with status {done.returncode}: {said}")
    return done.stdout

"""The images that the runs use: the one that was built last, or a new one."""

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from image.__main__ import BUILD, squash
from image.commands import BuildError, sh
from image.declaration import REPOSITORY, declaration
from image.disk import MIB, Disk
from image.tree import Release

from image import bundle

QUICK = ("-comp", "lzo", "-Xcompression-level", "1")
"""Several times as fast to make as a release, and a few percent larger: it fits a slot."""

BLOCKS = ("128K", "256K", "512K")
"""Releases that follow each other differ in every block, and not in their number alone."""


@dataclass(frozen=True, slots=True)
class Built:
    """One build.

    Attributes:
        work: its folder, with ``root``, the tree that the slot was made of.
        image: disk image.
        bundle: update bundle of the same system.
        release: its number.
    """

    work: Path
    image: Path
    bundle: Path
    release: int


def built(architecture: str) -> Built:
    """The newest build of an architecture; makes one if there is none.

    Raises:
        CalledProcessError: it cannot be built.
    """
    work = BUILD / architecture
    images = sorted(work.glob("*.img"), key=lambda path: path.stat().st_mtime)
    if not images:
        subprocess.run([sys.executable, "-m", "image", architecture], check=True, cwd=REPOSITORY)
        images = sorted(work.glob("*.img"))
    image = images[-1]
    facts = json.loads((work / "root/usr/share/bayscribe/release.json").read_bytes())
    return Built(work, image, image.with_suffix(".raucb"), int(facts["release"]))


def variant(base: Built, release: int, folder: Path, *, spoil: str = "", signer: Path) -> Path:
    """A bundle of the same system with another release number.

    Args:
        base: what it differs from.
        release: its number.
        folder: for the new files.
        spoil: file of the tree to which a byte is added: a system that cannot do its job.
        signer: folder of the keys that sign it.

    Returns:
        the bundle; the slot's file system lies beside it, as ``NAME.slot``.

    Raises:
        BuildError: it does not fit a slot.
    """
    shown = json.loads((base.work / "root/usr/share/bayscribe/release.json").read_bytes())
    made = Release(shown["version"], release, shown["architecture"], 1_700_000_000)
    slot, done = folder / f"{made.name}.slot", folder / f"{made.name}.raucb"
    folder.mkdir(parents=True, exist_ok=True)
    if done.exists() and done.stat().st_mtime > base.image.stat().st_mtime:
        return done
    tree = folder / "tree"
    shutil.rmtree(tree, ignore_errors=True)
    sh("cp", "-al", base.work / "root", tree)
    _replace(tree / "usr/share/bayscribe/release.json", json.dumps(shown | {"release": release}))
    if spoil:
        _replace(tree / spoil, (tree / spoil).read_bytes() + b"x")
    slot.unlink(missing_ok=True)
    squash(tree, slot, made.epoch, (*QUICK, "-b", BLOCKS[release % len(BLOCKS)]))
    shutil.rmtree(tree)
    room = Disk.of(declaration()).places["slot-a"][1] * MIB
    if slot.stat().st_size > room:
        raise BuildError(f"the variant has {slot.stat().st_size} bytes, a slot {room}")
    return bundle.make(folder, slot, made, bundle.Signer.development(signer))


def _replace(path: Path, content: str | bytes) -> None:
    """Give a linked file a content of its own."""
    path.unlink()
    path.write_bytes(content.encode() if isinstance(content, str) else content)

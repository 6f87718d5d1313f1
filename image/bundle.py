"""Update bundles: one signed file with a slot's file system and the facts of its release."""

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path

from msgspec import json

from image import signing
from image.commands import sh
from image.tree import Release

MANIFEST = """\
[update]
compatible=bayscribe-{architecture}
version={version}+{release}

[bundle]
format=verity

[image.rootfs]
filename=slot.img
"""


@dataclass(frozen=True, slots=True)
class Signer:
    """Certificate and key of whoever signs updates."""

    certificate: Path
    key: Path

    @classmethod
    def development(cls, folder: Path) -> "Signer":
        """The signer that the builder makes for itself."""
        signing.development(folder)
        return cls(folder / "update-signer.pem", folder / "update-signer.key")


def make(work: Path, slot: Path, release: Release, signer: Signer) -> Path:
    """Make a bundle.

    Args:
        work: folder; the bundle gets the release's name in it.
        slot: file system of the new system.
        release: what it is.
        signer: signs it.

    Raises:
        BuildError: rauc refuses.
    """
    folder = work / "bundle"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    # rauc takes a raw image by this name; a link costs no second copy.
    (folder / "slot.img").hardlink_to(slot)
    with slot.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    facts = {
        "version": release.version,
        "release": release.release,
        "architecture": release.architecture,
        "slot_sha256": digest,
        "slot_bytes": slot.stat().st_size,
    }
    (folder / "release.json").write_bytes(json.encode(facts) + b"\n")
    text = MANIFEST.format(
        architecture=release.architecture, version=release.version, release=release.release
    )
    (folder / "manifest.raucm").write_text(text, encoding="ascii")
    target = work / f"{release.name}.raucb"
    target.unlink(missing_ok=True)
    sh(
        *("rauc", "bundle", f"--cert={signer.certificate}", f"--key={signer.key}"),
        # The slot's file system is compressed already.
        *("--mksquashfs-args=-noI -noD -noF -noX", folder, target),
    )
    shutil.rmtree(folder)
    return target

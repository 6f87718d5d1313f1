"""``./run image``: build the image of an architecture, or a bundle that updates to it."""

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bayscribe.errors import BayscribeError
from image import bundle, content, disk, signing, tree
from image.commands import need, sh
from image.declaration import REPOSITORY, architecture, declaration

BUILD = REPOSITORY / ".build" / "image"
COMPRESSION = ("-comp", "lzo", "-Xcompression-level", "3", "-b", "128K")
"""GRUB reads the kernel out of the slot; of squashfs it knows gzip, xz and lzo. LZO opens
several times faster than the others, and a start reads most of the slot."""


def build(name: str, out: Path, release: int | None, update_ca: Path | None) -> dict[str, object]:
    """Build an image; what it weighs and where it lies.

    Raises:
        BayscribeError: it cannot be built.
    """
    began = time.monotonic()
    declared, built_for = declaration(), architecture(name)
    need(built_for.compiler)
    work = out / name
    work.mkdir(parents=True, exist_ok=True)
    identity = tree.current(name, release)
    keyring = update_ca or signing.development(out / "keys")
    root = tree.make(work, declared, built_for, identity, keyring)
    slot = work / f"{identity.name}.slot"
    slot.unlink(missing_ok=True)
    squash(root, slot, identity.epoch)
    boot = work / "boot"
    disk.boot_folder(boot, work / "parts", built_for, declared.kernel_parameters)
    listed = [{**entry, "path": f"slot:{entry['path']}"} for entry in content.entries(root)]
    listed += [{**entry, "path": f"boot:{entry['path']}"} for entry in content.entries(boot)]
    content.write(work / f"{identity.name}.contents", listed)
    image = work / f"{identity.name}.img"
    layout = disk.write(image, slot, boot, declared, identity.name)
    bill = root / "usr/share/bayscribe/sbom.cdx.json"
    (work / f"{identity.name}.cdx.json").write_bytes(bill.read_bytes())
    made = bundle.make(work, slot, identity, bundle.Signer.development(out / "keys"))
    return {
        "image": str(image),
        "bundle": str(made),
        "contents": str(work / f"{identity.name}.contents"),
        "image_mib": layout.mib,
        "slot_mib": round(slot.stat().st_size / disk.MIB, 1),
        "slot_sha256": hashlib.sha256(slot.read_bytes()).hexdigest(),
        "files": len(listed),
        "contents_sha256": hashlib.sha256(
            (work / f"{identity.name}.contents").read_bytes()
        ).hexdigest(),
        "seconds": round(time.monotonic() - began),
    }


def squash(root: Path, slot: Path, epoch: int, compression: Sequence[str] = COMPRESSION) -> None:
    """Make the file system of a slot from a tree; the same tree gives the same bytes."""
    sh(
        *("mksquashfs", root, slot, "-noappend", "-quiet", "-no-progress", "-no-xattrs"),
        *(*compression, "-processors", "1"),
        environment={"SOURCE_DATE_EPOCH": str(epoch)},
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0 built, 1 failed or lists differ, 2 bad use."""
    parser = argparse.ArgumentParser(prog="./run image", description=__doc__)
    parser.add_argument("architecture", nargs="?", default="amd64", help="amd64 or arm64")
    parser.add_argument("--out", type=Path, default=BUILD, help="folder (%(default)s)")
    parser.add_argument("--release", type=int, help="release number (time of the last change)")
    parser.add_argument("--update-ca", type=Path, help="PEM certificate that signs updates")
    parser.add_argument(
        "--compare", type=Path, metavar="CONTENTS", help="list of an earlier build to compare with"
    )
    options = parser.parse_args(argv)
    try:
        earlier = content.read(options.compare) if options.compare else None
        made = build(
            options.architecture, options.out.resolve(), options.release, options.update_ca
        )
    except BayscribeError as error:
        print(f"run image: {error.line()}", file=sys.stderr)
        return error.exit_status
    print(json.dumps(made, indent=1))
    if earlier is None:
        return 0
    found = content.differences(earlier, content.read(Path(str(made["contents"]))))
    print("\n".join(found) or f"the same {made['files']} entries as before")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

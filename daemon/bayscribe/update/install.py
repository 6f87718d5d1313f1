"""Checking a bundle, writing it to the other slot, and putting that slot on trial."""

import hashlib
import logging
import mmap
import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from bayscribe.errors import BayscribeError, IntegrityError, StorageError
from bayscribe.update.before_install import admit
from bayscribe.update.bootstate import ATTEMPTS, Slot, other, past_the_cache
from bayscribe.update.machine import Machine, Release

RAUC = "rauc"
INSTALL_S = 1800.0
CHUNK = 4 << 20

log = logging.getLogger("bayscribe.update")


class Bundle(Struct, frozen=True):
    """What a bundle's signed manifest says.

    Attributes:
        path: of the file.
        release: which release it is.
        sha256: of the slot's content.
        size: of the slot's content, bytes.
    """

    path: Path
    release: Release
    sha256: str
    size: int


def _rauc(*words: str, timeout: float = 120.0) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            [RAUC, *words], capture_output=True, text=True, check=False, timeout=timeout
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BayscribeError(
            f"rauc does not run: {type(error).__name__}", "updates need the image", code="update"
        ) from None


def examine(path: Path, options: tuple[str, ...] = ()) -> Bundle:
    """Check a bundle's signature and read its manifest.

    Args:
        path: of the bundle.
        options: further words for rauc, for instance another keyring.

    Raises:
        IntegrityError: it is not signed by whom this unit trusts, or says nothing.
    """
    if not path.is_file():
        raise BayscribeError(f"{path}: no such bundle", code="update")
    done = _rauc(*options, "info", "--output-format=json", str(path))
    if done.returncode != 0:
        raise IntegrityError(
            f"{path.name} is not a bundle that this unit trusts: {_reason(done.stderr)}",
            "take a bundle signed by this unit's publisher",
            code="signature",
        )
    return _facts(path, done.stdout)


def _reason(said: str) -> str:
    lines = [line.strip() for line in said.strip().splitlines() if line.strip()]
    return lines[-1][:200] if lines else "rauc refused it"


def _facts(path: Path, text: str) -> Bundle:
    try:
        told: dict[str, Any] = msgspec.json.decode(text)
        version, _, number = str(told["version"]).rpartition("+")
        found = re.fullmatch(r"bayscribe-([a-z0-9]+)", str(told["compatible"]))
        (image,) = (entry["rootfs"] for entry in told["images"] if "rootfs" in entry)
        if found is None:
            raise IntegrityError(f"{path.name} is for {told['compatible']}", code="architecture")
        release = Release(version, int(number), found[1])
        return Bundle(path, release, str(image["checksum"]), int(image["size"]))
    except (msgspec.MsgspecError, KeyError, ValueError, TypeError):
        raise IntegrityError(f"{path.name} does not say which release it is") from None


def slot_digest(device: Path, size: int) -> str:
    """SHA-256 of the first ``size`` bytes of a slot as the disk has them.

    Read past the page cache: what is hashed is what the boot loader will find.

    Raises:
        StorageError: the slot cannot be read.
    """
    digest = hashlib.sha256()
    page = mmap.mmap(-1, CHUNK)
    try:
        descriptor = os.open(device, os.O_RDONLY | past_the_cache(device))
        try:
            left = size
            while left > 0:
                got = os.preadv(descriptor, [page], size - left)
                if got <= 0:
                    raise StorageError(f"{device} ends before the system does")
                digest.update(memoryview(page)[: min(got, left)])
                left -= got
        finally:
            os.close(descriptor)
    except OSError as error:
        raise StorageError(f"{device}: {error.strerror}") from None
    return digest.hexdigest()


def install(bundle: Bundle, machine: Machine, options: tuple[str, ...] = ()) -> Slot:
    """Write a bundle to the slot that does not run, check it there, and put it on trial.

    A cut of power at any moment leaves the running slot first and good: the other one is
    void from before its first byte is written until it has been read back whole.

    Returns:
        the slot that starts next.

    Raises:
        Downgrade: the unit has had a higher release.
        IntegrityError: rauc refused, or the slot does not hold what was signed.
        StorageError: a disk failed.
    """
    admit(bundle.release, machine)
    slot = other(machine.slot())
    sector = machine.sector()
    sector.write(sector.read().with_state(slot, "void", first=machine.slot()))
    done = _rauc(*options, "install", str(bundle.path), timeout=INSTALL_S)
    if done.returncode != 0:
        raise IntegrityError(
            f"rauc did not install {bundle.path.name}: {_reason(done.stderr)}", code="install"
        )
    activate(bundle, machine, slot)
    return slot


def activate(bundle: Bundle, machine: Machine, slot: Slot) -> None:
    """Put a written slot on trial, if it holds what was signed.

    Raises:
        IntegrityError: it does not; it stays void.
        StorageError: it cannot be read.
    """
    device = machine.device(slot)
    descriptor = os.open(device, os.O_WRONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if slot_digest(device, bundle.size) != bundle.sha256:
        raise IntegrityError(
            f"slot {slot} does not hold what was written to it",
            "replace the unit's disk",
            code="slot",
        )
    sector = machine.sector()
    sector.write(sector.read().with_state(slot, ATTEMPTS, first=slot))
    log.info("slot is on trial", extra={"slot": slot, "release": bundle.release.release})


def describe(machine: Machine) -> Mapping[str, object]:
    """What runs, what starts next, and the slots' states."""
    state, slot = machine.sector().read(), machine.slot()
    own = machine.release()
    return {
        "running": slot,
        "version": own.version,
        "release": own.release,
        "floor": machine.floor(),
        "starts_next": state.starts(),
        "slot_a": state.a,
        "slot_b": state.b,
    }

"""rauc's pre-install handler: whoever calls rauc, a lower release is not installed."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec

from bayscribe.errors import BayscribeError, IntegrityError
from bayscribe.update.machine import Machine, Release


class Downgrade(BayscribeError):  # noqa: N818 - says what was tried
    """A bundle of a lower release than this unit has had."""

    code = "downgrade"


def admit(release: Release, machine: Machine) -> None:
    """Check that a release may be installed here.

    Raises:
        Downgrade: the unit has had a higher one, or runs this one.
        IntegrityError: it is for another processor.
    """
    own = machine.release()
    if release.architecture != own.architecture:
        raise IntegrityError(f"the bundle is for {release.architecture}", code="architecture")
    if release.release <= machine.floor():
        raise Downgrade(
            f"release {release.release} is not above {machine.floor()}, which this unit has had",
            "take a newer bundle",
        )


def bundled(environment: Mapping[str, str]) -> Release:
    """The release in the bundle that rauc has mounted.

    Raises:
        IntegrityError: it does not say.
    """
    mounted = environment.get("RAUC_BUNDLE_MOUNT_POINT") or environment.get("RAUC_UPDATE_SOURCE")
    try:
        return msgspec.json.decode(
            (Path(mounted or "") / "release.json").read_bytes(), type=Release
        )
    except (OSError, msgspec.MsgspecError):
        raise IntegrityError("the bundle does not say which release it is") from None


def main() -> int:
    """Entry point; anything but 0 makes rauc leave both slots alone."""
    try:
        admit(bundled(os.environ), Machine())
    except BayscribeError as error:
        print(f"before-install: {error.line()}", file=sys.stderr)  # noqa: T201 - for rauc's log
        return 1
    return 0

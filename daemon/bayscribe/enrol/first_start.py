"""The steps of a first start, each of which may be cut and done again."""

import contextlib
import logging
from collections.abc import Sequence
from pathlib import Path

from bayscribe.enrol import order as orders
from bayscribe.enrol.client import Granted, enrol
from bayscribe.enrol.keystore import KeyStore, replace_file
from bayscribe.errors import BayscribeError

CERTIFICATE = "device.crt"
log = logging.getLogger("bayscribe.enrol")


class NoOrder(BayscribeError):  # noqa: N818 - says what is the matter
    """There is nothing yet that says where to enrol."""

    code = "no-order"


def find(places: Sequence[Path]) -> Path:
    """The first order that exists.

    Raises:
        NoOrder: there is none.
    """
    for place in places:
        if place.is_file():
            return place
    raise NoOrder(
        f"no enrol.toml at {', '.join(map(str, places))}",
        "make one with `bayscribe-relay pki token` and put it on the boot partition",
    )


def request(folder: Path, places: Sequence[Path], keys: KeyStore | None = None) -> str:
    """Enrol the unit; nothing happens if it is enrolled.

    The certificate is written last: while it is missing, every start begins again, with
    the same key, and the token stays good for that key.

    Args:
        folder: for key, certificates and configuration.
        places: where an order may lie; one on a writable disk is deleted when done.
        keys: the key's place, when not ``folder`` itself.

    Returns:
        the device's id, or "" if it was enrolled before.

    Raises:
        NoOrder: nobody has said where to enrol.
        ConfigError: an order cannot be taken.
        LinkError: refused, or the service is out of reach.
    """
    if (folder / CERTIFICATE).exists():
        return ""
    place = find(places)
    order = orders.load(place)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    keys = keys or KeyStore(folder)
    granted = enrol(order.enrolment, keys.make())
    _write(folder, granted, orders.configuration(order))
    with contextlib.suppress(OSError):
        place.unlink()  # the token is used up; on a read-only disk it may stay
    log.info("enrolled as %s", order.enrolment.device)
    return order.enrolment.device


def _write(folder: Path, granted: Granted, configuration: str) -> None:
    for name, text in (
        ("relay-ca.crt", granted.ca),
        ("relay-seal.pub", granted.seal_key),
        ("bayscribe.toml", configuration),
        (CERTIFICATE, granted.certificate),
    ):
        replace_file(folder / name, text.encode())

"""A bundle from the relay's site: over mutual TLS, continued where it broke off, by its hash."""

import hashlib
import http.client
import logging
import os
import re
import shutil
import ssl
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct

from bayscribe.errors import BadUse, IntegrityError, LinkError, StorageError
from bayscribe.update.machine import Machine

TIMEOUT_S = 30.0
CHUNK = 1 << 20
RESERVE_BYTES = 128 << 20
"""Left free on the data partition: the buffer comes before any update."""

MOST_BYTES = 2 << 30
REQUEST_FILE = "update.json"

log = logging.getLogger("bayscribe.update")


class UpdateRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """What the relay asks a unit to install.

    Attributes:
        url: ``https://HOST[:PORT]/v1/updates/NAME.raucb``.
        sha256: of the bundle's file.
        size: of it, bytes.
    """

    url: Annotated[
        str, Meta(pattern=r"^https://[^/\s]+/v1/updates/[A-Za-z0-9][A-Za-z0-9._+-]*\.raucb$")
    ]
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
    size: Annotated[int, Meta(gt=0, le=MOST_BYTES)]

    @property
    def name(self) -> str:
        """Of the bundle's file."""
        return self.url.rpartition("/")[2]


def from_arguments(arguments: dict[str, str]) -> UpdateRequest:
    """A request out of a command's arguments, which are text.

    Raises:
        BadUse: something is missing or cannot be.
    """
    try:
        return msgspec.convert(arguments, UpdateRequest, strict=False)
    except msgspec.ValidationError as error:
        raise BadUse(f"not a request to update: {error}", code="update-request") from None


def leave_request(folder: Path, request: UpdateRequest) -> None:
    """Leave a request where the update service finds it; the service is started by it.

    Raises:
        StorageError: it cannot be written.
    """
    beside = folder / f".{REQUEST_FILE}"
    try:
        beside.write_bytes(msgspec.json.encode(request))
        beside.chmod(0o644)  # the fetching service is another user, without privileges
        beside.replace(folder / REQUEST_FILE)
    except OSError as error:
        raise StorageError(f"{folder}: {error.strerror}") from None


def requested(folder: Path) -> UpdateRequest:
    """The request that was left.

    Raises:
        BadUse: there is none, or it is not one.
    """
    path = folder / REQUEST_FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=UpdateRequest)
    except OSError:
        raise BadUse(f"{path}: no update was asked for", code="update-request") from None
    except msgspec.MsgspecError as error:
        raise BadUse(f"{path} is not a request to update: {error}", code="update-request") from None


def context(machine: Machine, key: Path) -> ssl.SSLContext:
    """TLS with this unit's certificate, to a server of this site's authority.

    Raises:
        IntegrityError: the unit has no usable identity.
    """
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    made.verify_flags |= ssl.VERIFY_X509_STRICT
    try:
        made.load_verify_locations(machine.unit / "relay-ca.crt")
        made.load_cert_chain(machine.unit / "device.crt", key)
    except (OSError, ssl.SSLError) as error:
        raise IntegrityError(
            f"the unit's identity cannot be used: {type(error).__name__}", "enrol this unit"
        ) from None
    return made


def fetch(request: UpdateRequest, machine: Machine, tls: ssl.SSLContext) -> Path:
    """Bring a bundle to the data partition.

    Returns:
        the bundle's file; its hash is the one that was asked for.

    Raises:
        LinkError: the server is away or stopped; what came stays, the next call goes on.
        IntegrityError: the file is another one; it is gone.
        StorageError: the data partition has no room for it.
    """
    folder = machine.state / "staged"
    folder.mkdir(parents=True, exist_ok=True)
    target, part = folder / request.name, folder / f"{request.sha256}.part"
    for old in folder.iterdir():
        if old not in (target, part):
            old.unlink()
    if target.is_file() and _digest(target) == request.sha256:
        return target
    have = part.stat().st_size if part.exists() else 0
    if have > request.size:
        part.unlink()
        have = 0
    if shutil.disk_usage(folder).free < request.size - have + RESERVE_BYTES:
        raise StorageError("the data partition has no room for the bundle", code="update-room")
    if have < request.size:
        _download(request, part, have, tls)
    if _digest(part) != request.sha256:
        part.unlink()
        raise IntegrityError("the bundle that came is not the one asked for", code="update-hash")
    part.replace(target)
    return target


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _download(request: UpdateRequest, part: Path, have: int, tls: ssl.SSLContext) -> None:
    place = urlsplit(request.url)
    connection = http.client.HTTPSConnection(
        place.hostname or "", place.port or 443, timeout=TIMEOUT_S, context=tls
    )
    try:
        connection.request("GET", place.path, headers={"Range": f"bytes={have}-"} if have else {})
        answer = connection.getresponse()
        if answer.status not in (200, 206):
            raise LinkError(f"{place.netloc} answered with status {answer.status}", code="update")
        if answer.status == http.client.OK:
            have = 0
        elif not re.match(rf"bytes {have}-\d+/{request.size}$", answer.headers["Content-Range"]):
            raise LinkError(f"{place.netloc} sends another part than was asked for", code="update")
        _save(answer, part, have, request.size)
    except (OSError, http.client.HTTPException) as error:
        raise LinkError(
            f"{place.netloc} broke off: {type(error).__name__}", "it is tried again", code="update"
        ) from None
    finally:
        connection.close()


def _save(answer: http.client.HTTPResponse, part: Path, have: int, size: int) -> None:
    with part.open("r+b" if have else "wb") as file:
        file.seek(have)
        while chunk := answer.read(CHUNK):
            have += len(chunk)
            if have > size:
                raise LinkError("more was sent than was asked for", code="update")
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    if have < size:
        raise LinkError("the bundle broke off", "it is tried again", code="update")

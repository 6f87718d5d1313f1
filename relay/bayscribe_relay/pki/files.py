"""Key and certificate files: never overwritten, secrets readable by their owner alone."""

import os
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from bayscribe.errors import BadUse

SECRET_MODE = 0o600
PUBLIC_MODE = 0o644


def write_new(path: Path, data: bytes, mode: int) -> None:
    """Write a file that does not exist yet, durably.

    Raises:
        BadUse: it exists, or cannot be written.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        raise BadUse(
            f"{path} exists", "move it away first; keys are never overwritten", code="exists"
        ) from None
    except OSError as error:
        raise BadUse(f"{path} cannot be written: {error.strerror}", code="file") from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def replace(path: Path, data: bytes, mode: int) -> None:
    """Replace a file as one step: readers see the old content or the new, never a part.

    Raises:
        BadUse: it cannot be written.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)
    write_new(beside, data, mode)
    beside.replace(path)


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """A private key as unencrypted PKCS #8: services start without a person."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def read(path: Path) -> bytes:
    """A file's bytes.

    Raises:
        BadUse: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadUse(f"{path} cannot be read: {error.strerror}", code="file") from None


def load_certificate(path: Path) -> x509.Certificate:
    """Read a PEM certificate.

    Raises:
        BadUse: it is not one.
    """
    try:
        return x509.load_pem_x509_certificate(read(path))
    except ValueError:
        raise BadUse(f"{path} is not a PEM certificate", code="certificate") from None


def load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Read an unencrypted PEM private key on an elliptic curve.

    Raises:
        BadUse: it is not one.
    """
    try:
        key = serialization.load_pem_private_key(read(path), None)
    except (ValueError, TypeError):
        raise BadUse(f"{path} is not an unencrypted PEM private key", code="key") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise BadUse(f"{path} is not an elliptic-curve key", "use P-256", code="key")
    return key

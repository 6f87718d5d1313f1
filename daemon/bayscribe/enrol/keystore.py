"""The unit's private key: made here, never shown, sealed by the TPM where there is one."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from bayscribe.errors import BadUse, BayscribeError, StorageError

CREDENTIAL = "device.key"
SYSTEMD_CREDS = "systemd-creds"


def replace_file(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Write a file so that a cut of power leaves the old one, the new one or none.

    Raises:
        StorageError: it cannot be written.
    """
    beside = path.with_name(f".{path.name}.new")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror}") from None


class KeyStore:
    """A folder that holds the key: ``device.key``, or ``device.key.cred`` sealed by a TPM.

    Args:
        folder: on the data partition.
        program: ``systemd-creds``, or another with its interface.
    """

    def __init__(self, folder: Path, program: Sequence[str] = (SYSTEMD_CREDS,)) -> None:
        self._plain = folder / "device.key"
        self._sealed = folder / "device.key.cred"
        self._program = list(program)

    @property
    def sealed(self) -> bool:
        """Whether the key lies sealed."""
        return self._sealed.exists()

    def make(self) -> ec.EllipticCurvePrivateKey:
        """The unit's key; a new one only if it has none yet.

        An enrolment that was interrupted goes on with the key that it began with.

        Raises:
            BayscribeError: a key that is there cannot be opened.
            StorageError: a new one cannot be written.
        """
        if self._sealed.exists() or self._plain.exists():
            return _key(self.open())
        key = ec.generate_private_key(ec.SECP256R1())
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        if self._has_tpm():
            replace_file(self._sealed, self._run("encrypt", "--with-key=tpm2", pem=pem))
        else:
            replace_file(self._plain, pem)
        return key

    def open(self) -> bytes:
        """The key as PEM.

        Raises:
            BayscribeError: there is none, or the TPM does not open it.
        """
        if self._sealed.exists():
            return self._run("decrypt", pem=self._read(self._sealed))
        return self._read(self._plain)

    def _read(self, path: Path) -> bytes:
        try:
            return path.read_bytes()
        except OSError as error:
            raise BayscribeError(
                f"{path}: {error.strerror}", "enrol this unit", code="identity"
            ) from None

    def _has_tpm(self) -> bool:
        try:
            done = subprocess.run(
                [*self._program, "has-tpm2"], capture_output=True, check=False, timeout=30
            )
        except (OSError, subprocess.TimeoutExpired):
            return False
        return done.returncode == 0

    def _run(self, verb: str, *options: str, pem: bytes) -> bytes:
        command = [*self._program, verb, *options, f"--name={CREDENTIAL}", "-", "-"]
        try:
            done = subprocess.run(command, input=pem, capture_output=True, check=False, timeout=60)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise BayscribeError(
                f"{self._program[0]} does not run: {type(error).__name__}", code="identity"
            ) from None
        if done.returncode != 0:
            raise BayscribeError(
                f"the TPM does not {verb} the unit's key",
                "after a change of board or firmware, enrol the unit anew",
                code="identity",
            )
        return done.stdout


def _key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(pem, None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise BadUse(
            "the unit's key file holds no P-256 key", "remove it and enrol anew", code="identity"
        )
    return key

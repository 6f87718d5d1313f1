"""Who may command this unit: the fleet's key, once for each command."""

import os
import time
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from msgspec import Struct

from bayscribe.errors import ConfigError, StorageError
from bayscribe.wire.signed_command import CommandBody, CommandRefused, verify

FILE = "commands.json"


class _Accepted(Struct):
    """The highest counter that was ever accepted."""

    counter: int


class Gatekeeper:
    """Judges commands, and remembers durably which were accepted.

    Args:
        device: this unit.
        key: the fleet's public key, or None: then every command is refused.
        folder: where the counter is kept.

    Raises:
        ConfigError: the key cannot be used.
        StorageError: the counter cannot be read: nothing is accepted without it.
    """

    def __init__(self, device: str, key: Path | None, folder: Path) -> None:
        self._device = device
        self._key = _read_key(key) if key is not None else None
        self._path = folder / FILE
        self._newest = self._read()

    def admit(self, payload: bytes) -> CommandBody:
        """A command that may be carried out; it can never be admitted again.

        Raises:
            CommandRefused: why not.
            StorageError: the counter cannot be made durable.
        """
        if self._key is None:
            raise CommandRefused("this unit knows no fleet key", code="no-key")
        body = verify(self._key, payload, self._device, self._newest, time.time())
        self._write(body.counter)
        self._newest = body.counter
        return body

    def _read(self) -> int:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=_Accepted).counter
        except FileNotFoundError:
            return 0
        except (OSError, msgspec.MsgspecError):
            raise StorageError(
                f"{self._path} cannot be read", "remove it only after changing the fleet's key"
            ) from None

    def _write(self, counter: int) -> None:
        beside = self._path.with_name(f".{FILE}.new")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with beside.open("wb") as file:
                file.write(msgspec.json.encode(_Accepted(counter)))
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self._path)
            folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise StorageError(f"{self._path}: {error.strerror}") from None


def _read_key(path: Path) -> ec.EllipticCurvePublicKey:
    try:
        key = serialization.load_pem_public_key(path.read_bytes())
    except (OSError, ValueError):
        raise ConfigError(
            f"telemetry.command_key: {path} is not a readable PEM public key",
            "make one with `bayscribe-relay fleet key`",
        ) from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
        raise ConfigError(f"telemetry.command_key: {path}: expected a P-256 key")
    return key

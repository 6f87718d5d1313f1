"""Voiceprints at rest, one sealed file each.

A voiceprint is biometric data. Each file is sealed under a key of its own, derived from the
unit's private key and a random salt in the file; deleting overwrites salt and ciphertext
before the name goes, so what a worn flash cell may keep opens nothing without both::

    offset  size   what
    0       4      magic "BSV1"
    4       32     salt
    36      12     nonce
    48      n      AES-256-GCM of the MessagePack map; its associated data is magic and name

The file's name is an HMAC of the label: a folder listing names nobody.
"""

import hashlib
import hmac
import logging
import os
import re
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from msgspec import Struct

from bayscribe.diarize.enrol import Voiceprint
from bayscribe.errors import BadUse, StorageError

MAGIC = b"BSV1"
SALT_BYTES, NONCE_BYTES = 32, 12
_SUFFIX = ".voice"
_INFO_SEAL, _INFO_NAME = b"bayscribe voiceprint seal v1", b"bayscribe voiceprint name v1"
_LABEL = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SIZE = 192

log = logging.getLogger("bayscribe.voices")


class _Sealed(Struct, frozen=True, forbid_unknown_fields=True):
    label: str
    enrolled_wall_ns: int
    windows: bytes
    anchor: bytes
    v: Literal[1] = 1


@dataclass(frozen=True, slots=True)
class KnownVoice:
    """One voice of the store.

    Attributes:
        print: the voiceprint.
        enrolled_wall_ns: when.
        file: name of its file.
    """

    print: Voiceprint
    enrolled_wall_ns: int
    file: str


def check_label(label: str) -> str:
    """A label as it may stand in a turn.

    Raises:
        BadUse: it may not.
    """
    if not _LABEL.fullmatch(label) or label.startswith("unknown-"):
        raise BadUse(
            f"{label!r} is no label", "1 to 64 letters, digits, '.', '_' or '-'; not unknown-N"
        )
    return label


class VoiceStore:
    """The sealed voiceprints of one unit.

    Args:
        folder: made when the first voice comes.
        key: the unit's private key.
    """

    def __init__(self, folder: Path, key: ec.EllipticCurvePrivateKey) -> None:
        self._folder = folder
        self._secret = key.private_numbers().private_value.to_bytes(32, "big")

    def load(self) -> list[KnownVoice]:
        """All voices that open, by label; one that does not is logged and left alone."""
        voices = []
        for path in sorted(self._folder.glob(f"*{_SUFFIX}")):
            try:
                voices.append(self._open(path))
            except (OSError, InvalidTag, msgspec.MsgspecError, ValueError):
                log.warning("a sealed voice does not open", extra={"file": path.name})
        return sorted(voices, key=lambda voice: voice.print.label)

    def add(self, voice: Voiceprint) -> str:
        """Seal a voice durably, in place of one with the same label; its file's name.

        Raises:
            StorageError: the disk refuses it.
        """
        path = self._path(check_label(voice.label))
        salt, nonce = secrets.token_bytes(SALT_BYTES), secrets.token_bytes(NONCE_BYTES)
        plain = msgspec.msgpack.encode(
            _Sealed(
                voice.label,
                time.time_ns(),
                voice.windows.astype("<f4").tobytes(),
                voice.anchor.astype("<f4").tobytes(),
            )
        )
        sealed = AESGCM(self._key(salt, _INFO_SEAL)).encrypt(nonce, plain, _bound(path))
        temporary = path.with_suffix(".new")
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(MAGIC + salt + nonce + sealed)
                file.flush()
                os.fsync(file.fileno())
            self._erase(path)
            temporary.replace(path)
            self._settle()
        except OSError as error:
            raise StorageError(f"the voice cannot be kept: {error.strerror}") from None
        log.warning("voice enrolled", extra={"file": path.name})
        return path.name

    def delete(self, label: str) -> str:
        """Erase a voice; SHA-256 of the sealed file that is gone, as the log says it too.

        Raises:
            BadUse: there is none of that label.
            StorageError: the disk refuses.
        """
        path = self._path(label)
        try:
            digest = self._erase(path)
            self._settle()
        except OSError as error:
            raise StorageError(f"the voice cannot be erased: {error.strerror}") from None
        if digest is None:
            raise BadUse(f"no voice {label!r} is enrolled on this unit", code="no-voice")
        log.warning("voice deleted", extra={"file": path.name, "sealed_sha256": digest})
        return digest

    def _erase(self, path: Path) -> str | None:
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        with path.open("r+b") as file:
            file.write(bytes(len(content)))
            file.flush()
            os.fsync(file.fileno())
        path.unlink()
        return hashlib.sha256(content).hexdigest()

    def _open(self, path: Path) -> KnownVoice:
        data = path.read_bytes()
        if data[:4] != MAGIC:
            raise ValueError("no voice")
        salt, nonce = data[4 : 4 + SALT_BYTES], data[4 + SALT_BYTES :][:NONCE_BYTES]
        sealed = data[4 + SALT_BYTES + NONCE_BYTES :]
        plain = AESGCM(self._key(salt, _INFO_SEAL)).decrypt(nonce, sealed, _bound(path))
        kept = msgspec.msgpack.decode(plain, type=_Sealed)
        windows = np.frombuffer(kept.windows, "<f4").reshape(-1, _SIZE).astype(np.float32)
        anchor = np.frombuffer(kept.anchor, "<f4").astype(np.float32)
        return KnownVoice(Voiceprint(kept.label, windows, anchor), kept.enrolled_wall_ns, path.name)

    def _path(self, label: str) -> Path:
        name = hmac.new(self._key(b"", _INFO_NAME), label.encode(), hashlib.sha256)
        return self._folder / (name.hexdigest()[:32] + _SUFFIX)

    def _key(self, salt: bytes, info: bytes) -> bytes:
        return HKDF(hashes.SHA256(), 32, salt, info).derive(self._secret)

    def _settle(self) -> None:
        if not self._folder.exists():
            return
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _bound(path: Path) -> bytes:
    return MAGIC + path.stem.encode()

"""One-time enrolment tokens: short-lived, bound to one device, kept only as hashes.

A token is 192 random bits, so its plain SHA-256 tells a thief of the book nothing. The first
key that presents it is the only one that it ever certifies: a unit whose answer was lost on
the way asks again with the same key and gets a certificate again, anyone else is refused.
"""

import fcntl
import hashlib
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from msgspec import Struct

from bayscribe.errors import BadUse, LinkError
from bayscribe.wire.identity import is_device_name
from bayscribe_relay.pki import files

TOKEN_BYTES = 24
VALID_S = 3600.0
KEPT_S = 7 * 86_400.0
"""How long a token that has run out stays in the book, for whoever asks why it was refused."""

MOST_VALID_S = 7 * 86_400.0


class Entry(Struct, frozen=True):
    """What the book knows of one token.

    Attributes:
        token_sha256: of its text.
        device: that it may certify.
        expires: wall time in seconds since 1970.
        key_sha256: of the public key (DER) that used it; empty until then.
    """

    token_sha256: str
    device: str
    expires: float
    key_sha256: str = ""


class TokenRefused(LinkError):  # noqa: N818 - what happened to the token, as in the log
    """A token that certifies nobody; ``str()`` says why, for the relay's log alone."""

    code = "token"


class TokenBook:
    """The tokens of one authority, in ``tokens.json`` of its folder.

    Args:
        folder: of the authority.
        clock: wall time.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self._path = folder / "tokens.json"
        self._lock = folder / "tokens.lock"
        self._clock = clock

    def issue(self, device: str, valid_s: float = VALID_S) -> str:
        """Make a token; its text is told once and kept nowhere.

        Raises:
            BadUse: the name cannot name a device, or the time is none or too long.
        """
        if not is_device_name(device):
            raise BadUse(f"{device!r} cannot name a device", code="device-name")
        if not 0 < valid_s <= MOST_VALID_S:
            raise BadUse("a token is valid for more than nothing and at most seven days")
        token = secrets.token_urlsafe(TOKEN_BYTES)
        entry = Entry(_digest(token.encode()), device, self._clock() + valid_s)
        with self._held() as entries:
            entries.append(entry)
            self._write(entries)
        return token

    def redeem(self, token: str, device: str, public_key: bytes) -> None:
        """Use a token for a key; durable before it returns.

        Args:
            token: as the unit presented it.
            device: that the unit says it is.
            public_key: DER of the key in its request.

        Raises:
            TokenRefused: unknown, run out, another device's, or another key has used it.
        """
        wanted, key = _digest(token.encode()), _digest(public_key)
        with self._held() as entries:
            found = [n for n, entry in enumerate(entries) if entry.token_sha256 == wanted]
            if not found:
                raise TokenRefused("unknown token")
            entry = entries[found[0]]
            if entry.device != device:
                raise TokenRefused(f"the token is for {entry.device}")
            if entry.expires < self._clock():
                raise TokenRefused("the token has run out")
            if entry.key_sha256 not in ("", key):
                raise TokenRefused("the token was used by another key")
            entries[found[0]] = msgspec.structs.replace(entry, key_sha256=key)
            self._write(entries)

    @contextmanager
    def _held(self) -> Iterator[list[Entry]]:
        """The entries, while no other process reads or writes them."""
        try:
            lock = os.open(self._lock, os.O_RDWR | os.O_CREAT, files.SECRET_MODE)
        except OSError as error:
            raise BadUse(f"{self._lock}: {error.strerror}", code="file") from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield self._read()
        finally:
            os.close(lock)

    def _read(self) -> list[Entry]:
        if not self._path.exists():
            return []
        try:
            entries = msgspec.json.decode(files.read(self._path), type=list[Entry])
        except msgspec.MsgspecError:
            raise BadUse(f"{self._path} is not a book of tokens", code="file") from None
        oldest = self._clock() - KEPT_S
        return [entry for entry in entries if entry.expires > oldest]

    def _write(self, entries: list[Entry]) -> None:
        files.replace(self._path, msgspec.json.encode(entries), files.SECRET_MODE)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()

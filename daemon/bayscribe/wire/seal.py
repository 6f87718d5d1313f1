"""Sealing a segment's payload to the relay's public key with HPKE (RFC 9180, base mode).

The appliance holds only the public key, so it cannot read back what it wrote. The
record's header is bound through HPKE's ``info``: a payload opens under the header it
was sealed with and under no other.

Sealed bytes::

    offset  size   what
    0       4      magic "BSL1"
    4       1      KEM      1 = MLKEM768-X25519, 2 = DHKEM(X25519)
    5       1      AEAD     1 = ChaCha20-Poly1305, 2 = AES-256-GCM
    6       8      key id: first 8 bytes of SHA-256 over the relay's public key bytes
    14      enc    encapsulated key (1120 bytes hybrid, 32 bytes X25519)
    ...     n      ciphertext
    end-16  16     authentication tag

The hybrid KEM is the default because a recorded voice stays sensitive for decades;
X25519 alone is the fallback for a site whose key ceremony cannot yet make hybrid keys.
"""

import hashlib
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric import mlkem, x25519

from bayscribe.errors import BadUse, IntegrityError

MAGIC = b"BSL1"
KEY_ID_BYTES = 8
PREFIX_BYTES = len(MAGIC) + 2 + KEY_ID_BYTES
TAG_BYTES = 16
MLKEM_PUBLIC_BYTES = 1184
MLKEM_SEED_BYTES = 64
X25519_BYTES = 32

_INFO = b"bayscribe.seal.v1\x00"


class Kem(IntEnum):
    """Key encapsulation."""

    MLKEM768_X25519 = 1
    X25519 = 2


class Aead(IntEnum):
    """Bulk cipher, chosen by what the CPU does in hardware."""

    CHACHA20_POLY1305 = 1
    AES_256_GCM = 2


_KEMS = {Kem.MLKEM768_X25519: hpke.KEM.MLKEM768_X25519, Kem.X25519: hpke.KEM.X25519}
_AEADS = {
    Aead.CHACHA20_POLY1305: hpke.AEAD.CHACHA20_POLY1305,
    Aead.AES_256_GCM: hpke.AEAD.AES_256_GCM,
}
ENCAPSULATED_BYTES = {Kem.MLKEM768_X25519: 1120, Kem.X25519: 32}


@dataclass(frozen=True, slots=True)
class SealingKey:
    """The relay's public key, as a unit holds it.

    Attributes:
        kem: which encapsulation it is for.
        raw: ML-KEM-768 key (1184 bytes) then X25519 key (32), or the latter alone.
    """

    kem: Kem
    raw: bytes

    @property
    def key_id(self) -> bytes:
        """First eight bytes of SHA-256 over the kind of key and its bytes."""
        return hashlib.sha256(bytes([self.kem]) + self.raw).digest()[:KEY_ID_BYTES]

    def to_text(self) -> str:
        """One line: ``bayscribe-seal-1 <kem> <hex>``."""
        return f"bayscribe-seal-1 {self.kem.name} {self.raw.hex()}\n"

    @classmethod
    def from_text(cls, text: str) -> "SealingKey":
        """Read the line that :meth:`to_text` writes.

        Raises:
            BadUse: it is not such a line.
        """
        kem, raw = _split(text, "bayscribe-seal-1")
        expected = X25519_BYTES + (MLKEM_PUBLIC_BYTES if kem is Kem.MLKEM768_X25519 else 0)
        if len(raw) != expected:
            raise BadUse(f"sealing key has {len(raw)} bytes, expected {expected}", code="key")
        return cls(kem, raw)

    def _public(self) -> x25519.X25519PublicKey | hpke.MLKEM768X25519PublicKey:
        curve = x25519.X25519PublicKey.from_public_bytes(self.raw[-X25519_BYTES:])
        if self.kem is Kem.X25519:
            return curve
        lattice = mlkem.MLKEM768PublicKey.from_public_bytes(self.raw[:MLKEM_PUBLIC_BYTES])
        return hpke.MLKEM768X25519PublicKey(lattice, curve)

    def seal(self, payload: bytes, header: bytes, aead: Aead) -> bytes:
        """Encrypt ``payload`` so that only the relay opens it, bound to ``header``."""
        suite = hpke.Suite(_KEMS[self.kem], hpke.KDF.HKDF_SHA256, _AEADS[aead])
        prefix = MAGIC + bytes([self.kem, aead]) + self.key_id
        return prefix + suite.encrypt(payload, self._public(), info=_INFO + prefix + header)


@dataclass(frozen=True, slots=True)
class OpeningKey:
    """The relay's private key. It exists on relays only.

    Attributes:
        kem: which encapsulation it is for.
        seed: ML-KEM-768 seed (64 bytes) then X25519 key (32), or the latter alone.
    """

    kem: Kem
    seed: bytes

    def __repr__(self) -> str:
        return f"OpeningKey({self.kem.name}, key id {self.sealing_key().key_id.hex()})"

    @classmethod
    def generate(cls, kem: Kem = Kem.MLKEM768_X25519) -> "OpeningKey":
        """Make a new key from the system's random numbers."""
        seed = x25519.X25519PrivateKey.generate().private_bytes_raw()
        if kem is Kem.MLKEM768_X25519:
            seed = mlkem.MLKEM768PrivateKey.generate().private_bytes_raw() + seed
        return cls(kem, seed)

    def to_text(self) -> str:
        """One line: ``bayscribe-open-1 <kem> <hex>``. Secret."""
        return f"bayscribe-open-1 {self.kem.name} {self.seed.hex()}\n"

    @classmethod
    def from_text(cls, text: str) -> "OpeningKey":
        """Read the line that :meth:`to_text` writes.

        Raises:
            BadUse: it is not such a line.
        """
        kem, seed = _split(text, "bayscribe-open-1")
        expected = X25519_BYTES + (MLKEM_SEED_BYTES if kem is Kem.MLKEM768_X25519 else 0)
        if len(seed) != expected:
            raise BadUse(f"opening key has {len(seed)} bytes, expected {expected}", code="key")
        return cls(kem, seed)

    def _curve(self) -> x25519.X25519PrivateKey:
        return x25519.X25519PrivateKey.from_private_bytes(self.seed[-X25519_BYTES:])

    def _lattice(self) -> mlkem.MLKEM768PrivateKey:
        return mlkem.MLKEM768PrivateKey.from_seed_bytes(self.seed[:MLKEM_SEED_BYTES])

    def sealing_key(self) -> SealingKey:
        """The public half, for units."""
        raw = self._curve().public_key().public_bytes_raw()
        if self.kem is Kem.MLKEM768_X25519:
            raw = self._lattice().public_key().public_bytes_raw() + raw
        return SealingKey(self.kem, raw)

    def open(self, sealed: bytes, header: bytes) -> bytes:
        """Decrypt a payload under the header it was sealed with.

        Raises:
            IntegrityError: it was made for another key, or anything in it or in the
                header has been altered.
        """
        kem, aead, key_id = parse_prefix(sealed)
        if kem is not self.kem or key_id != self.sealing_key().key_id:
            raise IntegrityError("payload is sealed to another key", code="other-key")
        private = (
            self._curve()
            if kem is Kem.X25519
            else hpke.MLKEM768X25519PrivateKey(self._lattice(), self._curve())
        )
        suite = hpke.Suite(_KEMS[kem], hpke.KDF.HKDF_SHA256, _AEADS[aead])
        info = _INFO + sealed[:PREFIX_BYTES] + header
        try:
            return suite.decrypt(sealed[PREFIX_BYTES:], private, info=info)
        except (InvalidTag, ValueError):
            raise IntegrityError("sealed payload does not open", code="sealed") from None


def parse_prefix(sealed: bytes) -> tuple[Kem, Aead, bytes]:
    """KEM, AEAD and key id of a sealed payload, without opening it.

    Raises:
        IntegrityError: it is not a sealed payload of a kind known here.
    """
    if len(sealed) < PREFIX_BYTES or sealed[: len(MAGIC)] != MAGIC:
        raise IntegrityError("not a sealed payload", code="sealed")
    try:
        kem, aead = Kem(sealed[4]), Aead(sealed[5])
    except ValueError:
        raise IntegrityError("sealed with an unknown suite", code="sealed") from None
    if len(sealed) < PREFIX_BYTES + ENCAPSULATED_BYTES[kem] + TAG_BYTES:
        raise IntegrityError("sealed payload is cut short", code="sealed")
    return kem, aead, sealed[6:PREFIX_BYTES]


def fastest_aead(cpuinfo: Path = Path("/proc/cpuinfo")) -> Aead:
    """AES-256-GCM where the CPU has AES instructions, ChaCha20-Poly1305 elsewhere.

    A Raspberry Pi 4 has none: there ChaCha20 is about three times as fast.
    """
    try:
        text = cpuinfo.read_text(errors="replace")
    except OSError:
        return Aead.CHACHA20_POLY1305
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return Aead.AES_256_GCM if "aes" in value.split() else Aead.CHACHA20_POLY1305
    return Aead.CHACHA20_POLY1305


def _split(text: str, what: str) -> tuple[Kem, bytes]:
    fields = text.split()
    try:
        name, kem, digits = fields
        if name == what:
            return Kem[kem], bytes.fromhex(digits)
    except (ValueError, KeyError):
        pass
    raise BadUse(f"not a {what} key line", "make keys with `bayscribe-relay pki`", code="key")

"""The manifest: what a package holds, hash by hash, and the signature over it.

::

    signature = ECDSA-P256-SHA256("bayscribe.custody.v1" 0x00 SHA-256(manifest.json))

r and s, 32 bytes each, big-endian; made deterministically (RFC 6979), so that the same
records give the same package. ``signer.der`` is the signing certificate and one of the entries.
"""

import hashlib
from collections.abc import Mapping
from typing import Final, Literal

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from msgspec import Struct

MANIFEST: Final = "manifest.json"
SIGNATURE: Final = "manifest.sig"
SIGNER: Final = "signer.der"
PACKAGE: Final = b"bayscribe.custody.v1\x00"
DELETION: Final = b"bayscribe.deletion.v1\x00"
"""What a signature is for stands before what is signed: none can be taken for another."""


class Entry(Struct, frozen=True, forbid_unknown_fields=True):
    """One file of the package."""

    name: str
    size: int
    sha256: str


class Manifest(Struct, frozen=True, forbid_unknown_fields=True):
    """All files of the package, by name."""

    format: Literal["bayscribe-custody"]
    v: Literal[1]
    subject: str
    software: str
    entries: tuple[Entry, ...]


def make(subject: str, software: str, entries: Mapping[str, bytes]) -> bytes:
    """The manifest of these entries."""
    rows = tuple(
        Entry(name, len(data), hashlib.sha256(data).hexdigest())
        for name, data in sorted(entries.items())
    )
    return msgspec.json.encode(Manifest("bayscribe-custody", 1, subject, software, rows))


def sign(key: ec.EllipticCurvePrivateKey, purpose: bytes, data: bytes) -> bytes:
    """Sign bytes for a purpose: 64 bytes, r then s."""
    message = purpose + hashlib.sha256(data).digest()
    der = key.sign(message, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
    r, s = decode_dss_signature(der)
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def signed_by(certificate: x509.Certificate, purpose: bytes, data: bytes, signature: bytes) -> bool:
    """Whether the certificate's key signed these bytes for this purpose."""
    key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or len(signature) != 64:
        return False
    r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
    try:
        key.verify(
            encode_dss_signature(r, s),
            purpose + hashlib.sha256(data).digest(),
            ec.ECDSA(hashes.SHA256()),
        )
    except InvalidSignature:
        return False
    return True

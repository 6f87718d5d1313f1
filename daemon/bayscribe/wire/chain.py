"""The hash chain over a device's records, and the device's signature on each link.

::

    chain[0] = SHA-256("bayscribe.chain.v1" 0x00 device)
    chain[n] = SHA-256("bayscribe.link.v1" 0x00 chain[n-1] SHA-256(header[n]))
    sealed_digest[n] = SHA-256(sealed payload), or of nothing for a record without one
    signature[n] = ECDSA-P256-SHA256("bayscribe.sign.v1" 0x00 chain[n] sealed_digest[n])

The chain runs over headers, which carry the hash of the audio; so it still verifies
after the audio itself has been erased. The signature also covers the ciphertext, so
that tampering is found without any secret.
"""

import hashlib
from collections.abc import Mapping, Sequence

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

from bayscribe.errors import IntegrityError
from bayscribe.wire.header import HASH_BYTES, SteeringMark

SIGNATURE_BYTES = 64
"""r and s, 32 bytes each, big-endian."""

_GENESIS = b"bayscribe.chain.v1\x00"
_LINK = b"bayscribe.link.v1\x00"
_SIGN = b"bayscribe.sign.v1\x00"
_STEERING = b"bayscribe.steering.v1\x00"
_MODELS = b"bayscribe.models.v1\x00"


def genesis(device: str) -> bytes:
    """Chain value before a device's first record."""
    return hashlib.sha256(_GENESIS + device.encode()).digest()


def link(previous: bytes, header: bytes) -> bytes:
    """Chain value after a record, from the value before it and the record's header bytes."""
    return hashlib.sha256(_LINK + previous + hashlib.sha256(header).digest()).digest()


def sealed_digest(sealed: bytes) -> bytes:
    """SHA-256 of a sealed payload; of the empty string for a record that has none."""
    return hashlib.sha256(sealed).digest()


def steering_digest(steering: Sequence[SteeringMark]) -> bytes:
    """SHA-256 over a steering schedule: each sample index (u64 LE) and weight-set hash."""
    digest = hashlib.sha256(_STEERING)
    for mark in steering:
        digest.update(mark.at.to_bytes(8, "little") + mark.weights_sha256)
    return digest.digest()


def sign(key: ec.EllipticCurvePrivateKey, chain: bytes, sealed_sha256: bytes) -> bytes:
    """Sign one link with the device's P-256 key: 64 bytes, r then s."""
    der = key.sign(_SIGN + chain + sealed_sha256, ec.ECDSA(hashes.SHA256()))
    r, s = decode_dss_signature(der)
    return r.to_bytes(HASH_BYTES, "big") + s.to_bytes(HASH_BYTES, "big")


def verify_signature(
    key: ec.EllipticCurvePublicKey, chain: bytes, sealed_sha256: bytes, signature: bytes
) -> None:
    """Check the signature on one link.

    Raises:
        IntegrityError: ``signature`` if it is not this key's over these values.
    """
    if len(signature) != SIGNATURE_BYTES:
        raise IntegrityError("signature has the wrong length", code="signature")
    der = encode_dss_signature(
        int.from_bytes(signature[:HASH_BYTES], "big"), int.from_bytes(signature[HASH_BYTES:], "big")
    )
    try:
        key.verify(der, _SIGN + chain + sealed_sha256, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise IntegrityError("signature does not verify", code="signature") from None


def models_digest(models: Mapping[str, bytes]) -> bytes:
    """SHA-256 over the networks in use: each name and file hash, in order of names."""
    digest = hashlib.sha256(_MODELS)
    for name in sorted(models):
        digest.update(name.encode() + b"\x00" + models[name])
    return digest.digest()

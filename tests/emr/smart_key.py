"""A client's key as it is registered at the EMR."""

import base64
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa


def b64(number: int) -> str:
    data = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def write_key(path: Path, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> dict[str, str]:
    """Write the private key; the public one as a JWK."""
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    if isinstance(key, ec.EllipticCurvePrivateKey):
        point = key.public_key().public_numbers()
        x, y = (
            base64.urlsafe_b64encode(n.to_bytes(48, "big")).decode() for n in (point.x, point.y)
        )
        return {"kty": "EC", "crv": "P-384", "kid": "k1", "x": x, "y": y}
    numbers = key.public_key().public_numbers()
    return {"kty": "RSA", "kid": "k1", "n": b64(numbers.n), "e": b64(numbers.e)}

"""A client of SMART Backend Services for a run: the gateway's key, and the EMR's key set."""

import base64
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec

from bayscribe_relay.pki import files

KEY_ID: Final = "harness"
SITE: Final[dict[str, str | float]] = {
    "auth": "smart-backend",
    "client_id": "bayscribe",
    "private_key": "smart.key",
    "key_id": KEY_ID,
}
"""Members of a site's table."""


def key_set(folder: Path) -> list[dict[str, str]]:
    """Make a P-384 key in a folder; gives the JWK set that the EMR is told."""
    key = ec.generate_private_key(ec.SECP384R1())
    folder.mkdir(parents=True, exist_ok=True)
    files.write_new(folder / "smart.key", files.key_pem(key), 0o600)
    point = key.public_key().public_numbers()
    x, y = (base64.urlsafe_b64encode(n.to_bytes(48, "big")).decode() for n in (point.x, point.y))
    return [{"kty": "EC", "crv": "P-384", "kid": KEY_ID, "x": x, "y": y}]

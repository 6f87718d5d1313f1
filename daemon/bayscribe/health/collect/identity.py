"""The unit's certificate and key, as files."""

from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from bayscribe.errors import LinkError
from bayscribe.health.snapshot import IdentityView
from bayscribe.wire.identity import device_name

_OPEN_TO_OTHERS = 0o077
_DAY_S = 86_400.0


def look(certificate: Path, key: Path) -> IdentityView:
    """What the two files are worth now."""
    try:
        found = x509.load_pem_x509_certificate(certificate.read_bytes())
        private = serialization.load_pem_private_key(key.read_bytes(), None)
        exposed = bool(key.stat().st_mode & _OPEN_TO_OTHERS)
        device_name(found)
    except OSError as error:
        return IdentityView(problem=f"{error.filename}: {error.strerror}")
    except (ValueError, TypeError):
        return IdentityView(problem=f"{certificate} or {key} is not an unencrypted PEM file")
    except LinkError as error:
        return IdentityView(problem=str(error))
    if not isinstance(private, ec.EllipticCurvePrivateKey):
        return IdentityView(problem=f"{key} is not a P-256 key")
    if private.public_key() != found.public_key():
        return IdentityView(problem=f"{key} does not belong to {certificate}")
    now = datetime.now(UTC)
    left = (found.not_valid_after_utc - now).total_seconds() / _DAY_S
    valid = (found.not_valid_after_utc - found.not_valid_before_utc).total_seconds() / _DAY_S
    if found.not_valid_before_utc > now:
        return IdentityView(problem=f"{certificate} does not hold yet", key_exposed=exposed)
    return IdentityView(days_left=round(left, 2), days_valid=round(valid, 2), key_exposed=exposed)

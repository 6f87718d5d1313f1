"""The unit's own certificate and private key, from the files that its configuration names."""

from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from bayscribe.config import Config, beside
from bayscribe.errors import ConfigError


def unit_identity(
    config: Config, file: Path
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """Read both and see that they belong together.

    Raises:
        ConfigError: one cannot be read or used, or they do not.
    """
    certificate_path = beside(file, config.uplink.certificate)
    key_path = beside(file, config.uplink.key)
    try:
        certificate = x509.load_pem_x509_certificate(certificate_path.read_bytes())
        key = serialization.load_pem_private_key(key_path.read_bytes(), None)
    except OSError as error:
        raise ConfigError(f"uplink: {error.filename}: {error.strerror}") from None
    except (ValueError, TypeError):
        raise ConfigError(
            "uplink.certificate or uplink.key is not an unencrypted PEM file",
            "make them with `bayscribe-relay pki device`",
        ) from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ConfigError("uplink.key: expected a P-256 key")
    if key.public_key() != certificate.public_key():
        raise ConfigError("uplink.key does not belong to uplink.certificate")
    return certificate, key

"""The ``[custody]`` table: the key that signs packages and deletion proofs.

::

    [custody]
    certificate = "custody.pem"
    key = "custody.key"
"""

from dataclasses import dataclass
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from msgspec import Struct

from bayscribe.errors import ConfigError
from bayscribe_relay.pki import files
from bayscribe_verify import manifest
from bayscribe_verify.trust import may_sign_custody


class CustodyConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Certificate and key, as ``bayscribe-relay pki custody`` makes them."""

    certificate: str = "custody.pem"
    key: str = "custody.key"

    def beside(self, base: Path) -> "CustodyConfig":
        """The same with absolute paths."""
        return msgspec.structs.replace(
            self, certificate=str(base / self.certificate), key=str(base / self.key)
        )


@dataclass(frozen=True, slots=True)
class Signer:
    """The relay's custody key. Its representation shows no secret."""

    certificate: x509.Certificate
    _key: ec.EllipticCurvePrivateKey

    @classmethod
    def load(cls, config: CustodyConfig | None) -> "Signer":
        """Read the key.

        Raises:
            ConfigError: there is none, or it does not belong to its certificate.
            BadUse: a file cannot be read.
        """
        if config is None:
            raise ConfigError(
                "custody: the configuration names no key that signs packages",
                "make one with `bayscribe-relay pki custody` and name it in [custody]",
            )
        certificate = files.load_certificate(Path(config.certificate))
        key = files.load_key(Path(config.key))
        if certificate.public_key() != key.public_key():
            raise ConfigError(f"custody.key: {config.key} does not belong to custody.certificate")
        if not may_sign_custody(certificate):
            raise ConfigError(
                f"custody.certificate: {config.certificate} is not one for packages",
                "make one with `bayscribe-relay pki custody`",
            )
        return cls(certificate, key)

    def __repr__(self) -> str:
        return f"Signer({self.certificate.subject.rfc4514_string()})"

    @property
    def der(self) -> bytes:
        """The certificate."""
        return self.certificate.public_bytes(serialization.Encoding.DER)

    def sign(self, purpose: bytes, data: bytes) -> bytes:
        """Sign bytes for a purpose."""
        return manifest.sign(self._key, purpose, data)

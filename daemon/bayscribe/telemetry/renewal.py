"""Renewing the unit's certificate over the fleet, with the key that it has.

The key stays: what is buffered was signed with it and must still be acknowledged under it.
A new key comes with a new enrolment.
"""

from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from bayscribe.enrol.keystore import replace_file
from bayscribe.errors import BayscribeError, LinkError
from bayscribe.wire.identity import device_name


class RenewalRefused(BayscribeError):  # noqa: N818 - says what was done
    """A certificate that is not taken."""

    code = "certificate-refused"


def signing_request(certificate: Path, key: Path) -> str:
    """A request, PEM, for another certificate of the same key and name.

    Raises:
        RenewalRefused: the files cannot be read.
    """
    try:
        private = serialization.load_pem_private_key(key.read_bytes(), None)
        name = device_name(x509.load_pem_x509_certificate(certificate.read_bytes()))
    except (OSError, ValueError, TypeError, LinkError):
        raise RenewalRefused("the unit's own files cannot be read") from None
    if not isinstance(private, ec.EllipticCurvePrivateKey):
        raise RenewalRefused("the unit's key is not one on a curve")
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject)
    signed = request.sign(private, hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM).decode()


def install(pem: str, certificate: Path, key: Path, authority: Path) -> float:
    """Put a new certificate in the place of the old; days that it holds.

    Raises:
        RenewalRefused: it is another unit's, of another key or of another authority.
        StorageError: it cannot be written.
    """
    try:
        new = x509.load_pem_x509_certificate(pem.encode())
        old = x509.load_pem_x509_certificate(certificate.read_bytes())
        private = serialization.load_pem_private_key(key.read_bytes(), None)
        issuer = x509.load_pem_x509_certificate(authority.read_bytes())
        new.verify_directly_issued_by(issuer)
        same = device_name(new) == device_name(old)
    except (OSError, ValueError, TypeError, InvalidSignature, LinkError):
        raise RenewalRefused("it is not a certificate of this unit's authority") from None
    if not same:
        raise RenewalRefused("it names another unit")
    if private.public_key() != new.public_key():
        raise RenewalRefused("it is for another key")
    if new.not_valid_after_utc <= old.not_valid_after_utc:
        raise RenewalRefused("it ends no later than the one in use")
    replace_file(certificate, new.public_bytes(serialization.Encoding.PEM), 0o644)
    span = new.not_valid_after_utc - new.not_valid_before_utc
    return span.total_seconds() / 86_400

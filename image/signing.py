"""Who may sign updates: an authority and a signer below it, for development.

A hospital's or a vendor's own authority takes their place by ``--update-ca`` at the image and
``--certificate`` and ``--key`` at the bundle; the keys made here are for machines like this
one and never leave the build folder.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAYS = 3650


def development(folder: Path, name: str = "Bayscribe development updates") -> Path:
    """Make an authority and a signer unless they exist; the authority's certificate."""
    authority = folder / "update-ca.pem"
    if authority.exists():
        return authority
    folder.mkdir(parents=True, exist_ok=True)
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root = _certificate(name, name, root_key, root_key, authority=True)
    signer = _certificate(f"{name} signer", name, key, root_key, authority=False)
    _write(folder / "update-signer.pem", signer.public_bytes(serialization.Encoding.PEM))
    _write(folder / "update-signer.key", _pem(key))
    _write(authority, root.public_bytes(serialization.Encoding.PEM))
    authority.chmod(0o644)
    return authority


def _certificate(
    subject: str,
    issuer: str,
    key: ec.EllipticCurvePrivateKey,
    signed_by: ec.EllipticCurvePrivateKey,
    *,
    authority: bool,
) -> x509.Certificate:
    now = datetime.now(UTC)
    usage = x509.KeyUsage(
        digital_signature=not authority, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, key_cert_sign=authority,
        crl_sign=authority, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # A unit's clock may stand at the image's date when it first checks a bundle.
        .not_valid_before(now - timedelta(days=30))
        .not_valid_after(now + timedelta(days=DAYS))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signed_by.public_key()), False
        )
    )
    if not authority:
        purposes = [ExtendedKeyUsageOID.EMAIL_PROTECTION, ExtendedKeyUsageOID.CODE_SIGNING]
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), False)
    return builder.sign(signed_by, hashes.SHA256())


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _write(path: Path, data: bytes) -> None:
    path.touch(0o600)
    path.write_bytes(data)

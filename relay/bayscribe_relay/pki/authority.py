"""A small certificate authority: P-256, X.509 v3, one certificate revocation list.

Profile (RFC 5280): the CA signs leaves directly; a leaf states what it is for
(extendedKeyUsage) and who it is (subjectAltName), so a server's certificate cannot be
used as a device's nor one device's as another's.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from bayscribe.errors import BadUse
from bayscribe.wire.identity import DEVICE_URI, is_device_name
from bayscribe_relay.pki import files

CA_DAYS = 3650
LEAF_DAYS = 825
CRL_DAYS = 3650
"""A list that runs out refuses every unit of the hospital at once; this small authority
therefore lets it run as long as the CA. A site's own PKI will publish shorter ones."""
BACKDATE = timedelta(minutes=5)
"""A unit's clock may be a little slow when it first meets its certificate."""

GATEWAY_URI = "urn:bayscribe:gateway:"
RELAY_URI = "urn:bayscribe:relay:"

CUSTODY_URI = "urn:bayscribe:custody:"
DOCUMENT_SIGNING = x509.ObjectIdentifier("1.3.6.1.5.5.7.3.36")
"""id-kp-documentSigning (RFC 9336): such a certificate opens no connection."""

_CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH
_SERVER = ExtendedKeyUsageOID.SERVER_AUTH


@dataclass(frozen=True, slots=True)
class Issued:
    """A fresh certificate and, unless it came from a request, its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey | None

    def pem(self) -> bytes:
        """The certificate as PEM."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)


@dataclass(frozen=True, slots=True)
class Authority:
    """A CA certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def create(cls, name: str, days: int = CA_DAYS) -> "Authority":
        """Make a new CA."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.now(UTC)
        usage = _key_usage(sign=False, authority=True)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - BACKDATE)
            .not_valid_after(now + timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
            .sign(key, hashes.SHA256())
        )
        return cls(certificate, key)

    @classmethod
    def load(cls, folder: Path) -> "Authority":
        """Read ``ca.pem`` and ``ca.key`` of a folder that ``pki init`` made.

        Raises:
            BadUse: they are not there, or not readable.
        """
        return cls(files.load_certificate(folder / "ca.pem"), files.load_key(folder / "ca.key"))

    def device(
        self,
        name: str,
        *,
        public_key: ec.EllipticCurvePublicKey | None = None,
        days: int = LEAF_DAYS,
        not_before: datetime | None = None,
    ) -> Issued:
        """Certify a device; with ``public_key`` the key stays where it was made.

        Raises:
            BadUse: the name cannot name a device.
        """
        if not is_device_name(name):
            raise BadUse(
                f"{name!r} cannot name a device",
                "use letters, digits, '.', '_' and '-', at most 64",
                code="device-name",
            )
        names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(DEVICE_URI + name)]
        return self.issue(
            name, names, [_CLIENT], public_key=public_key, days=days, not_before=not_before
        )

    def server(self, name: str, sans: list[str], days: int = LEAF_DAYS) -> Issued:
        """Certify a server under host names and addresses."""
        return self.issue(name, [_host(san) for san in [name, *sans]], [_SERVER], days=days)

    def gateway(self, name: str, sans: list[str], days: int = LEAF_DAYS) -> Issued:
        """Certify a gateway: it serves the relay and is a client of the EMR's side."""
        names = [x509.UniformResourceIdentifier(GATEWAY_URI + name), *map(_host, sans)]
        return self.issue(name, names, [_SERVER, _CLIENT], days=days)

    def relay_client(self, name: str, days: int = LEAF_DAYS) -> Issued:
        """Certify a relay as the client of a gateway."""
        names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(RELAY_URI + name)]
        return self.issue(name, names, [_CLIENT], days=days)

    def custody(self, name: str, days: int = LEAF_DAYS) -> Issued:
        """Certify a relay as the signer of chain-of-custody packages."""
        names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(CUSTODY_URI + name)]
        return self.issue(name, names, [DOCUMENT_SIGNING], days=days)

    def issue(
        self,
        common_name: str,
        names: list[x509.GeneralName],
        purposes: list[x509.ObjectIdentifier],
        *,
        public_key: ec.EllipticCurvePublicKey | None = None,
        days: int = LEAF_DAYS,
        not_before: datetime | None = None,
    ) -> Issued:
        """Sign one leaf certificate."""
        key = None if public_key else ec.generate_private_key(ec.SECP256R1())
        public = public_key or (key.public_key() if key else None)
        if public is None:  # unreachable: one of the two exists
            raise BadUse("no key to certify", code="key")
        start = not_before or datetime.now(UTC) - BACKDATE
        end = min(start + timedelta(days=days), self.certificate.not_valid_after_utc)
        issuer_key = self.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
        authority_id = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
            issuer_key.value
        )
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]))
            .issuer_name(self.certificate.subject)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(end)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(sign=True, authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(authority_id, critical=False)
            .sign(self.key, hashes.SHA256())
        )
        return Issued(certificate, key)

    def revocation_list(self, revoked: dict[int, datetime], days: int = CRL_DAYS) -> bytes:
        """A signed list (PEM) of revoked serial numbers and when each was revoked."""
        now = datetime.now(UTC)
        issuer_key = self.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.certificate.subject)
            .last_update(now - BACKDATE)
            .next_update(now + timedelta(days=days))
            .add_extension(x509.CRLNumber(int(now.timestamp() * 1000)), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_key.value),
                critical=False,
            )
        )
        for serial, when in sorted(revoked.items()):
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(when)
            builder = builder.add_revoked_certificate(entry.build())
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def revoke(self, folder: Path, certificate: x509.Certificate) -> None:
        """Add a certificate to ``crl.pem`` in ``folder``, as one step.

        Raises:
            BadUse: another authority issued it.
        """
        try:
            certificate.verify_directly_issued_by(self.certificate)
        except (ValueError, TypeError, InvalidSignature):
            raise BadUse(
                "that certificate was not issued here",
                "give its own authority's --dir",
                code="issuer",
            ) from None
        path = folder / "crl.pem"
        revoked = revoked_serials(files.read(path)) if path.exists() else {}
        revoked.setdefault(certificate.serial_number, datetime.now(UTC))
        files.replace(path, self.revocation_list(revoked), files.PUBLIC_MODE)


def revoked_serials(pem: bytes) -> dict[int, datetime]:
    """Serial numbers in a revocation list, and when each was revoked.

    Raises:
        BadUse: it is not a PEM revocation list.
    """
    try:
        parsed = x509.load_pem_x509_crl(pem)
    except ValueError:
        raise BadUse("not a PEM certificate revocation list", code="crl") from None
    return {entry.serial_number: entry.revocation_date_utc for entry in parsed}


def _host(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _key_usage(*, sign: bool, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )

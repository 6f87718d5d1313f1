"""The request to the provisioning service, over a connection pinned to the authority.

First the authority's certificate is fetched over a connection that proves nothing, and taken
only if its SHA-256 is the one in the order; then everything else goes over a connection that
trusts that certificate alone and checks the server's name. A machine in the middle can
refuse, and nothing more.
"""

import http.client
import ssl
from urllib.parse import urlsplit

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from msgspec import Struct

from bayscribe.enrol.order import EnrolmentTable
from bayscribe.errors import BayscribeError, LinkError
from bayscribe.wire.identity import device_name
from bayscribe.wire.seal import SealingKey

TIMEOUT_S = 20.0
MOST_BYTES = 65_536


class EnrolmentRefused(LinkError):  # noqa: N818 - says what the service did
    """The service will not certify this unit: asking again changes nothing."""

    code = "enrolment-refused"


class Granted(Struct, frozen=True):
    """The service's answer, all PEM or text."""

    certificate: str
    ca: str
    seal_key: str


def signing_request(device: str, key: ec.EllipticCurvePrivateKey) -> str:
    """A certificate signing request, PEM; the service decides on the names."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, device)])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM).decode()


def enrol(order: EnrolmentTable, key: ec.EllipticCurvePrivateKey) -> Granted:
    """Ask for a certificate.

    Raises:
        EnrolmentRefused: the token, the authority or the answer is not good.
        LinkError: the service cannot be reached now; ask again.
    """
    anyone = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anyone.minimum_version = ssl.TLSVersion.TLSv1_3
    anyone.check_hostname = False
    anyone.verify_mode = ssl.CERT_NONE  # the fingerprint decides, see above
    ca = _pinned(_ask(order, anyone, "GET", "/v1/ca"), order.ca_sha256)
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.minimum_version = ssl.TLSVersion.TLSv1_3
    trusting.verify_flags |= ssl.VERIFY_X509_STRICT
    trusting.load_verify_locations(
        cadata=ca.public_bytes(serialization.Encoding.PEM).decode("ascii")
    )
    body = msgspec.json.encode(
        {
            "token": order.token,
            "device": order.device,
            "csr": signing_request(order.device, key),
        }
    )
    answer = _ask(order, trusting, "POST", "/v1/enrol", body)
    try:
        granted = msgspec.json.decode(answer, type=Granted)
        certificate = x509.load_pem_x509_certificate(granted.certificate.encode())
        certificate.verify_directly_issued_by(ca)
        SealingKey.from_text(granted.seal_key)
        good = certificate.public_key() == key.public_key()
        good = good and device_name(certificate) == order.device
    except (msgspec.MsgspecError, ValueError, TypeError, InvalidSignature, BayscribeError):
        good = False
    if not good:
        raise EnrolmentRefused("the service's answer is not a certificate for this unit's key")
    return Granted(
        granted.certificate,
        ca.public_bytes(serialization.Encoding.PEM).decode(),
        granted.seal_key,
    )


def _pinned(pem: bytes, fingerprint: str) -> x509.Certificate:
    try:
        certificate = x509.load_pem_x509_certificate(pem)
    except ValueError:
        raise EnrolmentRefused("the service showed no certificate of its authority") from None
    if certificate.fingerprint(hashes.SHA256()).hex() != fingerprint:
        raise EnrolmentRefused(
            "the service's authority is not the one in enrol.toml",
            "check enrolment.ca_sha256 and who answers at enrolment.url",
        )
    return certificate


def _ask(
    order: EnrolmentTable, context: ssl.SSLContext, method: str, path: str, body: bytes = b""
) -> bytes:
    """One request; the body of an answer 200."""
    place = urlsplit(order.url)
    connection = http.client.HTTPSConnection(
        place.hostname or "", place.port or 443, timeout=TIMEOUT_S, context=context
    )
    try:
        connection.request(
            method, path, body or None, {"Content-Type": "application/json"} if body else {}
        )
        answer = connection.getresponse()
        data = answer.read(MOST_BYTES + 1)
    except ssl.SSLCertVerificationError as error:
        raise EnrolmentRefused(
            f"the service's certificate is not good: {error.verify_message}",
            "check the unit's clock and the name in enrolment.url",
        ) from None
    except (OSError, http.client.HTTPException) as error:
        raise LinkError(
            f"{place.netloc} does not answer: {type(error).__name__}",
            "check the network; the unit asks again",
            code="unreachable",
        ) from None
    finally:
        connection.close()
    if answer.status in (400, 403):
        raise EnrolmentRefused(
            "the service refused the token or the request",
            "make a new enrol.toml with `bayscribe-relay pki token`",
        )
    if answer.status != http.client.OK or len(data) > MOST_BYTES:
        raise LinkError(
            f"{place.netloc} answered with status {answer.status}",
            "the unit asks again",
            code="unreachable",
        )
    return data

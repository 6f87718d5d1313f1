"""Which certificates count: those that lead to one that the reader trusts."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature

CUSTODY_URI: Final = "urn:bayscribe:custody:"
"""Prefix of the URI name of a certificate that may sign packages and deletion proofs."""

_DEPTH: Final = 4


class Trust:
    """The reader's trusted certificates, and further ones that may stand between.

    Args:
        anchors: trusted without question.
        between: from the package: they count only when an anchor vouches for them.
    """

    def __init__(
        self, anchors: Sequence[x509.Certificate], between: Sequence[x509.Certificate] = ()
    ) -> None:
        self._anchors = list(anchors)
        self._between = [one for one in between if is_authority(one)]

    def vouches(self, certificate: x509.Certificate, depth: int = _DEPTH) -> bool:
        """Whether a certificate leads to a trusted one."""
        if certificate in self._anchors:
            return True
        if any(_issued(certificate, a) for a in self._anchors if is_authority(a)):
            return True
        return depth > 0 and any(
            _issued(certificate, one) and self.vouches(one, depth - 1)
            for one in self._between
            if one != certificate
        )


def is_authority(certificate: x509.Certificate) -> bool:
    """Whether it may issue others (RFC 5280, 4.2.1.9)."""
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, ValueError):
        return False


def uri_names(certificate: x509.Certificate) -> list[str]:
    """Its URI names."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return []
    return names.get_values_for_type(x509.UniformResourceIdentifier)


def may_sign_custody(certificate: x509.Certificate) -> bool:
    """Whether it was issued for packages: a device's or server's certificate was not."""
    return any(uri.startswith(CUSTODY_URI) for uri in uri_names(certificate))


def valid_at(certificate: x509.Certificate, *moments_ns: int) -> bool:
    """Whether it was valid at any of these instants."""
    first, last = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return any(first <= _moment(at) <= last for at in moments_ns)


def _moment(at_ns: int) -> datetime:
    try:
        return datetime.fromtimestamp(at_ns / 1e9, UTC)
    except (OverflowError, ValueError, OSError):
        return datetime.min.replace(tzinfo=UTC)


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True

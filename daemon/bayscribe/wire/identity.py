"""Who a device is: the URI name in its certificate.

``urn:bayscribe:device:NAME`` as a subjectAltName (RFC 5280, 4.2.1.6). ``NAME`` is what
headers, messages, topics and lists call the device. A certificate carries exactly one
such name; common names are decoration and never read.
"""

import re

from cryptography import x509

from bayscribe.errors import LinkError

DEVICE_URI = "urn:bayscribe:device:"
"""Prefix of a device's URI name."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def is_device_name(name: str) -> bool:
    """Whether ``name`` may name a device: it must fit a URI, a file and an MQTT topic."""
    return _NAME.fullmatch(name) is not None


def device_name(certificate: x509.Certificate) -> str:
    """The device that a certificate speaks for.

    Raises:
        LinkError: ``identity`` if it names no device, or more than one.
    """
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    except (x509.ExtensionNotFound, ValueError):
        uris = []
    devices = [uri.removeprefix(DEVICE_URI) for uri in uris if uri.startswith(DEVICE_URI)]
    if len(devices) != 1 or not is_device_name(devices[0]):
        raise LinkError("the certificate does not name one device", code="identity")
    return devices[0]

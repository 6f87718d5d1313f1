"""The unit's side of TLS: version 1.3, its own certificate, one authority for the relay."""

import ssl
from pathlib import Path

from bayscribe.errors import ConfigError
from bayscribe.uplink.config import UplinkConfig


def client_context(config: UplinkConfig) -> ssl.SSLContext:
    """A context that trusts ``relay_ca`` and nothing else, and checks the server's name.

    Raises:
        ConfigError: a file is missing or not what it should be.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    for key, path in (
        ("relay_ca", config.relay_ca),
        ("certificate", config.certificate),
        ("key", config.key),
    ):
        if not Path(path).is_file():
            raise ConfigError(f"uplink.{key}: {path}: no such file", "enrol this unit first")
    try:
        context.load_verify_locations(config.relay_ca)
        context.load_cert_chain(config.certificate, config.key)
    except (ssl.SSLError, OSError) as error:
        reason = getattr(error, "reason", None) or type(error).__name__
        raise ConfigError(
            f"uplink.certificate: {config.certificate} and its key cannot be used: {reason}",
            "the key must be the certificate's own, both PEM",
        ) from None
    return context

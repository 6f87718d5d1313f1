"""What the provisioning service can be told: one TOML file, paths relative to it.

::

    authority = "keys"            # folder of `bayscribe-relay pki init`
    seal_key = "keys/seal.pub"    # public sealing key that new units get
    updates = "updates"           # folder of update bundles, optional

    [listen]
    port = 8444

    [tls]
    certificate = "relay.pem"
    key = "relay.key"
"""

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from bayscribe import settings

Positive = Annotated[int, Meta(ge=1)]


class ListenConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Where units ask. Port 0 takes any free one and logs which."""

    host: str = "0.0.0.0"  # noqa: S104 - it serves the hospital's network
    port: Annotated[int, Meta(ge=0, le=65_535)] = 8444


class TlsConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """The service's own certificate and key, issued by the same authority."""

    certificate: str
    key: str


class ProvisionConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file.

    Attributes:
        authority: folder with ``ca.pem``, ``ca.key``, ``crl.pem`` and the tokens.
        seal_key: file with the relay's public sealing key.
        tls: certificate and key of the listener.
        listen: address and port.
        updates: folder of bundles; none are handed out without it.
        attempts_per_minute: requests to enrol that one address may make.
    """

    authority: str
    seal_key: str
    tls: TlsConfig
    listen: ListenConfig = ListenConfig()
    updates: str | None = None
    attempts_per_minute: Positive = 6


def load(path: Path) -> ProvisionConfig:
    """Read the file; every path comes back absolute.

    Raises:
        ConfigError: as :func:`bayscribe.settings.load`.
    """
    config = settings.load(path, ProvisionConfig)
    base = path.resolve().parent
    return msgspec.structs.replace(
        config,
        authority=str(base / config.authority),
        seal_key=str(base / config.seal_key),
        tls=TlsConfig(str(base / config.tls.certificate), str(base / config.tls.key)),
        updates=str(base / config.updates) if config.updates is not None else None,
    )

"""The ``[writeback]`` table of a relay's configuration.

::

    [writeback]
    gateway_url = "wss://gateway.hospital.example:9443"
    certificate = "relay-client.pem"
    key = "relay-client.key"
    gateway_ca = "ca.pem"

    [writeback.sites.demo]
    note_format = "cda"
"""

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from bayscribe import settings
from bayscribe.errors import ConfigError
from bayscribe_relay.writeback.formats import Format

Seconds = Annotated[float, Meta(gt=0)]


class SiteForm(Struct, frozen=True, forbid_unknown_fields=True):
    """What a site is sent.

    Attributes:
        note_format: what was submitted (``as-is``), text alone, or C-CDA.
        fhir_ids: notes must name the EMR's FHIR Patient and Encounter; false for a site that
            is written to by HL7 v2 MDM alone, where record and visit number suffice.
    """

    note_format: Format = "as-is"
    fhir_ids: bool = True


class WritebackConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """How the relay reaches the gateway.

    Attributes:
        gateway_url: ``wss://HOST:PORT``.
        certificate: this relay's client certificate (PEM).
        key: its key.
        gateway_ca: the authority of the gateway's certificate.
        lease_s: how long a relay holds a letter without renewing; after that another takes it.
        patience_s: how long a letter may wait for a gateway before it is parked and alerted.
        in_flight_max: most letters pushed and not yet settled.
        alert_webhook: told when the gateway is out of reach and letters wait.
        sites: by the gateway's names, what sites are sent; others are sent notes as they are.
    """

    gateway_url: Annotated[str, Meta(pattern=r"^wss://[^\s]+$")]
    certificate: str
    key: str
    gateway_ca: str
    lease_s: Seconds = 6.0
    patience_s: Seconds = 30.0
    in_flight_max: Annotated[int, Meta(ge=1, le=10_000)] = 256
    alert_webhook: str | None = None
    sites: dict[str, SiteForm] = {}

    def note_format(self, site: str) -> Format:
        """In which form a site is sent its notes."""
        return self.sites.get(site, SiteForm()).note_format

    def beside(self, base: Path) -> "WritebackConfig":
        """The same with its files' paths absolute, relative ones lying in ``base``."""
        return msgspec.structs.replace(
            self,
            certificate=str(base / self.certificate),
            key=str(base / self.key),
            gateway_ca=str(base / self.gateway_ca),
        )


class _Store(Struct, frozen=True):
    url: str = "sqlite:///relay.db"


class _Part(Struct, frozen=True):
    """The tables of a relay's file that the write-back needs; others are not looked at."""

    writeback: WritebackConfig | None = None
    store: _Store = _Store()


class Outgoing(Struct, frozen=True):
    """Where letters are kept and where they go."""

    store_url: str
    writeback: WritebackConfig


def load(path: Path) -> Outgoing:
    """Read what the write-back needs of a relay's configuration.

    Raises:
        ConfigError: as :func:`bayscribe.settings.load`, or there is no ``[writeback]``.
    """
    part = settings.load(path, _Part)
    if part.writeback is None:
        raise ConfigError(f"{path}: writeback: is missing", "add the table that names the gateway")
    base = path.resolve().parent
    url, prefix = part.store.url, "sqlite:///"
    if url.startswith(prefix):
        url = prefix + str(base / url.removeprefix(prefix))
    return Outgoing(store_url=url, writeback=part.writeback.beside(base))

"""What a gateway can be told: one TOML file with a table for each site.

::

    [listen]
    port = 9443

    [tls]
    certificate = "gateway.pem"
    key = "gateway.key"
    relay_ca = "ca.pem"

    [journal]
    url = "sqlite:///gateway.db"

    [sites.demo]
    fhir_base = "https://emr.hospital.example/fhir/R4"
    auth = "smart-backend"
    client_id = "bayscribe"
    private_key = "smart.key"
    key_id = "2026-01"
"""

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from bayscribe import settings
from bayscribe.errors import ConfigError

Port = Annotated[int, Meta(ge=0, le=65_535)]
Seconds = Annotated[float, Meta(gt=0)]
Positive = Annotated[int, Meta(ge=1)]
Auth = Literal["none", "bearer", "smart-backend", "mutual-tls"]

FILES = (
    "bearer_token_file", "private_key", "client_certificate", "client_key", "ca",
    "mdm_ca", "mdm_certificate", "mdm_key",
)  # fmt: skip
ALERT_FILES = ("mqtt_ca", "mqtt_certificate", "mqtt_key", "mqtt_password_file")


class ListenConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Where relays connect. Port 0 takes any free one and logs which."""

    host: str = "0.0.0.0"  # noqa: S104 - relays are other machines
    port: Port = 9443


class TlsConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """The gateway's certificate and key, the authority of the relays, and its revocations."""

    certificate: str
    key: str
    relay_ca: str
    crl: str | None = None


class JournalConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """The journal's database, as an SQLAlchemy URL."""

    url: str = "sqlite:///gateway.db"


class AlertConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Where alerts go besides each site's webhook: mail to the contacts, a topic over MQTT.

    Attributes:
        smtp_host: mail server; no mail when absent.
        smtp_port: its port.
        smtp_starttls: encrypt the mail's way.
        mail_from: sender's address.
        mqtt_host: broker; nothing is published when absent.
        mqtt_port: its port.
        mqtt_tls: TLS with the broker's name checked. Without it no password may be given.
        mqtt_ca: PEM, authority of the broker's certificate; the system's when absent.
        mqtt_certificate: PEM, the gateway's certificate for the broker.
        mqtt_key: its key.
        mqtt_user: user name at the broker.
        mqtt_password_file: file that holds its password.
    """

    smtp_host: str | None = None
    smtp_port: Port = 25
    smtp_starttls: bool = False
    mail_from: str = "bayscribe@localhost"
    mqtt_host: str | None = None
    mqtt_port: Port = 8883
    mqtt_tls: bool = True
    mqtt_ca: str | None = None
    mqtt_certificate: str | None = None
    mqtt_key: str | None = None
    mqtt_user: str | None = None
    mqtt_password_file: str | None = None


class Interface(Struct, frozen=True, forbid_unknown_fields=True):
    """A facility's interface specification for documents (MDM).

    Attributes:
        sending_application: MSH-3.
        sending_facility: MSH-4.
        receiving_application: MSH-5.
        receiving_facility: MSH-6.
        processing_id: MSH-11.
        version: MSH-12.
        control_id: what MSH-10 holds: 20 characters made from the key (2.5.1 allows no
            more), or the key itself.
        document_type: TXA-2 (HL7 table 0270).
        completion_status: TXA-17 (HL7 table 0271).
        patient_class: PV1-2 (HL7 table 0004).
        assigning_authority: PID-3.4.
        text_type: OBX-2 of a plain text: FT or TX with escapes, or ED (base64).
    """

    sending_application: str = "BAYSCRIBE"
    sending_facility: str = "ED"
    receiving_application: str = "EMR"
    receiving_facility: str = "HOSPITAL"
    processing_id: Literal["P", "T", "D"] = "P"
    version: Literal["2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6"] = "2.5.1"
    control_id: Literal["short", "key"] = "short"
    document_type: str = "EN"
    completion_status: str = "LA"
    patient_class: str = "E"
    assigning_authority: str = "HOSPITAL"
    text_type: Literal["FT", "TX", "ED"] = "FT"


class SiteConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """One site's EMR.

    Attributes:
        fhir_base: FHIR R4 endpoint; absent where there is only HL7 v2.
        auth: how the gateway shows who it is at the FHIR endpoint.
        bearer_token_file: holds the token for ``bearer``.
        client_id: for ``smart-backend``.
        private_key: PEM, P-384 or RSA, for ``smart-backend``.
        key_id: the ``kid`` under which its public key is registered.
        token_url: token endpoint; discovered when absent.
        scopes: asked for with ``smart-backend``; what a ``bearer`` token was granted.
        client_certificate: PEM, for ``mutual-tls``.
        client_key: its key.
        ca: authority of the EMR's certificate; the system's when absent.
        mdm_host: where the HL7 v2 document interface listens.
        mdm_port: its port.
        mdm_tls: MLLP over TLS.
        mdm_ca: authority of its certificate.
        mdm_certificate: client certificate towards it.
        mdm_key: its key.
        mdm_connections: most connections to it, opened when needed and closed when idle; each
            has one message in flight.
        mdm_query: how a stored document is asked for, if the interface can be asked.
        interface: the facility's interface specification.
        prefer: which way to write; ``auto`` takes FHIR where it may write.
        max_requests_per_second: shared by all encounters; 0 for no limit.
        ack_timeout_s: a write not answered by then is parked and tried again.
        retries: consecutive failed retries after which a note is given up and alerted.
        throttle_patience_s: how long 429 and 503 are waited out before they count as failures.
        in_flight_max: most notes being written at once.
        provision_every_s: how often capabilities and scopes are looked at again.
        alert_webhook: told of notes that were given up.
        operations_contact: mail address or name of who runs this gateway.
        site_contact: mail address or name of the site's IT.
    """

    fhir_base: Annotated[str, Meta(pattern=r"^https?://[^\s?#]+$")] | None = None
    auth: Auth = "none"
    bearer_token_file: str | None = None
    client_id: str | None = None
    private_key: str | None = None
    key_id: str | None = None
    token_url: str | None = None
    scopes: str = "system/*.read system/*.write"
    client_certificate: str | None = None
    client_key: str | None = None
    ca: str | None = None
    mdm_host: str | None = None
    mdm_port: Port = 2575
    mdm_tls: bool = False
    mdm_ca: str | None = None
    mdm_certificate: str | None = None
    mdm_key: str | None = None
    mdm_connections: Annotated[int, Meta(ge=1, le=256)] = 64
    mdm_query: Literal["none", "qbp", "qry"] = "none"
    interface: Interface = Interface()
    prefer: Literal["auto", "fhir", "mdm"] = "auto"
    max_requests_per_second: Annotated[float, Meta(ge=0)] = 0.0
    ack_timeout_s: Seconds = 10.0
    retries: Annotated[int, Meta(ge=0, le=20)] = 3
    throttle_patience_s: Seconds = 60.0
    in_flight_max: Positive = 64
    provision_every_s: Seconds = 300.0
    alert_webhook: str | None = None
    operations_contact: str = ""
    site_contact: str = ""


class GatewayConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """A gateway's whole configuration file."""

    tls: TlsConfig
    sites: dict[str, SiteConfig]
    listen: ListenConfig = ListenConfig()
    journal: JournalConfig = JournalConfig()
    alerts: AlertConfig = AlertConfig()


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    """The file as written."""

    tls: TlsConfig
    sites: dict[str, dict[str, Any]]
    listen: ListenConfig = ListenConfig()
    journal: JournalConfig = JournalConfig()
    alerts: AlertConfig = AlertConfig()


def load(path: Path) -> GatewayConfig:
    """Read a gateway's configuration; every path in it comes back absolute.

    Raises:
        ConfigError: as :func:`bayscribe.settings.load`, or a site lacks what its ``auth``
            or ``prefer`` needs.
    """
    tree = settings.load(path, _File)
    # Site by site, so that an error names its site.
    found = {
        name: settings.convert(site, SiteConfig, f"{path}: sites.{name}")
        for name, site in tree.sites.items()
    }
    config = GatewayConfig(tree.tls, found, tree.listen, tree.journal, tree.alerts)
    base = path.resolve().parent
    if not config.sites:
        raise ConfigError(f"{path}: sites: is empty", "add a table [sites.NAME]")
    sites = {}
    for name, site in config.sites.items():
        _check(site, f"{path}: sites.{name}")
        sites[name] = msgspec.structs.replace(site, **_placed(site, FILES, base))
    _check_alerts(config.alerts, f"{path}: alerts")
    alerts = msgspec.structs.replace(config.alerts, **_placed(config.alerts, ALERT_FILES, base))
    tls = TlsConfig(
        certificate=str(base / config.tls.certificate),
        key=str(base / config.tls.key),
        relay_ca=str(base / config.tls.relay_ca),
        crl=str(base / config.tls.crl) if config.tls.crl else None,
    )
    journal = JournalConfig(url=_url(config.journal.url, base))
    return msgspec.structs.replace(config, tls=tls, sites=sites, journal=journal, alerts=alerts)


def _placed(table: Struct, fields: tuple[str, ...], base: Path) -> dict[str, str]:
    """The files that a table names, from the configuration's folder."""
    given = {field: getattr(table, field) for field in fields}
    return {field: str(base / file) for field, file in given.items() if file}


_NEEDS: dict[str, tuple[str, ...]] = {
    "none": (),
    "bearer": ("bearer_token_file",),
    "smart-backend": ("client_id", "private_key", "key_id"),
    "mutual-tls": ("client_certificate", "client_key"),
}


def _check(site: SiteConfig, where: str) -> None:
    for field in _NEEDS[site.auth]:
        if getattr(site, field) is None:
            raise ConfigError(f"{where}.{field}: is missing", f'auth = "{site.auth}" needs it')
    if site.fhir_base is None and site.mdm_host is None:
        raise ConfigError(f"{where}: names no EMR", "give fhir_base, mdm_host, or both")
    if site.prefer == "fhir" and site.fhir_base is None:
        raise ConfigError(f"{where}.fhir_base: is missing", 'prefer = "fhir" needs it')
    if site.prefer == "mdm" and site.mdm_host is None:
        raise ConfigError(f"{where}.mdm_host: is missing", 'prefer = "mdm" needs it')


def _check_alerts(alerts: AlertConfig, where: str) -> None:
    for one, other in (("mqtt_certificate", "mqtt_key"), ("mqtt_user", "mqtt_password_file")):
        for field, needs in ((one, other), (other, one)):
            if getattr(alerts, field) is not None and getattr(alerts, needs) is None:
                raise ConfigError(f"{where}.{needs}: is missing", f"{field} needs it")
    if not alerts.mqtt_tls and (alerts.mqtt_password_file or alerts.mqtt_certificate):
        raise ConfigError(
            f"{where}.mqtt_tls: is false", "a password or certificate goes over TLS alone"
        )


def _url(url: str, base: Path) -> str:
    prefix = "sqlite:///"
    return prefix + str(base / url.removeprefix(prefix)) if url.startswith(prefix) else url

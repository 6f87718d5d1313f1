"""The ``[feed]`` table of a relay's configuration.

::

    [feed]
    site = "demo"
    time_zone = "America/New_York"

    [feed.mllp]
    port = 2575

    [feed.mapping]
    files = ["local-codes.toml"]
"""

from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Meta, Struct

from bayscribe import settings
from bayscribe.errors import ConfigError
from bayscribe_relay.smart.backend import BackendClient

Port = Annotated[int, Meta(ge=0, le=65_535)]
Seconds = Annotated[float, Meta(gt=0)]
Positive = Annotated[int, Meta(ge=1)]
Name = Annotated[str, Meta(min_length=1, max_length=64)]


class FeedTls(Struct, frozen=True, forbid_unknown_fields=True):
    """TLS of a listener.

    Attributes:
        certificate: PEM, with its chain.
        key: its key.
        client_ca: the authority of the senders' certificates; with it TLS is mutual.
    """

    certificate: str
    key: str
    client_ca: str | None = None

    def beside(self, base: Path) -> "FeedTls":
        """The same with absolute paths."""
        return FeedTls(
            str(base / self.certificate),
            str(base / self.key),
            str(base / self.client_ca) if self.client_ca is not None else None,
        )


class MllpConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """The MLLP listener.

    Attributes:
        host: address to listen on; the loopback unless the site says otherwise.
        port: 0 takes any free one.
        tls: without it messages travel in the clear.
        charset: of messages that declare none and are not UTF-8, a Python codec.
        processing_ids: values of MSH-11 that are taken; others are refused, so that a test
            message never stands in a patient's record.
        connections_max: further connections are closed at once.
        frame_max: bytes of one frame.
        frame_s: a frame that has begun must end within this time.
        in_flight: messages of one connection that may wait for the disk.
    """

    host: str = "127.0.0.1"
    port: Port = 2575
    tls: FeedTls | None = None
    charset: Literal["ascii", "iso8859-1", "cp1252", "iso8859-15", "iso8859-2"] = "iso8859-1"
    processing_ids: tuple[str, ...] = ("P", "")
    connections_max: Positive = 256
    frame_max: Annotated[int, Meta(ge=1_024, le=64 * 1024 * 1024)] = 16 * 1024 * 1024
    frame_s: Seconds = 60.0
    in_flight: Positive = 64


class MappingConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Code tables.

    Attributes:
        files: the site's own tables, TOML; a later one wins over an earlier one and over the
            built-in tables.
        match_names: recognise drugs by their names where their code is in no table.
    """

    files: tuple[str, ...] = ()
    match_names: bool = True


class PatientConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """How a message names its patient and visit.

    Attributes:
        mrn_type: identifier type (PID-3.5) of the medical record number.
        mrn_authority: assigning authority (PID-3.4.1) that it must carry; any if empty.
        mrn_system: FHIR identifier system of the medical record number; any if empty.
        visit_system: FHIR identifier system of the visit number; any if empty.
        visit_field: where the visit number stands.
    """

    mrn_type: str = "MR"
    mrn_authority: str = ""
    mrn_system: str = ""
    visit_system: str = ""
    visit_field: Literal["PV1-19", "PID-18"] = "PV1-19"


class FhirConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """FHIR R4 Subscriptions and reads.

    Attributes:
        base: the EMR's FHIR base URL, for reads.
        notifications: take notifications; without them the EMR is only read, to find the
            charts of stays that came by HL7 v2.
        host: address on which notifications are taken.
        port: 0 takes any free one.
        path: path of the endpoint.
        tls: of the endpoint.
        bearer_file: file with the token that a notification must carry.
        read_bearer_file: file with a token for reads.
        smart: who the feed is where reads ask for SMART Backend Services.
        ca: authority of the EMR's certificate.
        certificate: client certificate for reads over mutual TLS.
        key: its key.
        timeout_s: of one read.
        body_max: bytes of one notification.
    """

    base: Annotated[str, Meta(pattern=r"^https?://[^\s]+$")]
    notifications: bool = True
    host: str = "127.0.0.1"
    port: Port = 2576
    path: str = "/fhir-notify"
    tls: FeedTls | None = None
    bearer_file: str | None = None
    read_bearer_file: str | None = None
    smart: BackendClient | None = None
    ca: str | None = None
    certificate: str | None = None
    key: str | None = None
    timeout_s: Seconds = 20.0
    body_max: Positive = 8 * 1024 * 1024

    def beside(self, base: Path) -> "FhirConfig":
        """The same with absolute paths.

        Raises:
            ConfigError: senders would not be authenticated at all.
        """
        mutual = self.tls is not None and self.tls.client_ca is not None
        if self.notifications and self.bearer_file is None and not mutual:
            raise ConfigError(
                "feed.fhir: notifications would be taken from anybody",
                "give bearer_file, or tls with client_ca, or say notifications = false",
            )
        if (self.certificate is None) != (self.key is None):
            raise ConfigError(
                "feed.fhir: certificate and key belong together", "give both or neither"
            )
        if self.smart is not None and self.read_bearer_file is not None:
            raise ConfigError(
                "feed.fhir: both read_bearer_file and smart say who reads", "give one of them"
            )
        files = {
            name: str(base / value)
            for name in ("bearer_file", "read_bearer_file", "ca", "certificate", "key")
            if (value := getattr(self, name)) is not None
        }
        tls = self.tls.beside(base) if self.tls is not None else None
        smart = self.smart
        if smart is not None:
            smart = msgspec.structs.replace(smart, private_key=str(base / smart.private_key))
        return msgspec.structs.replace(self, tls=tls, smart=smart, **files)


class FeedConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """The whole feed.

    Attributes:
        site: the site whose EMR this is; the same name as the gateway's.
        time_zone: IANA name, for timestamps without an offset.
        keep_days: how long interpreted messages are kept.
        unbound_hours: how long events of visits that are not ours are kept.
        mllp: the listener; absent: none.
        fhir: notifications and reads; absent: none.
        mapping: code tables.
        patient: identifiers.
    """

    site: Name
    time_zone: str = "UTC"
    keep_days: Positive = 30
    unbound_hours: Positive = 24
    mllp: MllpConfig | None = None
    fhir: FhirConfig | None = None
    mapping: MappingConfig = MappingConfig()
    patient: PatientConfig = PatientConfig()

    @property
    def zone(self) -> ZoneInfo:
        """The site's time zone.

        Raises:
            ConfigError: it is not known on this machine.
        """
        try:
            return ZoneInfo(self.time_zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ConfigError(
                f"feed.time_zone: {self.time_zone!r} is not known here",
                "give an IANA name such as America/New_York",
            ) from None

    def beside(self, base: Path) -> "FeedConfig":
        """The same with its files' paths absolute, relative ones lying in ``base``.

        Raises:
            ConfigError: the time zone is not known, notifications are not authenticated, or
                charts could not be found.
        """
        _ = self.zone
        named = self.patient.mrn_system and self.patient.visit_system
        if self.fhir is not None and not self.fhir.notifications and not named:
            raise ConfigError(
                "feed.patient: mrn_system or visit_system is missing",
                "name the FHIR identifier systems by which charts are found",
            )
        mllp = self.mllp
        if mllp is not None and mllp.tls is not None:
            mllp = msgspec.structs.replace(mllp, tls=mllp.tls.beside(base))
        return msgspec.structs.replace(
            self,
            mllp=mllp,
            fhir=self.fhir.beside(base) if self.fhir is not None else None,
            mapping=msgspec.structs.replace(
                self.mapping, files=tuple(str(base / name) for name in self.mapping.files)
            ),
        )


class _Store(Struct, frozen=True):
    url: str = "sqlite:///relay.db"


class _Part(Struct, frozen=True):
    """The tables of a relay's file that the feed needs; others are not looked at."""

    feed: FeedConfig | None = None
    store: _Store = _Store()


def load(path: Path) -> tuple[FeedConfig, str]:
    """Read the feed's part of a relay's configuration, and its store's URL.

    Raises:
        ConfigError: as :func:`bayscribe.settings.load`, or there is no ``[feed]``.
    """
    part = settings.load(path, _Part)
    if part.feed is None:
        raise ConfigError(f"{path}: feed: is missing", "add the table that describes the feed")
    base = path.resolve().parent
    url, prefix = part.store.url, "sqlite:///"
    if url.startswith(prefix):
        url = prefix + str(base / url.removeprefix(prefix))
    return part.feed.beside(base), url

"""What a relay can be told: one TOML file, paths relative to where it lies.

::

    [listen]
    host = "0.0.0.0"
    port = 8443

    [tls]
    certificate = "relay.pem"
    key = "relay.key"
    device_ca = "ca.pem"
    crl = "crl.pem"

    [store]
    url = "sqlite:///relay.db"

    [seal]
    keys = ["seal.open"]

Each further table turns a part of the relay on: ``[writeback]``, ``[feed]`` and
``[encounters]``, ``[transcribe]``, ``[tracer]`` and ``[prompts]``, ``[web]``, ``[fleet]``.
What may stand in them is said beside each part.
"""

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from bayscribe import settings
from bayscribe.errors import ConfigError
from bayscribe.wire.seal import OpeningKey
from bayscribe_relay.custody.config import CustodyConfig
from bayscribe_relay.emr_feed.config import FeedConfig
from bayscribe_relay.encounters.config import EncountersConfig
from bayscribe_relay.fleet.config import FleetConfig
from bayscribe_relay.notes.config import NotesConfig
from bayscribe_relay.prompts.config import PromptsConfig
from bayscribe_relay.retention.config import RetentionConfig
from bayscribe_relay.tracer.config import TracerConfig
from bayscribe_relay.transcribe.config import TranscribeConfig
from bayscribe_relay.web.config import WebConfig
from bayscribe_relay.writeback.config import WritebackConfig

Port = Annotated[int, Meta(ge=0, le=65_535)]
Seconds = Annotated[float, Meta(gt=0)]
Positive = Annotated[int, Meta(ge=1)]


class ListenConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Where devices connect. Port 0 takes any free one and logs which."""

    host: str = "0.0.0.0"  # noqa: S104 - a relay serves the hospital's network
    port: Port = 8443


class TlsConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """The relay's certificate and key, the authority of the devices, and its revocations."""

    certificate: str
    key: str
    device_ca: str
    crl: str | None = None


class StoreConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """The database, as an SQLAlchemy URL: ``sqlite:///FILE`` or ``postgresql+psycopg://...``."""

    url: str = "sqlite:///relay.db"


class SealConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Files of the keys that open sealed audio: the current one first, then older ones."""

    keys: Annotated[tuple[str, ...], Meta(min_length=1)]


class IngestConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """How records are taken in.

    Attributes:
        credit_max: most records that one device may have in flight.
        records_in_memory: bound over all devices; it sets each one's credit.
        verify_threads: threads that verify and decrypt.
        heartbeat_s: seconds between pings, and seconds that an answer may take.
        handshake_s: seconds for TLS, WebSocket and hello together, each.
        housekeeping_s: seconds between looks at revocations, credit and the watchdog.
    """

    credit_max: Annotated[int, Meta(ge=1, le=1_000)] = 32
    records_in_memory: Positive = 2_048
    verify_threads: Annotated[int, Meta(ge=1, le=64)] = 2
    heartbeat_s: Seconds = 8.0
    handshake_s: Seconds = 10.0
    housekeeping_s: Seconds = 2.0


class RelayConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """A relay's whole configuration file; an absent table leaves its part off.

    Attributes:
        encounters: where the bays are; on with ``feed``, ``web`` or ``prompts``.
        tracer: the catalogue as the site wants it; used by ``prompts``.
    """

    tls: TlsConfig
    seal: SealConfig
    listen: ListenConfig = ListenConfig()
    store: StoreConfig = StoreConfig()
    ingest: IngestConfig = IngestConfig()
    writeback: WritebackConfig | None = None
    feed: FeedConfig | None = None
    encounters: EncountersConfig = EncountersConfig()
    transcribe: TranscribeConfig | None = None
    tracer: TracerConfig = TracerConfig()
    prompts: PromptsConfig | None = None
    web: WebConfig | None = None
    fleet: FleetConfig | None = None
    custody: CustodyConfig | None = None
    notes: NotesConfig | None = None
    retention: RetentionConfig | None = None


def load(path: Path) -> RelayConfig:
    """Read a relay's configuration; every path in it comes back absolute.

    Raises:
        ConfigError: as :func:`bayscribe.settings.load`.
    """
    config = settings.load(path, RelayConfig)
    base = path.resolve().parent
    tls = TlsConfig(
        certificate=str(base / config.tls.certificate),
        key=str(base / config.tls.key),
        device_ca=str(base / config.tls.device_ca),
        crl=str(base / config.tls.crl) if config.tls.crl is not None else None,
    )
    return msgspec.structs.replace(
        config,
        tls=tls,
        seal=SealConfig(keys=tuple(str(base / key) for key in config.seal.keys)),
        store=StoreConfig(url=_absolute_url(config.store.url, base)),
        writeback=config.writeback.beside(base) if config.writeback is not None else None,
        feed=config.feed.beside(base) if config.feed is not None else None,
        transcribe=_beside_model(config.transcribe, base),
        tracer=msgspec.structs.replace(
            config.tracer,
            catalogue=str(base / config.tracer.catalogue) if config.tracer.catalogue else "",
            listening=str(base / config.tracer.listening) if config.tracer.listening else "",
        ),
        web=config.web.beside(base) if config.web is not None else None,
        fleet=config.fleet.beside(base) if config.fleet is not None else None,
        custody=config.custody.beside(base) if config.custody is not None else None,
        notes=config.notes.beside(base) if config.notes is not None else None,
    )


def _beside_model(config: TranscribeConfig | None, base: Path) -> TranscribeConfig | None:
    if config is None or config.model is None:
        return config
    return msgspec.structs.replace(config, model=str(base / config.model))


def opening_keys(config: RelayConfig) -> tuple[OpeningKey, ...]:
    """Read the keys that open sealed audio.

    Raises:
        ConfigError: a file cannot be read.
        BadUse: a file holds no such key.
    """
    keys = []
    for name in config.seal.keys:
        try:
            keys.append(OpeningKey.from_text(Path(name).read_text(encoding="ascii")))
        except (OSError, UnicodeDecodeError):
            raise ConfigError(
                f"seal.keys: {name} cannot be read", "make one with `bayscribe-relay pki seal-key`"
            ) from None
    return tuple(keys)


def _absolute_url(url: str, base: Path) -> str:
    prefix = "sqlite:///"
    if url.startswith(prefix) and url != "sqlite:///:memory:":
        return prefix + str(base / url.removeprefix(prefix))
    return url

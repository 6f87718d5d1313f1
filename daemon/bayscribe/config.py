"""What a unit can be told: one TOML file, typed.

Paths in it are relative to the file itself, so that the file and the keys it names may
lie together in a credentials directory. ``docs/configuration.md`` lists every key.
"""

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct

from bayscribe.control.config import ControlConfig
from bayscribe.errors import ConfigError
from bayscribe.health.config import HealthConfig
from bayscribe.indicator.config import IndicatorConfig
from bayscribe.prompts.config import BayPromptsConfig
from bayscribe.settings import load
from bayscribe.telemetry.config import TelemetryConfig
from bayscribe.uplink.config import UplinkConfig
from bayscribe.vault.config import VaultConfig
from bayscribe.wire.header import Codec, Name

Positive = Annotated[int, Meta(gt=0)]


class UnitConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the unit hangs and where it keeps its state.

    Attributes:
        site: name of the hospital's site.
        bay: name of the bay, as the relay and the EMR know it.
        state_directory: holds the buffer.
        runtime_directory: holds the state file for indicators.
        log: ``journal`` or ``stderr``.
        log_level: least level that is logged.
    """

    site: Name
    bay: Name
    state_directory: str = "/var/lib/bayscribe"
    runtime_directory: str = "/run/bayscribe"
    log: Literal["journal", "stderr"] = "journal"
    log_level: Literal["debug", "info", "warning", "error"] = "info"


class ArrayConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The microphone array.

    Attributes:
        profile: name of a profile in ``firmware-config/arrays``, or a path to one.
        pcm: ALSA device, for instance ``hw:CARD=ArrayUAC10``.
        period_frames: frames per ALSA period.
        periods: periods in the hardware's buffer.
    """

    profile: str
    pcm: str
    period_frames: Positive = 640
    periods: Positive = 50


class EncounterConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When the unit records.

    Attributes:
        mode: ``commanded``: only between the relay's open and close commands;
            ``always``: while the daemon runs (commissioning, tests, demonstration).
    """

    mode: Literal["commanded", "always"] = "commanded"


class SealConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How audio is kept.

    Attributes:
        relay_key: file with the relay's public sealing key.
        codec: ``flac16`` (about half the size) or ``raw16``.
    """

    relay_key: str
    codec: Codec = "flac16"


class VoiceConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One enrolled person: a label and a clean recording of 15 to 60 s."""

    label: Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._-]+$")]
    recording: str


class Config(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file."""

    unit: UnitConfig
    array: ArrayConfig
    uplink: UplinkConfig
    seal: SealConfig
    encounter: EncounterConfig = EncounterConfig()
    vault: VaultConfig = VaultConfig()
    health: HealthConfig = HealthConfig()
    telemetry: TelemetryConfig | None = None
    prompts: BayPromptsConfig = BayPromptsConfig()
    indicator: IndicatorConfig = IndicatorConfig()
    control: ControlConfig = ControlConfig()
    voices: tuple[VoiceConfig, ...] = ()
    primary: str | None = None


def load_config(path: Path) -> Config:
    """Read a unit's configuration, with every path in it made absolute.

    Raises:
        ConfigError: the file or a value in it cannot be taken.
    """
    config = load(path, Config)
    labels = [voice.label for voice in config.voices]
    if len(set(labels)) != len(labels):
        raise ConfigError(f"{path}: voices: found the same label twice: each needs its own")
    if config.primary is not None and labels and config.primary not in labels:
        raise ConfigError(
            f"{path}: primary: found {config.primary!r}: expected a label of a [[voices]] table"
        )
    return config


def beside(config_file: Path, name: str) -> Path:
    """A path from the configuration, relative to the configuration file's folder."""
    return (config_file.parent / name).resolve()


def profile_path(config: Config, file: Path) -> str:
    """The array's profile: a name as it is, a path relative to the configuration file."""
    profile = config.array.profile
    return str(beside(file, profile)) if profile.endswith(".toml") else profile

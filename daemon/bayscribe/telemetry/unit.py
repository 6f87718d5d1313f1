"""Telemetry of the unit that a configuration describes."""

import logging
from pathlib import Path

from bayscribe.config import Config, beside
from bayscribe.errors import ConfigError
from bayscribe.health.standalone import Peer
from bayscribe.telemetry.actions import Actions, Hooks, LogTail
from bayscribe.telemetry.client import Telemetry, client_context
from bayscribe.telemetry.config import BrokerFiles, TelemetryConfig
from bayscribe.telemetry.gatekeeper import Gatekeeper
from bayscribe.telemetry.messages import StatusFacts
from bayscribe.wire.fleet import Topic, is_level


def broker_files(config: Config, telemetry: TelemetryConfig, file: Path) -> BrokerFiles:
    """Where the files for the broker lie: the unit's one identity serves relay and broker."""
    command_key = telemetry.command_key
    return BrokerFiles(
        ca=beside(file, telemetry.broker_ca or config.uplink.relay_ca),
        certificate=beside(file, config.uplink.certificate),
        key=beside(file, config.uplink.key),
        command_key=None if command_key is None else beside(file, command_key),
    )


def broker_peer(config: Config, file: Path) -> Peer | None:
    """The broker that a unit is configured for; None without one."""
    telemetry = config.telemetry
    if telemetry is None:
        return None
    files = broker_files(config, telemetry, file)
    return Peer(
        telemetry.host,
        telemetry.port,
        telemetry.host,
        lambda: client_context(files),
        telemetry.connect_s,
    )


def make_telemetry(
    config: Config, file: Path, device: str, facts: StatusFacts, hooks: Hooks
) -> Telemetry | None:
    """A unit's telemetry; None if it has no broker.

    Raises:
        ConfigError: keys cannot be used, or a name cannot be part of a topic.
    """
    if config.telemetry is None:
        return None
    for key, name in (("unit.site", config.unit.site), ("unit.bay", config.unit.bay)):
        if not is_level(name):
            raise ConfigError(
                f"{file}: {key}: found {name!r}: expected a name that fits an MQTT topic",
                "use letters, digits and . _ : -, at most 64",
            )
    files = broker_files(config, config.telemetry, file)
    tail = LogTail()
    logging.getLogger("bayscribe").addHandler(tail)
    gatekeeper = Gatekeeper(device, files.command_key, Path(config.unit.state_directory))
    topic = Topic(config.unit.site, config.unit.bay, device, "status")
    actions = Actions(hooks, files, tail)
    return Telemetry(config.telemetry, files, topic, facts, gatekeeper, actions)

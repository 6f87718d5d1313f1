"""What telemetry can be told."""

from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

Seconds = Annotated[float, Meta(gt=0)]


class TelemetryConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The ``[telemetry]`` table; without it a unit has no broker.

    Attributes:
        host: of the broker; its certificate must carry this name.
        port: of its TLS listener.
        broker_ca: PEM file with the authority that may certify the broker; the relay's if
            absent.
        command_key: PEM file with the fleet's public key (P-256); without it every command
            is refused.
        levels_s: seconds between two levels.
        health_s: longest time between two statements of health and buffer.
        queue: messages kept while the broker is away; the oldest go first.
        keepalive_s: MQTT keep-alive; a dead link is found within one and a half of it.
        connect_s: seconds for TCP and TLS, and for the broker's answer.
        retry_first_s: upper bound of the first reconnection delay.
        retry_most_s: upper bound of any.
    """

    host: Annotated[str, Meta(min_length=1)]
    port: Annotated[int, Meta(ge=1, le=65_535)] = 8883
    broker_ca: str | None = None
    command_key: str | None = None
    levels_s: Seconds = 1.0
    health_s: Seconds = 10.0
    queue: Annotated[int, Meta(ge=8, le=100_000)] = 512
    keepalive_s: Annotated[int, Meta(ge=5, le=600)] = 15
    connect_s: Seconds = 10.0
    retry_first_s: Seconds = 1.0
    retry_most_s: Seconds = 60.0


class BrokerFiles(Struct, frozen=True, kw_only=True):
    """Where the files for the broker lie."""

    ca: Path
    certificate: Path
    key: Path
    command_key: Path | None

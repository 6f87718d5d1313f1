"""What the fleet can be told: the ``[fleet]`` table of a relay, or a file of its own."""

from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

from bayscribe import settings


class FleetConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The broker, and what counts as away.

    Attributes:
        host: of the broker.
        port: of its TLS listener.
        ca: PEM file with the authority that may certify the broker.
        certificate: PEM file of the fleet's client certificate.
        key: PEM file of its private key.
        command_key: PEM file of the private key that signs commands; without it none is sent.
        offline_after_s: seconds that a unit must be away before that is an alarm.
        silent_after_s: seconds without a word from an online unit after which that is one.
        page_host: address that ``bayscribe-relay fleet serve`` listens on.
        page_port: its port.
    """

    host: str
    port: Annotated[int, Meta(ge=1, le=65_535)] = 8883
    ca: str
    certificate: str
    key: str
    command_key: str | None = None
    offline_after_s: Annotated[float, Meta(ge=0)] = 30.0
    silent_after_s: Annotated[float, Meta(gt=0)] = 45.0
    page_host: str = "127.0.0.1"
    page_port: Annotated[int, Meta(ge=0, le=65_535)] = 8480

    def beside(self, base: Path) -> "FleetConfig":
        """With every path made absolute, relative to where the file lies."""
        from msgspec.structs import replace

        command = self.command_key
        return replace(
            self,
            ca=str(base / self.ca),
            certificate=str(base / self.certificate),
            key=str(base / self.key),
            command_key=None if command is None else str(base / command),
        )


class _File(Struct, frozen=True):
    """A file that has the table, among others or alone."""

    fleet: FleetConfig


def load(path: Path) -> FleetConfig:
    """Read the ``[fleet]`` table of a TOML file; other tables in it are somebody else's.

    Raises:
        ConfigError: it is missing or cannot be taken.
    """
    return settings.load(path, _File).fleet.beside(path.resolve().parent)

"""``enrol.toml``: what an installer told a new unit, and the configuration made of it."""

import json
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct

from bayscribe import settings
from bayscribe.wire.header import Name

Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]


class EnrolmentTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whom to ask, and with what.

    Attributes:
        url: ``https://HOST:PORT`` of the provisioning service.
        device: id that this unit gets.
        ca_sha256: fingerprint of the authority's certificate (DER), hex.
        token: good for one unit, once.
    """

    url: Annotated[str, Meta(pattern=r"^https://[^/\s]+/?$")]
    device: Name
    ca_sha256: Sha256
    token: Annotated[str, Meta(min_length=16, max_length=200)]


class UnitTable(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the unit hangs."""

    site: Name
    bay: Name


class ArrayTable(Struct, frozen=True, forbid_unknown_fields=True):
    """Which microphones it has."""

    profile: str
    pcm: str


class UplinkTable(Struct, frozen=True, forbid_unknown_fields=True):
    """Which relay it streams to."""

    url: Annotated[str, Meta(pattern=r"^wss://[^/\s]+/?$")]


class EncounterTable(Struct, frozen=True, forbid_unknown_fields=True):
    """When it records."""

    mode: Literal["commanded", "always"] = "commanded"


class Order(Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    enrolment: EnrolmentTable
    unit: UnitTable
    array: ArrayTable
    uplink: UplinkTable
    encounter: EncounterTable = EncounterTable()


def load(path: Path) -> Order:
    """Read an order.

    Raises:
        ConfigError: as :func:`bayscribe.settings.load`.
    """
    return settings.load(path, Order)


def configuration(order: Order) -> str:
    """The unit's ``bayscribe.toml``; the keys lie beside it. JSON's strings are TOML's."""
    tables: dict[str, dict[str, str]] = {
        "unit": {"site": order.unit.site, "bay": order.unit.bay},
        "array": {"profile": order.array.profile, "pcm": order.array.pcm},
        "encounter": {"mode": order.encounter.mode},
        "uplink": {
            "url": order.uplink.url,
            "relay_ca": "relay-ca.crt",
            "certificate": "device.crt",
            "key": "device.key",
        },
        "seal": {"relay_key": "relay-seal.pub"},
    }
    lines = ["# Written at enrolment."]
    for table, values in tables.items():
        lines += ["", f"[{table}]", *(f"{k} = {json.dumps(v)}" for k, v in values.items())]
    return "\n".join(lines) + "\n"

"""The AsyncAPI 3 document of the MQTT topics, made from the messages themselves.

``python -m bayscribe.telemetry.asyncapi > docs/mqtt.asyncapi.yaml`` (needs PyYAML).
"""

import inspect
from typing import Any

import msgspec

from bayscribe import __version__
from bayscribe.wire import fleet
from bayscribe.wire.signed_command import CommandBody, SignedCommand

_TITLES = {
    "status": ("retained; the last will says offline", 1),
    "health": ("on every change and at least every health_s", 0),
    "levels": ("every levels_s while the array is heard", 0),
    "buffer": ("on every change and at least every health_s", 0),
    "alarm": ("when a problem is raised or is over; queued while the broker is away", 1),
    "answer": ("one for every command; queued while the broker is away", 1),
}


def document() -> dict[str, Any]:
    """The whole document."""
    kinds: list[Any] = [*fleet.KINDS.values(), SignedCommand, CommandBody]
    _, components = msgspec.json.schema_components(
        kinds, ref_template="#/components/schemas/{name}"
    )
    channels = {channel: _channel(channel, kind.__name__) for channel, kind in fleet.KINDS.items()}
    channels["command"] = _channel("command", "SignedCommand")
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Bayscribe units over MQTT",
            "version": __version__,
            "description": inspect.cleandoc(fleet.__doc__ or ""),
        },
        "defaultContentType": "application/json",
        "servers": {
            "site": {
                "host": "broker.example:8883",
                "protocol": "secure-mqtt",
                "protocolVersion": "5.0",
                "description": "TLS 1.3; the unit's certificate is its user name and client id",
            }
        },
        "channels": channels,
        "operations": _operations(),
        "components": {
            "messages": _messages(),
            "schemas": {name: _plain(schema) for name, schema in sorted(components.items())},
        },
    }


def _channel(channel: str, kind: str) -> dict[str, Any]:
    parameter = {"description": "one topic level: letters, digits and . _ : -, at most 64"}
    return {
        "address": f"{fleet.ROOT}/{{site}}/{{bay}}/{{device}}/{channel}",
        "parameters": {"site": parameter, "bay": dict(parameter), "device": dict(parameter)},
        "messages": {kind: {"$ref": f"#/components/messages/{kind}"}},
    }


def _operations() -> dict[str, Any]:
    operations: dict[str, Any] = {}
    for channel, (when, qos) in _TITLES.items():
        operations[f"publish_{channel}"] = {
            "action": "send",
            "summary": when,
            "channel": {"$ref": f"#/channels/{channel}"},
            "bindings": {"mqtt": {"qos": qos, "retain": channel == "status"}},
        }
    operations["take_command"] = {
        "action": "receive",
        "summary": "carried out once, if its signature, unit, expiry and counter are good",
        "channel": {"$ref": "#/channels/command"},
        "bindings": {"mqtt": {"qos": 1, "retain": False}},
        "reply": {"channel": {"$ref": "#/channels/answer"}},
    }
    return operations


def _messages() -> dict[str, Any]:
    found = {}
    for kind in (*fleet.KINDS.values(), SignedCommand):
        name = kind.__name__
        found[name] = {
            "name": name,
            "summary": inspect.cleandoc(kind.__doc__ or "").splitlines()[0],
            "payload": {"$ref": f"#/components/schemas/{name}"},
        }
    return found


def _plain(value: Any) -> Any:  # noqa: ANN401 - JSON has no narrower type
    """Without tuples, which YAML writes as Python's own."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def text() -> str:
    """The document as YAML."""
    import yaml

    return str(yaml.safe_dump(document(), sort_keys=False, allow_unicode=True, width=100))


if __name__ == "__main__":
    import sys

    sys.stdout.write(text())

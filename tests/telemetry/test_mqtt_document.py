"""``docs/mqtt.asyncapi.yaml`` says what really travels."""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import jsonschema_rs
import paho.mqtt.client as mqtt
import yaml
from paho.mqtt.enums import CallbackAPIVersion

from bayscribe.telemetry import asyncapi
from bayscribe.wire.fleet import CHANNELS
from bayscribe.wire.signed_command import new_body, sign
from bayscribe_relay.fleet.subscriber import client_context
from telemetry.site_broker import SiteBroker, until
from telemetry.unit_rig import GOOD, LOST, UnitRig

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "mqtt.asyncapi.yaml"


def test_the_document_is_made_from_the_messages() -> None:
    assert DOCUMENT.read_text() == asyncapi.text()


def resolve(document: dict[str, Any], reference: str) -> dict[str, Any]:
    node: dict[str, Any] = document
    for step in reference.removeprefix("#/").split("/"):
        node = node[step]
    return node


def test_every_message_that_travels_is_as_the_document_says(
    site: SiteBroker, tmp_path: Path
) -> None:
    document = yaml.safe_load(DOCUMENT.read_text())
    assert document["asyncapi"].startswith("3.")
    assert set(document["channels"]) == set(CHANNELS)
    seen: dict[str, list[bytes]] = defaultdict(list)
    listener = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    listener.tls_set_context(client_context(site.fleet_config()))
    listener.on_message = lambda _c, _d, message: seen[message.topic.rpartition("/")[2]].append(
        bytes(message.payload)
    )
    listener.connect("localhost", site.port)
    listener.loop_start()
    listener.subscribe("bayscribe/v1/#", qos=1)
    unit = UnitRig(tmp_path / "unit", site.port, site.device("bay-07"))
    unit.telemetry.start()
    try:
        until(lambda: unit.telemetry.link().up, "the broker")
        unit.look(GOOD)
        unit.look(LOST)
        payload = sign(site.command_key, new_body("bay-07", "diagnostics"))
        listener.publish("bayscribe/v1/demo/bay-07/bay-07/command", payload, qos=1)
        until(lambda: set(seen) == set(CHANNELS), "a message on every channel")
    finally:
        unit.telemetry.stop()
        listener.loop_stop()
        listener.disconnect()
    for channel, payloads in seen.items():
        (message,) = document["channels"][channel]["messages"].values()
        reference = resolve(document, message["$ref"])["payload"]["$ref"]
        schema = {"$ref": reference, "components": document["components"]}
        validator = jsonschema_rs.validator_for(schema)
        for raw in payloads:
            validator.validate(json.loads(raw))

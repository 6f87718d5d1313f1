"""Words that belong to a person never leave a unit by a side door."""

import json
import ssl
import time
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from bayscribe_relay.fleet.broker import FLEET_USER
from hil.bay import EXCERPT, Bay
from security.relay_double import RelayDouble
from telemetry.site_broker import SiteBroker, until

pytestmark = pytest.mark.slow

PATIENT = "Zebulon Quartermaine"
LABEL = "dr-quillfeather"
SPOKEN = "give two litres of moonwater"
CHART = "MRN-7719-CANARY"


def _listen(site: SiteBroker) -> tuple[mqtt.Client, list[bytes]]:
    heard: list[bytes] = []
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    tls = ssl.create_default_context(cafile=str(site.folder / "ca.pem"))
    tls.load_cert_chain(site.folder / f"{FLEET_USER}.pem", site.folder / f"{FLEET_USER}.key")
    client.tls_set_context(tls)
    client.on_message = lambda _client, _data, message: heard.append(
        message.topic.encode() + b" " + message.payload
    )
    client.on_connect = lambda connected, *_: connected.subscribe("bayscribe/v1/#")
    client.connect("localhost", site.port)
    client.loop_start()
    return client, heard


def test_no_canary_in_journal_state_file_mqtt_arguments_or_unsealed_on_disk(
    bay: Bay, tmp_path: Path
) -> None:
    site = SiteBroker(tmp_path / "site")
    own = (site.folder / "ca.pem").read_bytes()
    (site.folder / "ca.pem").write_bytes(own + (bay.keys / "ca.pem").read_bytes())
    site.start()
    config = bay.unit / "bayscribe.toml"
    text = config.read_text().replace('"clinician"', f'"{LABEL}"')
    config.write_text(
        text.replace('log = "stderr"', 'log = "stderr"\nlog_level = "debug"')
        + f'\n[telemetry]\nhost = "localhost"\nport = {site.port}\n'
        f'broker_ca = "{site.folder}/ca.pem"\nlevels_s = 0.5\n'
    )
    client, heard = _listen(site)
    try:
        with RelayDouble(bay.keys, bay.port) as relay:
            unit = bay.start_unit()
            relay.await_hello()
            arguments = {"patient": PATIENT, "mrn": CHART}
            relay.command("open_encounter", arguments)
            relay.command("show-nothing", arguments)
            text = f"{PATIENT} said: {SPOKEN}"
            relay.prompt("p-1", text, time.time_ns() + 10**12, speech=SPOKEN.encode())
            assert relay.await_outcome().outcome == "suppressed"
            bay.play(EXCERPT)
            process = Path("/proc") / str(unit.process.pid)
            argv = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
            until(lambda: len(heard) > 3, "telemetry")
            state = json.dumps(bay.state()).encode()
            unit.stop()
    finally:
        client.disconnect()
        client.loop_stop()
        site.kill()
    places = {
        "arguments and environment": argv,
        "state file": state,
        "mqtt": b"\n".join(heard),
        "log": (bay.folder / "appliance.log").read_bytes(),
    }
    for folder in ("state", "run"):
        for path in (bay.unit / folder).rglob("*"):
            if path.is_file():
                places[str(path.relative_to(bay.unit))] = path.read_bytes()
    assert any(name.startswith("state/buffer") for name in places)
    for name, content in places.items():
        for canary in (PATIENT, LABEL, SPOKEN, CHART, "moonwater", "Quartermaine"):
            assert canary.encode() not in content, f"{canary!r} in {name}"

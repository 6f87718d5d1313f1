"""Alerts over MQTT: to a real broker that asks for TLS and credentials, and to no other."""

import asyncio
import json
import os
import queue
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from bayscribe.errors import ConfigError
from bayscribe_relay.gateway.alert_broker import publish
from bayscribe_relay.gateway.alerts import Alerts, alert_body
from bayscribe_relay.gateway.config import AlertConfig, SiteConfig, load
from bayscribe_relay.pki import files
from bayscribe_relay.pki.authority import Authority, Issued
from free_ports import free_port
from writeback.rig import gateway_file, make_pki

TOPIC = "bayscribe/v1/demo/writeback/alarm"
SITE = SiteConfig(operations_contact="ops@h.example", site_contact="it@h.example")
BODY = alert_body("demo", SITE, "k", "dead-letter", "given up")
WAIT_S = 60.0


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority, the broker's certificate, the gateway's, and a stranger's."""
    folder = tmp_path_factory.mktemp("keys")
    authority, stranger = Authority.create("Site CA"), Authority.create("Other CA")
    for name, issued in (
        ("ca", Issued(authority.certificate, None)),
        ("other-ca", Issued(stranger.certificate, None)),
        ("broker", authority.server("localhost", ["localhost", "127.0.0.1"])),
        ("gateway", authority.gateway("gw-1", ["localhost"])),
        ("stranger", stranger.gateway("gw-1", ["localhost"])),
    ):
        (folder / f"{name}.pem").write_bytes(issued.pem())
        if issued.key is not None:
            (folder / f"{name}.key").write_bytes(files.key_pem(issued.key))
    (folder / "password").write_text("correct horse\n")
    (folder / "wrong").write_text("battery staple\n")
    subprocess.run(
        [_program("mosquitto_passwd"), "-b", "-c", folder / "users", "gateway", "correct horse"],
        check=True,
        capture_output=True,
    )
    (folder / "users").chmod(0o600)
    return folder


def _program(name: str) -> str:
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    assert found is not None, "Debian: mosquitto"
    return found


@contextmanager
def broker(folder: Path, keys: Path, credentials: str) -> Iterator[int]:
    """A mosquitto that speaks TLS alone; its port. ``credentials``: certificate or password."""
    port = free_port()
    asks = {
        "certificate": f"require_certificate true\ncafile {keys / 'ca.pem'}\n"
        "use_identity_as_username true\nallow_anonymous false\n",
        "password": f"allow_anonymous false\npassword_file {keys / 'users'}\n",
        "none": "allow_anonymous true\n",
    }[credentials]
    user = "user root\n" if os.getuid() == 0 else ""
    (folder / "mosquitto.conf").write_text(
        f"{user}listener {port} 127.0.0.1\ncertfile {keys / 'broker.pem'}\n"
        f"keyfile {keys / 'broker.key'}\n{asks}"
    )
    with (folder / "mosquitto.log").open("wb") as log:
        process = subprocess.Popen(
            [_program("mosquitto"), "-c", str(folder / "mosquitto.conf")], stdout=log, stderr=log
        )
    try:
        end = time.monotonic() + WAIT_S
        while not _listens(port):
            assert process.poll() is None, (folder / "mosquitto.log").read_text()
            assert time.monotonic() < end, "mosquitto does not listen"
            time.sleep(0.02)
        yield port
    finally:
        process.terminate()
        process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def subscriber(config: AlertConfig) -> Iterator["queue.Queue[bytes]"]:
    """Who reads the alarms, with the credentials that a configuration names."""
    came, subscribed = queue.Queue[bytes](), threading.Event()
    client = Client(CallbackAPIVersion.VERSION2)
    context = ssl.create_default_context(cafile=config.mqtt_ca)
    if config.mqtt_certificate is not None:
        context.load_cert_chain(config.mqtt_certificate, config.mqtt_key)
    client.tls_set_context(context)
    if config.mqtt_password_file is not None:
        client.username_pw_set(config.mqtt_user, Path(config.mqtt_password_file).read_text()[:-1])

    def take(_client: Client, _data: object, message: MQTTMessage) -> None:
        came.put(bytes(message.payload))

    def connected(*_: object) -> None:
        client.subscribe(TOPIC, qos=1)

    client.on_message, client.on_connect = take, connected
    client.on_subscribe = lambda *_: subscribed.set()
    client.connect("localhost", config.mqtt_port)
    client.loop_start()
    try:
        assert subscribed.wait(WAIT_S)
        yield came
    finally:
        client.disconnect()
        client.loop_stop()


def config_for(credentials: str, keys: Path, port: int) -> AlertConfig:
    more: dict[str, Any] = {
        "certificate": {
            "mqtt_certificate": str(keys / "gateway.pem"),
            "mqtt_key": str(keys / "gateway.key"),
        },
        "password": {"mqtt_user": "gateway", "mqtt_password_file": str(keys / "password")},
        "none": {},
    }[credentials]
    return AlertConfig(mqtt_host="localhost", mqtt_port=port, mqtt_ca=str(keys / "ca.pem"), **more)


@pytest.mark.parametrize("credentials", ["certificate", "password"])
def test_an_alert_goes_to_a_broker_that_asks_who_is_there(
    tmp_path: Path, keys: Path, credentials: str
) -> None:
    with broker(tmp_path, keys, credentials) as port:
        config = config_for(credentials, keys, port)
        with subscriber(config) as came:
            asyncio.run(asyncio.wait_for(Alerts(config).deliver(SITE, BODY), WAIT_S))
            assert json.loads(came.get(timeout=WAIT_S)) == BODY
    assert {"ops@h.example", "it@h.example"} <= set(BODY.values())


# paho leaves the socket of a failed handshake to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    ("credentials", "changed"),
    [
        ("none", {"mqtt_ca": "other-ca.pem"}),
        ("password", {"mqtt_password_file": "wrong"}),
        ("password", {"mqtt_password_file": "no-such-file"}),
        ("certificate", {"mqtt_certificate": "stranger.pem", "mqtt_key": "stranger.key"}),
        ("certificate", {"mqtt_certificate": None, "mqtt_key": None}),
    ],
)
def test_nobody_was_told_where_broker_or_gateway_is_not_who_it_should_be(
    tmp_path: Path, keys: Path, credentials: str, changed: dict[str, str | None]
) -> None:
    with broker(tmp_path, keys, credentials) as port:
        right = config_for(credentials, keys, port)
        placed = {name: str(keys / file) if file else None for name, file in changed.items()}
        with subscriber(right) as came:
            wrong = msgspec.structs.replace(right, **placed)
            with pytest.raises(OSError):  # noqa: PT011 - of many kinds; none may be swallowed
                publish(wrong, TOPIC, json.dumps(BODY), 2.0)
            publish(right, TOPIC, "{}", WAIT_S)
            assert came.get(timeout=WAIT_S) == b"{}"


@pytest.mark.parametrize(
    ("table", "missing"),
    [
        ('mqtt_user = "gateway"', "mqtt_password_file"),
        ('mqtt_certificate = "a.pem"', "mqtt_key"),
        ('mqtt_user = "u"\nmqtt_password_file = "p"\nmqtt_tls = false', "mqtt_tls"),
    ],
)
def test_credentials_by_halves_or_in_the_clear_are_refused(
    tmp_path: Path, table: str, missing: str
) -> None:
    make_pki(tmp_path)
    path = gateway_file(tmp_path, 'fhir_base = "http://emr"')
    text = path.read_text()
    path.write_text(f'{text}\n[alerts]\nmqtt_host = "broker"\n{table}\n')
    with pytest.raises(ConfigError, match=f"alerts.{missing}: is"):
        load(path)


def test_files_are_found_beside_the_configuration(tmp_path: Path) -> None:
    make_pki(tmp_path)
    path = gateway_file(tmp_path, 'fhir_base = "http://emr"')
    text = path.read_text()
    table = 'mqtt_host = "b"\nmqtt_ca = "ca.pem"\nmqtt_user = "u"\nmqtt_password_file = "secret"'
    path.write_text(f"{text}\n[alerts]\n{table}\n")
    alerts = load(path).alerts
    assert alerts.mqtt_ca == str(tmp_path / "ca.pem")
    assert alerts.mqtt_password_file == str(tmp_path / "secret")

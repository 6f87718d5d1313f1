"""The connection to the broker: hears all units, and sends signed commands."""

import logging
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path

import paho.mqtt.client as mqtt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from bayscribe.errors import BadUse, ConfigError, LinkError
from bayscribe.wire.fleet import ROOT, Answer, FromUnit, Topic
from bayscribe.wire.signed_command import CommandName, new_body, sign
from bayscribe_relay.fleet.config import FleetConfig
from bayscribe_relay.fleet.model import FleetModel, Row

log = logging.getLogger("bayscribe.fleet")

Listener = Callable[[Topic, FromUnit], None]


def client_context(config: FleetConfig) -> ssl.SSLContext:
    """TLS 1.3 with the fleet's certificate.

    Raises:
        ConfigError: a file cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    try:
        context.load_verify_locations(config.ca)
        context.load_cert_chain(config.certificate, config.key)
    except (ssl.SSLError, OSError) as error:
        raise ConfigError(f"fleet: ca, certificate or key cannot be used: {error}") from None
    return context


def read_command_key(path: str) -> ec.EllipticCurvePrivateKey:
    """The key that signs commands.

    Raises:
        ConfigError: it cannot be used.
    """
    try:
        key = serialization.load_pem_private_key(Path(path).read_bytes(), None)
    except (OSError, ValueError, TypeError):
        raise ConfigError(
            f"fleet.command_key: {path} is not a readable PEM key",
            "make one with `bayscribe-relay fleet key`",
        ) from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ConfigError(f"fleet.command_key: {path}: expected a P-256 key")
    return key


class Fleet:
    """All units of a broker, live. Any thread may ask.

    Args:
        config: the broker and the keys.

    Raises:
        ConfigError: keys cannot be used.
    """

    def __init__(self, config: FleetConfig) -> None:
        self._config = config
        self._model = FleetModel(config.offline_after_s, config.silent_after_s)
        self._guard = threading.Lock()
        self._command_key = (
            read_command_key(config.command_key) if config.command_key is not None else None
        )
        self._answers: dict[str, Answer] = {}
        self._answered = threading.Condition(self._guard)
        self._listeners: list[Listener] = []
        self.connected = threading.Event()
        """Set while the broker is reached."""
        self._client = self._make_client()

    def _make_client(self) -> mqtt.Client:
        client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        client.tls_set_context(client_context(self._config))
        client.reconnect_delay_set(1, 30)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        return client

    def start(self) -> None:
        """Connect in a thread of its own, for as long as it takes."""
        self._client.connect_async(self._config.host, self._config.port, keepalive=15)
        self._client.loop_start()

    def stop(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()

    def tell(self, listener: Listener) -> None:
        """Call ``listener`` with everything that units say, in the broker's thread."""
        self._listeners.append(listener)

    def rows(self) -> list[Row]:
        """All units as the page shows them, now."""
        with self._guard:
            return self._model.rows(time.monotonic())

    def counts(self) -> tuple[int, int]:
        """Messages taken, and of those ignored."""
        with self._guard:
            return self._model.messages, self._model.ignored

    def command(
        self,
        device: str,
        name: CommandName,
        arguments: dict[str, str] | None = None,
        patience_s: float = 10.0,
    ) -> Answer:
        """Send a signed command and wait for its answer.

        Raises:
            BadUse: there is no such unit, or no key to sign with.
            LinkError: ``no-answer``.
        """
        if self._command_key is None:
            raise BadUse("no fleet.command_key is configured", "make one with `fleet key`")
        with self._guard:
            unit = self._model.unit(device)
        if unit is None:
            raise BadUse(f"the fleet knows no unit {device!r}", "check its name and its broker")
        body = new_body(device, name, arguments)
        topic = str(Topic(unit.site, unit.bay, unit.device, "command"))
        self._client.publish(topic, sign(self._command_key, body), qos=1)
        with self._answered:
            if self._answered.wait_for(lambda: body.id in self._answers, patience_s):
                return self._answers.pop(body.id)
        raise LinkError(f"{device} did not answer within {patience_s:g} s", code="no-answer")

    # -- the broker's thread

    def _on_connect(
        self, client: mqtt.Client, _data: object, _flags: object, code: ReasonCode, _p: object
    ) -> None:
        if code.is_failure:
            log.warning("broker refused the fleet: %s", code)
            return
        client.subscribe(f"{ROOT}/#", qos=1)
        self.connected.set()

    def _on_disconnect(
        self, _client: mqtt.Client, _data: object, _flags: object, code: ReasonCode, _p: object
    ) -> None:
        if self.connected.is_set():
            log.warning("broker lost: %s", code)
        self.connected.clear()

    def _on_message(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        if message.topic.endswith("/command"):
            return
        with self._guard:
            taken = self._model.apply(message.topic, bytes(message.payload), time.monotonic())
            if taken is not None and isinstance(taken[1], Answer) and taken[1].id:
                self._answers[taken[1].id] = taken[1]
                while len(self._answers) > 1000:
                    self._answers.pop(next(iter(self._answers)))
                self._answered.notify_all()
        if taken is not None:
            for listener in self._listeners:
                listener(*taken)

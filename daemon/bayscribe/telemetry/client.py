"""The thread that talks to the broker, and that nothing else waits for."""

import logging
import ssl
import threading
import time

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from bayscribe.errors import BayscribeError, ConfigError
from bayscribe.health.recent import Recent
from bayscribe.health.report import ReportEntry
from bayscribe.health.snapshot import LinkView
from bayscribe.telemetry import messages
from bayscribe.telemetry.actions import Actions
from bayscribe.telemetry.changes import Changes
from bayscribe.telemetry.config import BrokerFiles, TelemetryConfig
from bayscribe.telemetry.gatekeeper import Gatekeeper
from bayscribe.telemetry.messages import StatusFacts
from bayscribe.telemetry.outbox import Outbox, Outgoing
from bayscribe.uplink.config import Backoff
from bayscribe.wire.fleet import Answer, FromUnit, Topic, encode
from bayscribe.wire.signed_command import CommandRefused

TURN_S = 0.1
"""Longest time between two looks at the queue."""

SESSION_EXPIRY_S = 600
"""Commands that come while the link is down for less than this are still delivered."""

log = logging.getLogger("bayscribe.telemetry")


def client_context(files: BrokerFiles) -> ssl.SSLContext:
    """TLS 1.3 with the unit's certificate, trusting one authority.

    Raises:
        ConfigError: a file is missing or not what it should be.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    try:
        context.load_verify_locations(files.ca)
        context.load_cert_chain(files.certificate, files.key)
    except (ssl.SSLError, OSError) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
        raise ConfigError(
            f"telemetry: certificate, key or broker_ca cannot be used: {reason}",
            "enrol this unit first",
        ) from None
    return context


class Telemetry:
    """Publishes a unit's state and takes its commands, for as long as the unit runs.

    Args:
        config: the broker.
        files: certificates and keys.
        topic: the unit's, with any channel.
        facts: what the status says.
        gatekeeper: who may command.
        actions: what commands do.
    """

    def __init__(
        self,
        config: TelemetryConfig,
        files: BrokerFiles,
        topic: Topic,
        facts: StatusFacts,
        gatekeeper: Gatekeeper,
        actions: Actions,
    ) -> None:
        client_context(files)
        self._config = config
        self._files = files
        self._topic = topic
        self._facts = facts
        self._gatekeeper = gatekeeper
        self._actions = actions
        self._outbox = Outbox(config.queue)
        self._changes = Changes(facts, config.levels_s, config.health_s)
        self._changes_guard = threading.Lock()
        self._report: ReportEntry | None = None
        self._backoff = Backoff(config.retry_first_s, config.retry_most_s)
        self._client: mqtt.Client | None = None
        self._flying: dict[int, Outgoing] = {}
        self._online = False
        self._down_since = time.monotonic()
        self._problem = ""
        self._dropped = Recent()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="telemetry", daemon=True)

    # -- any thread

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Say that the unit goes offline, and end the thread."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def report(self, report: ReportEntry) -> None:
        """Take a new health report; returns at once."""
        self._report = report
        with self._changes_guard:
            for channel, message in self._changes.take(report, time.monotonic()):
                self._put(channel, message)

    def link(self) -> LinkView:
        """How the connection stands."""
        dropped = self._dropped.add(time.monotonic(), self._outbox.dropped)
        if self._online:
            return LinkView(up=True, dropped=int(dropped))
        down = time.monotonic() - self._down_since
        return LinkView(False, round(down, 1), self._problem, dropped=int(dropped))

    def _put(self, channel: str, message: FromUnit) -> None:
        self._outbox.put(channel, encode(message))

    # -- the telemetry thread

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._connection()
            except BayscribeError as error:
                self._problem = str(error)
            except (OSError, ValueError) as error:
                self._problem = f"{self._config.host}: {getattr(error, 'strerror', None) or error}"
            self._gone()
            self._stop.wait(self._backoff.next())

    def _gone(self) -> None:
        if self._online:
            log.warning("broker lost: %s", self._problem)
            self._down_since = time.monotonic()
        self._online = False
        self._flying.clear()

    def _connection(self) -> None:
        """One connection, to its end."""
        client = self._make_client()
        expiry = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho's own
        expiry.SessionExpiryInterval = SESSION_EXPIRY_S
        client.connect(
            self._config.host,
            self._config.port,
            keepalive=self._config.keepalive_s,
            clean_start=False,
            properties=expiry,
        )
        patience = time.monotonic() + self._config.connect_s
        while not self._stop.is_set():
            code = client.loop(TURN_S)
            if code is not MQTTErrorCode.MQTT_ERR_SUCCESS:
                self._problem = self._problem or mqtt.error_string(code)
                return
            if self._online:
                self._send(client)
            elif time.monotonic() > patience:
                self._problem = "the broker does not answer"
                return
        self._say_goodbye(client)

    def _make_client(self) -> mqtt.Client:
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._topic.device,
            protocol=mqtt.MQTTv5,
        )
        client.tls_set_context(client_context(self._files))
        client.connect_timeout = self._config.connect_s
        will = encode(self._facts.offline())
        client.will_set(self._name("status"), will, qos=1, retain=True)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        self._problem = ""
        return client

    def _name(self, channel: str) -> str:
        topic = self._topic
        return str(Topic(topic.site, topic.bay, topic.device, channel))

    def _on_connect(
        self, client: mqtt.Client, _data: object, _flags: object, code: ReasonCode, _p: object
    ) -> None:
        if code.is_failure:
            self._problem = f"refused: {code}"
            return
        client.subscribe(self._name("command"), qos=1)
        self._online = True
        self._backoff.reset()
        log.info("broker reached")
        with self._changes_guard:
            said = self._changes.everything(self._report)
        for channel, message in said:
            self._put(channel, message)

    def _on_disconnect(
        self, _client: mqtt.Client, _data: object, _flags: object, code: ReasonCode, _p: object
    ) -> None:
        self._problem = self._problem or str(code)

    def _on_publish(
        self, _client: mqtt.Client, _data: object, mid: int, _code: object, _p: object
    ) -> None:
        message = self._flying.pop(mid, None)
        if message is not None:
            self._outbox.sent(message)

    def _send(self, client: mqtt.Client) -> None:
        """States at most once, events until the broker has them, one at a time."""
        for answer in self._actions.due(time.monotonic()):
            self._put("answer", answer)
        for message in self._outbox.take_states():
            keep = message.channel == "status"
            client.publish(self._name(message.channel), message.payload, int(keep), keep)
        event = self._outbox.next_event()
        if event is not None and event not in self._flying.values():
            sent = client.publish(self._name(event.channel), event.payload, qos=1)
            self._flying[sent.mid] = event

    def _say_goodbye(self, client: mqtt.Client) -> None:
        if not self._online:
            return
        last = client.publish(self._name("status"), encode(self._facts.offline()), 1, retain=True)
        end = time.monotonic() + 2.0
        while not last.is_published() and time.monotonic() < end:
            if client.loop(TURN_S) is not MQTTErrorCode.MQTT_ERR_SUCCESS:
                break
        client.disconnect()

    # -- commands

    def _on_message(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        if message.retain:
            return  # nobody's command now: a retained one would come at every connection
        answer = self._obey(bytes(message.payload))
        if answer is not None:
            self._put("answer", answer)

    def _obey(self, payload: bytes) -> Answer | None:
        try:
            body = self._gatekeeper.admit(payload)
        except CommandRefused as error:
            log.warning("command refused: %s", error.code)
            return Answer(at=messages.now(), id=error.id, outcome="refused", reason=error.code)
        except BayscribeError as error:
            log.warning("command not taken: %s", error)
            return Answer(at=messages.now(), outcome="failed", reason=error.code)
        log.info("command", extra={"command": body.name, "id": body.id})
        return self._actions.do(body)

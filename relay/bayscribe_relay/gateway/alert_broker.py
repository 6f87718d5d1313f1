"""One alert to the site's MQTT broker: TLS unless it is refused in so many words.

The broker knows the gateway by its client certificate, by user and password, or by both.
The password is read from its file for each alert, so that it can be changed while the
gateway runs.
"""

import ssl
import threading
import uuid
from pathlib import Path
from typing import Any

from bayscribe_relay.gateway.config import AlertConfig


def publish(config: AlertConfig, topic: str, payload: str, timeout_s: float) -> None:
    """Publish with QoS 1 and return when the broker has it.

    Args:
        config: names the broker; ``mqtt_host`` is given.
        topic: where to.
        payload: JSON text.
        timeout_s: for connecting, and again for the broker's acknowledgement.

    Raises:
        OSError: the broker cannot be reached, is not who it should be, lets nobody in
            with these credentials, or does not acknowledge in time; also when a file of
            the configuration cannot be read.
    """
    from paho.mqtt.client import Client
    from paho.mqtt.enums import CallbackAPIVersion

    client = Client(CallbackAPIVersion.VERSION2, f"bayscribe-alert-{uuid.uuid4().hex[:8]}")
    client.connect_timeout = timeout_s
    if config.mqtt_password_file is not None:
        password = Path(config.mqtt_password_file).read_text().strip()
        client.username_pw_set(config.mqtt_user, password)
    if config.mqtt_tls:
        client.tls_set_context(_context(config))
    answered, said = threading.Event(), ["no acknowledgement"]

    def connected(client: Client, _data: object, _flags: object, reason: Any, _p: object) -> None:  # noqa: ANN401 - paho's ReasonCode
        if reason.is_failure:
            said[0] = f"the broker says {reason}"
            answered.set()
        else:
            client.publish(topic, payload, qos=1)

    def published(_c: object, _d: object, _mid: int, reason: Any, _p: object) -> None:  # noqa: ANN401 - paho's ReasonCode
        said[0] = f"the broker says {reason}" if reason.is_failure else ""
        answered.set()

    client.on_connect, client.on_publish = connected, published
    client.connect(str(config.mqtt_host), config.mqtt_port)
    client.loop_start()
    try:
        answered.wait(timeout_s)
    finally:
        client.disconnect()
        client.loop_stop()
    if said[0]:
        raise ConnectionError(said[0])


def _context(config: AlertConfig) -> ssl.SSLContext:
    """TLS towards the broker, whose name is checked; 1.2 is what older brokers speak."""
    context = ssl.create_default_context(cafile=config.mqtt_ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if config.mqtt_certificate is not None:
        context.load_cert_chain(config.mqtt_certificate, config.mqtt_key)
    return context

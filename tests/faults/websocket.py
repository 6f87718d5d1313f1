"""A bare connection to a relay, for what a well-behaved unit would never send."""

from websockets.sync.client import ClientConnection, connect

from bayscribe.uplink.config import UplinkConfig
from bayscribe.uplink.tls import client_context
from bayscribe.wire.messages import SUBPROTOCOL


def talk(config: UplinkConfig) -> ClientConnection:
    """Connect with the unit's certificate; nothing is said yet."""
    return connect(
        config.url,
        ssl=client_context(config),
        server_hostname=config.server_name,
        subprotocols=[SUBPROTOCOL],  # type: ignore[list-item]  # a NewType of str
        compression=None,
        proxy=None,
    )

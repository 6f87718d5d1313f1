"""One WebSocket to the relay, and why it failed, in the words of an operator."""

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import AsyncIterator
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from bayscribe.errors import LinkError
from bayscribe.uplink.config import UplinkConfig
from bayscribe.wire.messages import MAX_MESSAGE_BYTES, SUBPROTOCOL

SEND_BUFFER_BYTES = 131_072
"""Kernel's send buffer: kept small so that a ping is not queued behind megabytes."""

_frames_log = logging.getLogger("bayscribe.uplink.websockets")
_frames_log.setLevel(logging.WARNING)  # its debug output would show what the frames carry


class _RelayConnection(ClientConnection):
    """Remembers what broke it: a TLS alert during the WebSocket handshake is lost otherwise."""

    broken_by: Exception | None = None
    _up = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._up = True

    def connection_lost(self, exc: Exception | None) -> None:
        self.broken_by = exc
        super().connection_lost(exc)

    def drop(self) -> None:
        """Let go of the socket at once, however far the connection came."""
        if self._up:
            self.transport.abort()


@contextlib.asynccontextmanager
async def relay_connection(
    config: UplinkConfig, tls: ssl.SSLContext
) -> AsyncIterator[ClientConnection]:
    """A connection that speaks the device protocol, closed on leaving.

    Raises:
        LinkError: it could not be made, was refused, or broke inside the ``async with``.
    """
    made: list[_RelayConnection] = []
    try:
        async with _connect(config, tls, made) as websocket:
            if websocket.subprotocol != SUBPROTOCOL:
                raise LinkError("the server is no relay of ours", code="subprotocol")
            _keep_send_buffer_small(websocket)
            yield websocket
    except (ConnectionClosed, InvalidHandshake, OSError, TimeoutError) as error:
        raise _explain(error, made[-1].broken_by if made else None) from None
    finally:
        for connection in made:
            connection.drop()
        await asyncio.sleep(0)  # lets the loop close what was dropped, also when cancelled


def _connect(config: UplinkConfig, tls: ssl.SSLContext, made: list[_RelayConnection]) -> connect:
    def make(*arguments: Any, **options: Any) -> _RelayConnection:  # noqa: ANN401 - passed on
        made.append(_RelayConnection(*arguments, **options))
        return made[-1]

    return connect(
        config.url,
        create_connection=make,  # type: ignore[arg-type]  # it may be any callable
        ssl=tls,
        server_hostname=config.server_name,
        subprotocols=[SUBPROTOCOL],  # type: ignore[list-item]  # a NewType of str
        compression=None,
        proxy=None,
        max_size=MAX_MESSAGE_BYTES,
        open_timeout=config.connect_s,
        ping_interval=config.heartbeat_s,
        ping_timeout=config.heartbeat_s,
        close_timeout=config.heartbeat_s,
        user_agent_header=None,
        logger=_frames_log,
    )


def _keep_send_buffer_small(websocket: ClientConnection) -> None:
    handle = websocket.transport.get_extra_info("socket")
    with contextlib.suppress(OSError):
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        handle.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _explain(error: Exception, broken_by: Exception | None) -> LinkError:
    for cause in (error, error.__cause__, broken_by):
        if isinstance(cause, ssl.SSLError):
            return _explain_tls(cause)
    if isinstance(error, ConnectionClosed):
        if error.rcvd is None:
            return LinkError("the connection broke", code="broken")
        said = f"{error.rcvd.code} {error.rcvd.reason}".strip()
        return LinkError(f"the relay ended the connection: {said}", code="closed")
    if isinstance(error, InvalidHandshake):
        return LinkError(f"no WebSocket at the relay: {error}", code="handshake")
    reason = getattr(error, "strerror", None) or type(error).__name__
    return LinkError(f"the relay cannot be reached: {reason}", code="unreachable")


def _explain_tls(error: ssl.SSLError) -> LinkError:
    """Why TLS failed, and on which side the cause lies."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return LinkError(
            f"the relay's certificate is refused: {error.verify_message}",
            "check the relay's certificate, uplink.relay_ca and this unit's clock",
            code="relay-certificate",
        )
    reason = (error.reason or "failed").replace("_", " ").lower()
    if "alert" in reason:
        return LinkError(
            f"the relay refuses this unit: {reason}",
            "check that this unit's certificate is current and not revoked",
            code="certificate-refused",
        )
    return LinkError(f"TLS: {reason}", code="tls")

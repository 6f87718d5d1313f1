"""The listener: TLS first, then WebSocket, then a session."""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast
from weakref import WeakSet

from cryptography import x509
from websockets.asyncio.server import Server, ServerConnection, serve

from bayscribe.errors import BadUse, LinkError
from bayscribe.wire.identity import device_name
from bayscribe.wire.messages import CLOSE_IDENTITY, MAX_MESSAGE_BYTES, SUBPROTOCOL
from bayscribe_relay.config import RelayConfig, opening_keys
from bayscribe_relay.ingest.hub import Hub
from bayscribe_relay.ingest.session import Session
from bayscribe_relay.notify import notify
from bayscribe_relay.pki.tls import ALERTS_TO, Revocations, claimed_by, server_context
from bayscribe_relay.store.store import Store

STUCK_S = 30.0
"""A transaction that takes longer than this is a fault: the watchdog is not fed."""

log = logging.getLogger("bayscribe.relay.ingest")
_frames_log = logging.getLogger("bayscribe.relay.websockets")
_frames_log.setLevel(logging.WARNING)  # its debug output would show what the frames carry


class Arrivals:
    """Every TCP connection, so that none outlives the listener, however far its opening is."""

    def __init__(self) -> None:
        self._transports: WeakSet[asyncio.Transport] = WeakSet()
        self._ended = False

    def add(self, plain: asyncio.Transport) -> bool:
        """Keep a connection in sight; False, and it is gone, when the listener has ended."""
        self._transports.add(plain)
        if self._ended:
            plain.abort()
        return not self._ended

    def end(self) -> None:
        """Reset what is still open and whatever comes yet."""
        self._ended = True
        for plain in self._transports:
            plain.abort()


class DeviceConnection(ServerConnection):
    """A WebSocket that begins with the TLS handshake and logs who was refused in it.

    asyncio drops a failed handshake without a word; here it is done in the open.
    """

    tls: ssl.SSLContext
    handshake_s: float
    arrivals: Arrivals
    _admitted = False
    _admission: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A TCP connection is there."""
        plain = cast("asyncio.Transport", transport)
        if self.arrivals.add(plain):
            plain.pause_reading()
            self._admission = self.loop.create_task(self._admit(plain))

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has gone, perhaps before it was admitted."""
        if self._admitted:
            super().connection_lost(exc)

    async def _admit(self, plain: asyncio.Transport) -> None:
        peer = (plain.get_extra_info("peername") or ("unknown",))[0]
        ALERTS_TO.set(plain.write)
        try:
            secure = await self.loop.start_tls(
                plain, self, self.tls, server_side=True, ssl_handshake_timeout=self.handshake_s
            )
        except ssl.SSLError as error:
            reason = getattr(error, "verify_message", "") or error.reason or "handshake failed"
            why = str(reason).replace("_", " ").lower()
            log.warning("refused %s at %s: %s", claimed_by(error), peer, why)
            plain.abort()
        except (OSError, TimeoutError) as error:
            log.info("no handshake with %s: %s", peer, type(error).__name__)
            plain.abort()
        else:
            if secure is None or secure.is_closing():
                return
            self._admitted = True
            super().connection_made(secure)


class IngestServer:
    """The relay's ingest side as one object."""

    def __init__(self, config: RelayConfig) -> None:
        self._config = config
        tls = config.tls
        crl = Path(tls.crl) if tls.crl is not None else None
        opening = opening_keys(config)
        self._tls_files = (Path(tls.certificate), Path(tls.key))
        self._context = server_context(*self._tls_files, Path(tls.device_ca), crl)
        revocations = Revocations(crl, self._context)
        self.store = Store(config.store.url)
        self.hub = Hub(self.store, opening, revocations, config.ingest)
        self.port = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator["IngestServer"]:
        """Listen inside the ``async with``; on leaving, make all that was taken durable."""
        ingest = self._config.ingest
        arrivals = Arrivals()
        factory = type(
            "BoundConnection",
            (DeviceConnection,),
            {"tls": self._context, "handshake_s": ingest.handshake_s, "arrivals": arrivals},
        )
        try:
            async with serve(
                self._handle,
                self._config.listen.host,
                self._config.listen.port,
                create_connection=factory,
                subprotocols=[SUBPROTOCOL],  # type: ignore[list-item]  # a NewType of str
                compression=None,
                max_size=MAX_MESSAGE_BYTES,
                open_timeout=ingest.handshake_s,
                ping_interval=ingest.heartbeat_s,
                ping_timeout=ingest.heartbeat_s,
                close_timeout=ingest.heartbeat_s,
                server_header=None,
                logger=_frames_log,
            ) as server:
                self.port = _port(server)
                keeper = asyncio.create_task(self._keep_house())
                log.info("listening on port %d", self.port)
                try:
                    yield self
                finally:
                    keeper.cancel()
        finally:
            arrivals.end()
            await asyncio.sleep(0)  # what was reset is closed in the loop's next round
            self.hub.close()
            self.store.close()

    def reload(self) -> None:
        """Take up a renewed server certificate and the revocation list, for new connections."""
        try:
            self._context.load_cert_chain(*self._tls_files)
            self.hub.revocations.refresh()
        except (OSError, ssl.SSLError, BadUse) as error:
            log.error("reload failed, the old files stay: %s", error)  # noqa: TRY400 - one line
        else:
            log.info("certificate and revocations read again")

    async def _handle(self, websocket: ServerConnection) -> None:
        try:
            device, certificate = self._identify(websocket)
        except LinkError as error:
            log.warning("refused at %s: %s", websocket.remote_address[0], error)
            await websocket.close(CLOSE_IDENTITY, str(error)[:100])
            return
        if websocket.subprotocol != SUBPROTOCOL:
            log.warning("%s does not speak %s", device, SUBPROTOCOL)
            await websocket.close(1002, "subprotocol")
            return
        await Session(websocket, device, certificate, self.hub).run()

    def _identify(self, websocket: ServerConnection) -> tuple[str, x509.Certificate]:
        tls = websocket.transport.get_extra_info("ssl_object")
        der = tls.getpeercert(binary_form=True)
        if der is None:
            raise LinkError("no certificate", code="identity")
        certificate = x509.load_der_x509_certificate(der)
        device = device_name(certificate)
        if not self.hub.revocations.still_good(certificate):
            raise LinkError(f"the certificate of {device} is revoked or expired", code="identity")
        return device, certificate

    async def _keep_house(self) -> None:
        """Revocations for those already connected, and the watchdog."""
        while True:
            try:
                self.hub.revocations.refresh()
            except BadUse as error:
                log.error("revocations not read, the old list stays: %s", error)  # noqa: TRY400
            for session in list(self.hub.connected.values()):
                if isinstance(session, Session) and not self.hub.revocations.still_good(
                    session.certificate
                ):
                    log.warning("%s ended: its certificate is revoked or expired", session.device)
                    session.stop(CLOSE_IDENTITY, "certificate revoked or expired")
            if self.hub.committer.stuck_for() < STUCK_S:
                notify("WATCHDOG=1")
            await asyncio.sleep(self._config.ingest.housekeeping_s)


def _port(server: Server) -> int:
    return int(next(iter(server.sockets)).getsockname()[1])

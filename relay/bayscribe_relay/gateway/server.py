"""The gateway's server of ``bayscribe.commit.v1``: relays only, TLS 1.3, both certified."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from http import HTTPStatus
from pathlib import Path
from typing import Final

import websockets
from cryptography import x509
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from bayscribe.errors import LinkError, StorageError
from bayscribe_relay.gateway.alerts import Alerts
from bayscribe_relay.gateway.config import GatewayConfig
from bayscribe_relay.gateway.courier import Courier, Listener
from bayscribe_relay.gateway.journal import Journal
from bayscribe_relay.gateway.site import Site
from bayscribe_relay.pki.authority import RELAY_URI
from bayscribe_relay.pki.tls import server_context
from bayscribe_relay.writeback import protocol
from bayscribe_relay.writeback.protocol import Commit, ToRelay

log = logging.getLogger("bayscribe.gateway")

BACKLOG_MAX: Final = 10_000
"""Answers waiting for a relay that does not read; more and its connection is dropped."""
CLOSE_MALFORMED: Final = 4400
CLOSE_STORAGE: Final = 4500


def relay_name(link: ServerConnection) -> str | None:
    """The relay that a connection's certificate names; None if it is no relay's."""
    tls = link.transport.get_extra_info("ssl_object")
    der = tls.getpeercert(binary_form=True) if tls is not None else None
    if not der:
        return None
    certificate = x509.load_der_x509_certificate(der)
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return None
    for uri in names.get_values_for_type(x509.UniformResourceIdentifier):
        if uri.startswith(RELAY_URI):
            return uri.removeprefix(RELAY_URI)
    return None


class Gateway:
    """A running gateway.

    Args:
        config: the whole file.
    """

    def __init__(self, config: GatewayConfig) -> None:
        self._config = config
        tls = config.tls
        self._tls = server_context(
            Path(tls.certificate), Path(tls.key), Path(tls.relay_ca),
            Path(tls.crl) if tls.crl else None,
        )  # fmt: skip
        self._server: Server | None = None

    @property
    def port(self) -> int:
        """The port that it listens on."""
        if self._server is None:
            return self._config.listen.port
        return int(next(iter(self._server.sockets)).getsockname()[1])

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Gateway"]:
        """Go on with what was under way, listen, and at the end let go of everything."""
        journal = Journal(self._config.journal.url)
        sites = {name: Site(name, site) for name, site in self._config.sites.items()}
        courier = Courier(journal, sites, Alerts(self._config.alerts))
        try:
            resumed = courier.resume()
            async with serve(
                lambda link: self._speak(link, courier),
                self._config.listen.host,
                self._config.listen.port,
                ssl=self._tls,
                subprotocols=[Subprotocol(protocol.SUBPROTOCOL)],
                process_request=_admit,
                max_size=protocol.MESSAGE_MAX,
                compression=None,
                ping_interval=protocol.HEARTBEAT_S,
                ping_timeout=protocol.HEARTBEAT_S,
                close_timeout=1.0,
                server_header=None,
                logger=protocol.quiet_logger(),
            ) as server:
                self._server = server
                log.info("listening", extra={"port": self.port, "resumed": resumed})
                yield self
        finally:
            await courier.close()
            for site in sites.values():
                await site.close()
            journal.close()

    async def _speak(self, link: ServerConnection, courier: Courier) -> None:
        if link.subprotocol != protocol.SUBPROTOCOL:
            await link.close(1002, "subprotocol")
            return
        answers: asyncio.Queue[ToRelay] = asyncio.Queue(BACKLOG_MAX)

        def listener(message: ToRelay) -> None:
            try:
                answers.put_nowait(message)
            except asyncio.QueueFull:
                link.transport.abort()

        taking: set[asyncio.Task[None]] = set()
        telling = asyncio.create_task(_tell(link, answers))
        log.info("relay linked", extra={"relay": relay_name(link)})
        try:
            async for text in link:
                message = protocol.decode_to_gateway(text)
                if isinstance(message, Commit):
                    # Not awaited here: commits that arrive together share one flush.
                    task = asyncio.create_task(_take(link, courier, message, listener))
                    taking.add(task)
                    task.add_done_callback(taking.discard)
                elif message is not None:
                    courier.query(message.key, listener)
        except websockets.ConnectionClosed:
            log.info("relay gone", extra={"relay": relay_name(link)})
        except LinkError:
            await link.close(CLOSE_MALFORMED, "malformed message")
        except StorageError as error:
            log.error("journal failed", extra={"code": error.code})  # noqa: TRY400 - one line; the code says it
            await link.close(CLOSE_STORAGE, "storage")
        finally:
            courier.forget(listener)
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)


async def _take(
    link: ServerConnection, courier: Courier, message: Commit, listener: Listener
) -> None:
    try:
        await courier.commit(message, listener)
    except StorageError as error:
        log.error("journal failed", extra={"code": error.code})  # noqa: TRY400 - one line; the code says it
        await link.close(CLOSE_STORAGE, "storage")


async def _tell(link: ServerConnection, answers: "asyncio.Queue[ToRelay]") -> None:
    with contextlib.suppress(websockets.ConnectionClosed):
        while True:
            await link.send(protocol.encode(await answers.get()))


def _admit(link: ServerConnection, _request: Request) -> Response | None:
    """Only relays: a device's certificate, though of the same authority, writes no notes."""
    if relay_name(link) is None:
        log.warning("refused: the certificate names no relay")
        return link.respond(HTTPStatus.FORBIDDEN, "not a relay\n")
    return None

"""The endpoint for FHIR notifications: authenticate, keep durably, answer 200.

``POST PATH`` takes a notification Bundle or an empty rest-hook; ``PUT PATH/Type/id`` an R4
rest-hook's payload. Nothing is read from the EMR here; that is the fetcher's.
"""

import asyncio
import contextlib
import hmac
import logging
import time
from collections.abc import AsyncIterator

from aiohttp import web

from bayscribe.errors import StorageError
from bayscribe_relay.emr_feed.config import FhirConfig
from bayscribe_relay.emr_feed.fhir_client import token
from bayscribe_relay.emr_feed.fhir_notice import BadNotice, Notice, notice
from bayscribe_relay.emr_feed.inbox import Inbox, Receipt, identity
from bayscribe_relay.emr_feed.listener import server_context

log = logging.getLogger("bayscribe.feed")


class FhirEndpoint:
    """The aiohttp application, and its server where it has a port of its own.

    Attributes:
        counters: since start.
        port: bound port while running.
    """

    def __init__(self, config: FhirConfig, inbox: Inbox) -> None:
        self._config = config
        self._inbox = inbox
        self._token = token(config.bearer_file) if config.bearer_file is not None else None
        self.counters = {"taken": 0, "duplicates": 0, "refused": 0, "unauthorised": 0}
        self.port = 0

    def application(self) -> web.Application:
        """The application, to be mounted or served."""
        application = web.Application(client_max_size=self._config.body_max)
        path = "/" + self._config.path.strip("/")
        application.router.add_post(path, self._take)
        application.router.add_put(path + "/{type}/{id}", self._take)
        return application

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["FhirEndpoint"]:
        """Serve until the end of the block.

        Raises:
            ConfigError: TLS files cannot be used.
            OSError: the port cannot be bound.
        """
        config = self._config
        tls = server_context(config.tls, "feed.fhir.tls") if config.tls is not None else None
        runner = web.AppRunner(self.application(), access_log=None)
        await runner.setup()
        try:
            site = web.TCPSite(runner, config.host, config.port, ssl_context=tls)
            await site.start()
            self.port = runner.addresses[0][1]
            yield self
        finally:
            await runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        if not self._known(request):
            self.counters["unauthorised"] += 1
            return _outcome(401, "login", "the bearer token is missing or wrong")
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            self.counters["refused"] += 1
            return _outcome(413, "too-long", "the notification is larger than is taken here")
        try:
            told = notice(body)
        except BadNotice as error:
            self.counters["refused"] += 1
            return _outcome(400, "invalid", str(error))
        try:
            kept = self._inbox.submit([_receipt(told, body)])
            (new,) = await asyncio.wrap_future(kept)
        except StorageError as error:
            log.error("notification not taken: %s", error.line())  # noqa: TRY400 - one line
            return _outcome(503, "transient", "it could not be kept")
        self.counters["taken" if new else "duplicates"] += 1
        return web.Response(status=200)

    def _known(self, request: web.Request) -> bool:
        if self._token is None:
            return True  # mutual TLS has let it in: FhirConfig.beside demands one of the two
        given = request.headers.get("Authorization", "")
        return hmac.compare_digest(given.encode(), f"Bearer {self._token}".encode())


def _receipt(told: Notice, body: bytes) -> Receipt:
    now = time.time_ns()
    # What carries no content of its own is never a repetition of another.
    nonce = "" if told.resources or told.numbers else str(now)
    return Receipt(
        source="notice",
        type=told.type,
        control_id=told.subscription or "rest-hook",
        stamp_key=identity("notice", nonce, body),
        body_key=identity("notice-body", nonce, body),
        received_ns=now,
        body=body,
    )


def _outcome(status: int, code: str, text: str) -> web.Response:
    issue = {"severity": "error", "code": code, "diagnostics": text}
    body = {"resourceType": "OperationOutcome", "issue": [issue]}
    return web.json_response(body, status=status, content_type="application/fhir+json")

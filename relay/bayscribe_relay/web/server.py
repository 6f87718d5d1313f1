"""The HTTPS server of the pages."""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from aiohttp import web

from bayscribe.errors import BadUse, ConfigError
from bayscribe_relay.pki import files
from bayscribe_relay.web import (
    actions,
    addenda,
    board,
    entry,
    guard,
    letters,
    packages,
    playing,
    signature,
    stay,
    whereabouts,
)
from bayscribe_relay.web.audio import Playback
from bayscribe_relay.web.config import WebConfig
from bayscribe_relay.web.kept import KeptWords
from bayscribe_relay.web.live import Live
from bayscribe_relay.web.oidc import OpenIdProvider
from bayscribe_relay.web.parts import Parts
from bayscribe_relay.web.people import PasswordFile
from bayscribe_relay.web.rendering import FOLDER, Templates
from bayscribe_relay.web.sessions import Sessions
from bayscribe_relay.web.site import SITE, Site, public

log = logging.getLogger("bayscribe.web")

REQUEST_MAX: Final = 256 * 1024
"""Bytes of a form."""

HASHES_AT_ONCE: Final = 2
"""Argon2id takes 19 MiB and a tenth of a second: a flood of logins must not take the relay."""

_SHUTDOWN_S: Final = 2.0
_PARTS: Final = (
    entry,
    board,
    stay,
    playing,
    actions,
    whereabouts,
    signature,
    addenda,
    letters,
    packages,
)


class Web:
    """The pages, running. Use :meth:`running`.

    Attributes:
        port: that is listened on.
    """

    def __init__(self, site: Site, port: int) -> None:
        self.site = site
        self.port = port

    @classmethod
    @contextlib.asynccontextmanager
    async def running(cls, config: WebConfig, parts: Parts) -> AsyncIterator["Web"]:
        """Serve until the end of the block.

        Args:
            config: the ``[web]`` table, paths absolute.
            parts: the rest of the relay.

        Raises:
            ConfigError: nobody could log in, or a file or the time zone cannot be taken.
            BadUse: certificate and key do not fit together.
            OSError: the port cannot be listened on.
        """
        tls = _tls(config)
        site = _site(config, parts)
        runner = web.AppRunner(
            application(site), access_log=None, shutdown_timeout=_SHUTDOWN_S, handle_signals=False
        )
        async with site.live.running():
            await runner.setup()
            try:
                listener = web.TCPSite(runner, config.host, config.port, ssl_context=tls)
                await listener.start()
                port = int(runner.addresses[0][1])
                log.info("pages on port %d", port)
                yield cls(site, port)
            finally:
                await runner.cleanup()


def application(site: Site) -> web.Application:
    """The aiohttp application of a site."""
    app = web.Application(
        client_max_size=REQUEST_MAX,
        middlewares=[
            guard.tell_errors,
            guard.check_host,
            guard.check_person,
            guard.check_intent,
        ],
    )
    app[SITE] = site
    app.on_response_prepare.append(guard.put_headers)
    app.on_shutdown.append(_end_streams)
    for part in _PARTS:
        app.add_routes(part.ROUTES)
    app.router.add_get(r"/static/{name:[a-z]+\.(?:css|js|svg)}", static)
    if site.parts.fleet is not None:
        app.add_subapp("/fleet", site.parts.fleet)
    return app


async def _end_streams(app: web.Application) -> None:
    app[SITE].live.end()


@public
async def static(request: web.Request) -> web.StreamResponse:
    """``GET /static/NAME``: style sheet, script, icon."""
    path = FOLDER / "static" / request.match_info["name"]
    if not path.is_file():
        raise web.HTTPNotFound(text="There is no such file.")
    return web.FileResponse(path, headers={"Cache-Control": "private, max-age=60"})


def _site(config: WebConfig, parts: Parts) -> Site:
    if config.users is None and config.oidc is None:
        raise ConfigError("web: nobody could log in", "name a users file, or an [web.oidc] table")
    return Site(
        config=config,
        parts=parts,
        sessions=Sessions(parts.clinical.engine, config),
        kept=KeptWords(parts.clinical.engine),
        users=PasswordFile(Path(config.users)) if config.users is not None else None,
        oidc=OpenIdProvider(config.oidc, config.url) if config.oidc is not None else None,
        templates=Templates(config.site, config.timezone),
        live=Live(parts.clinical, parts.outbox),
        playback=Playback(parts.store, parts.keys),
        hashing=asyncio.Semaphore(HASHES_AT_ONCE),
    )


def _tls(config: WebConfig) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    for name in (config.certificate, config.key):
        files.read(Path(name))
    try:
        context.load_cert_chain(config.certificate, config.key)
    except ssl.SSLError as error:
        raise BadUse(
            f"web.certificate and web.key do not fit together: {error.reason or error}",
            "make them with `bayscribe-relay pki`, or ask the site's authority",
            code="tls",
        ) from None
    return context

"""The reviewer's page: a stay's chain-of-custody package."""

import asyncio
from typing import Final

from aiohttp import web

from bayscribe_relay.web.site import allowed, session_of, site_of
from bayscribe_relay.web.stay import stay_of


@allowed("reviewer")
async def package(request: web.Request) -> web.StreamResponse:
    """``POST /stays/STAY/custody``: make the package and hand it over."""
    site, stay = site_of(request), stay_of(request)
    custody = site.parts.custody
    if custody is None:
        raise web.HTTPNotFound(text="This relay makes no packages.")
    _, body = await asyncio.to_thread(custody.package, stay.id)
    await site.audit(session_of(request).person.actor, "custody-exported", stay.id)
    return web.Response(
        body=body,
        content_type="application/octet-stream",
        headers={"Content-Disposition": f'attachment; filename="{stay.id}.bayscribe"'},
    )


ROUTES: Final = [web.post(r"/stays/{stay:[0-9a-f]{32}}/custody", package)]

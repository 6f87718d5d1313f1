"""The reviewer's page: a stay's chain-of-custody package."""

import asyncio
import tempfile
from pathlib import Path
from typing import Final

from aiohttp import web

from bayscribe_relay.web.site import allowed, session_of, site_of
from bayscribe_relay.web.stay import stay_of


@allowed("reviewer")
async def package(request: web.Request) -> web.StreamResponse:
    """``POST /stays/STAY/custody``: make the package and hand it over."""
    site, stay = site_of(request), stay_of(request)
    make = site.parts.custody
    if make is None:
        raise web.HTTPNotFound(text="This relay makes no packages.")
    with tempfile.TemporaryDirectory(prefix="bayscribe-custody-") as folder:
        out = Path(folder) / "package"
        await asyncio.to_thread(make, stay.id, out)
        await site.audit(session_of(request).person.actor, "custody-exported", stay.id)
        body = await asyncio.to_thread(out.read_bytes)
    return web.Response(
        body=body,
        content_type="application/octet-stream",
        headers={"Content-Disposition": f'attachment; filename="{stay.id}.bayscribe"'},
    )


ROUTES: Final = [web.post(r"/stays/{stay:[0-9a-f]{32}}/custody", package)]

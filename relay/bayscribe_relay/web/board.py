"""The board: all open stays by bay."""

import asyncio
import contextlib
import time
from typing import Final

from aiohttp import web

from bayscribe_relay.web import guard, stream
from bayscribe_relay.web.live import END, Told
from bayscribe_relay.web.site import Site, allowed, session_of, site_of
from bayscribe_relay.web.views import Views, patient

_LETTERS_S: Final = 2.0
"""Between looks at the board when nothing else changes: letters move by themselves."""

_PACE_S: Final = 0.3
"""A board is made anew at most so often, however much happens in the department."""


@allowed()
async def home(request: web.Request) -> web.StreamResponse:
    """``GET /``: the role's first page."""
    operator = session_of(request).person.role == "operator"
    raise web.HTTPSeeOther("/letters" if operator else "/board")


@allowed("clinician", "reviewer")
async def board(request: web.Request) -> web.StreamResponse:
    """``GET /board``."""
    site, session = site_of(request), session_of(request)
    rows = await asyncio.to_thread(_region, site)
    return web.Response(
        text=site.templates.page("board.html", session, region=rows), content_type="text/html"
    )


@allowed("clinician", "reviewer")
async def live(request: web.Request) -> web.StreamResponse:
    """``GET /board/live``: the board again whenever it has changed."""
    site = site_of(request)
    answer = await stream.open_stream(request)
    shown = ""
    told: set[Told] = set()
    with site.live.follow() as follower, contextlib.suppress(ConnectionResetError):
        while END not in told:
            current = guard.find_session(site, request)
            if current is None or current.locked:
                await stream.send(answer, "locked")
                break
            now = await asyncio.to_thread(_region, site)
            if now != shown:
                await stream.send(answer, "region", id="board", html=now)
                shown = now
            else:
                await stream.beat(answer)
            told = await follower.take(_LETTERS_S)
            await asyncio.sleep(_PACE_S)
    return answer


@allowed("clinician")
async def tap(request: web.Request) -> web.StreamResponse:
    """``POST /board/tap``: the clinician begins in a bay that has no stay."""
    site, person, form = site_of(request), session_of(request).person, await request.post()
    bay = " ".join(str(form.get("bay", "")).split())[:64]
    if not bay:
        raise web.HTTPBadRequest(text="Name the bay.")
    stay = await asyncio.to_thread(
        site.parts.desk.tap, bay, time.time_ns(), person.actor, clinician=person.clinician
    )
    raise web.HTTPSeeOther(f"/stays/{stay.id}")


def _region(site: Site) -> str:
    views = Views(site.parts.clinical, site.parts.outbox, site.config.low_confidence)
    opened, closed = views.board()
    return site.templates.part(
        "_board.html",
        opened=opened,
        closed=closed,
        patients={row.stay.id: patient(row.stay) for row in (*opened, *closed)},
    )


ROUTES: Final = [
    web.get("/", home),
    web.get("/board", board),
    web.get("/board/live", live),
    web.post("/board/tap", tap),
]

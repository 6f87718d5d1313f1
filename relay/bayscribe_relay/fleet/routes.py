"""The fleet page and its JSON, as a sub-application to be mounted anywhere.

Rendered on the server; without scripts it refreshes itself. It shows figures and the
checks' words: nothing about a patient.
"""

from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import jinja2
import msgspec
from aiohttp import web

from bayscribe_relay.fleet.model import SEVERITIES, Row
from bayscribe_relay.fleet.subscriber import Fleet

REFRESH_S = 2
FLEET = web.AppKey("fleet", Fleet)

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_environment = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def fleet_routes(fleet: Fleet) -> web.Application:
    """``/`` the page, ``/data.json`` the same as JSON; mount it with ``add_subapp``.

    Who may see it is decided by the application that mounts it.
    """
    application = web.Application()
    application[FLEET] = fleet
    application.add_routes([web.get("/", _page), web.get("/data.json", _data)])
    return application


def summary(rows: list[Row]) -> dict[str, int]:
    """How many units: in all, online, and by severity."""
    worst = Counter(row.severity for row in rows)
    online = sum(row.online for row in rows)
    return {"units": len(rows), "online": online, **{word: worst[word] for word in SEVERITIES}}


def render(rows: list[Row], *, connected: bool) -> str:
    """The page, most urgent bays first within the order of the rooms."""
    urgent = [row for row in rows if row.severity == "alarm" or not row.online]
    return _environment.get_template("fleet.html").render(
        rows=rows,
        urgent=urgent,
        summary=summary(rows),
        connected=connected,
        refresh=REFRESH_S,
        at=datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
    )


async def _page(request: web.Request) -> web.Response:
    fleet = request.app[FLEET]
    text = render(fleet.rows(), connected=fleet.connected.is_set())
    return web.Response(text=text, content_type="text/html", headers=_HEADERS)


async def _data(request: web.Request) -> web.Response:
    fleet = request.app[FLEET]
    rows = fleet.rows()
    body = {
        "connected": fleet.connected.is_set(),
        "summary": summary(rows),
        "units": [
            asdict(row) | {"problems": [msgspec.to_builtins(one) for one in row.problems]}
            for row in rows
        ],
    }
    return web.Response(
        body=msgspec.json.encode(body), content_type="application/json", headers=_HEADERS
    )

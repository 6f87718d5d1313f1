"""Play-back of a turn: authorised, audited, as WAV."""

import asyncio
from typing import Final

from aiohttp import web

from bayscribe.errors import BadUse
from bayscribe_relay.web.site import allowed, session_of, site_of
from bayscribe_relay.web.stay import stay_of

_HEADER_BYTES: Final = 44


@allowed("clinician", "reviewer")
async def audio(request: web.Request) -> web.StreamResponse:
    """``GET /stays/STAY/audio/RECORDING/TURN``: exactly what was said, in ranges if asked."""
    site, session, stay = site_of(request), session_of(request), stay_of(request)
    ident = f"{request.match_info['recording']}/{request.match_info['turn']}"
    utterance = await asyncio.to_thread(site.parts.clinical.utterance, ident)
    if utterance is None or utterance.stay != stay.id or utterance.withdrawn:
        raise web.HTTPNotFound(text="There is no such turn in this stay.")
    try:
        start, end = (
            float(request.query[name]) if name in request.query else None
            for name in ("start", "end")
        )
        wav = await asyncio.to_thread(site.playback.wav, utterance, start, end)
    except ValueError:
        raise web.HTTPBadRequest(text="This is no stretch of what was said.") from None
    except BadUse as error:
        if error.code == "deleted":
            raise web.HTTPGone(text=f"{str(error).capitalize()}.") from None
        raise
    try:
        asked = request.http_range
    except ValueError:
        raise web.HTTPRequestRangeNotSatisfiable from None
    begin, stop, _ = asked.indices(len(wav))
    if begin >= stop:
        raise web.HTTPRequestRangeNotSatisfiable(headers={"Content-Range": f"bytes */{len(wav)}"})
    if begin < _HEADER_BYTES:
        await site.audit(session.person.actor, "audio-played", stay.id, ident)
    headers = {"Accept-Ranges": "bytes"}
    if "Range" in request.headers:
        headers["Content-Range"] = f"bytes {begin}-{stop - 1}/{len(wav)}"
    return web.Response(
        body=wav[begin:stop],
        status=206 if "Range" in request.headers else 200,
        content_type="audio/wav",
        headers=headers,
    )


_TURN: Final = r"{recording:[0-9A-Za-z._-]{1,64}}/{turn:[0-9.]{1,24}}"
ROUTES: Final = [web.get(rf"/stays/{{stay:[0-9a-f]{{32}}}}/audio/{_TURN}", audio)]

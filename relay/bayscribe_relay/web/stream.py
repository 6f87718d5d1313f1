"""Server-Sent Events (WHATWG HTML, section 9.2): one line of JSON for each piece that changed."""

import json
from typing import Final

from aiohttp import web

BEAT_S: Final = 5.0
"""Between looks at the session of an open stream; also keeps proxies from ending it."""


async def open_stream(request: web.Request) -> web.StreamResponse:
    """Begin a stream."""
    answer = web.StreamResponse(
        headers={"Content-Type": "text/event-stream; charset=utf-8", "X-Accel-Buffering": "no"}
    )
    await answer.prepare(request)
    await answer.write(b"retry: 1000\n\n")
    return answer


async def send(answer: web.StreamResponse, event: str, **data: object) -> None:
    """One event."""
    await answer.write(f"event: {event}\ndata: {json.dumps(data)}\n\n".encode())


async def beat(answer: web.StreamResponse) -> None:
    """A comment, so that both sides see that the other is there."""
    await answer.write(b": beat\n\n")

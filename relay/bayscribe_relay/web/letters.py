"""The operator's page: signed notes that are not in the chart, why, and sending them again.

It shows no note's content: what an operator needs to act on is in the reasons.
"""

import asyncio
import time
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from bayscribe_relay.web.site import Site, allowed, session_of, site_of
from bayscribe_relay.writeback.outbox import Letter, Outbox
from bayscribe_relay.writeback.sender import PROMISE_S
from bayscribe_relay.writeback.service import answer
from bayscribe_relay.writeback.states import DEAD_LETTER_QUEUE, OPEN, Event, State, after

_WORDS: Final = {
    State.QUEUED: "waits for the gateway",
    State.ACCEPTED: "the gateway is writing it",
    State.PARKED: "dead-letter queue, tried again by itself",
    State.DEAD: "dead-letter queue, waits for you",
    State.REJECTED: "refused for good, waits for you",
    State.VERIFIED: "in the chart, read back",
}
_MOST_VERIFIED: Final = 50


@dataclass(frozen=True, slots=True)
class ShownLetter:
    """A letter as the page lists it.

    Attributes:
        letter: as stored.
        words: its state.
        colour: of its state.
        age_s: from signature to verified, or until now.
        late: the promise of thirty seconds is broken.
        may_replay: sending it again is possible.
    """

    letter: Letter
    words: str
    colour: str
    age_s: float
    late: bool
    may_replay: bool


def shown_letter(letter: Letter, now_ns: int) -> ShownLetter:
    """A letter as the page lists it."""
    verified = letter.state is State.VERIFIED
    ended = letter.settled_ns if verified and letter.settled_ns else now_ns
    age = (ended - letter.received_ns) / 1e9
    colour = "green" if verified else "amber" if letter.state in OPEN else "red"
    may = after(letter.state, Event.REPLAY) is not None
    return ShownLetter(letter, _WORDS[letter.state], colour, age, age > PROMISE_S, may)


def _outbox(site: Site) -> Outbox:
    if site.parts.outbox is None:
        raise web.HTTPNotFound(text="This relay writes nothing back.")
    return site.parts.outbox


@allowed("operator")
async def page(request: web.Request) -> web.StreamResponse:
    """``GET /letters``."""
    site = site_of(request)
    outbox = _outbox(site)

    def read() -> tuple[list[ShownLetter], ...]:
        now = time.time_ns()
        waiting = [shown_letter(x, now) for x in outbox.letters(DEAD_LETTER_QUEUE)]
        under_way = [x for x in outbox.letters(OPEN) if x.state is not State.PARKED]
        verified = outbox.letters((State.VERIFIED,))[-_MOST_VERIFIED:]
        return (
            waiting,
            [shown_letter(x, now) for x in under_way],
            [shown_letter(x, now) for x in reversed(verified)],
        )

    waiting, under_way, verified = await asyncio.to_thread(read)
    text = site.templates.page(
        "letters.html",
        session_of(request),
        groups=(
            ("Not in the chart", waiting, "Every signed note is in the chart or on its way."),
            ("On their way", under_way, "None."),
            ("In the chart, latest first", verified, "None yet."),
        ),
        waiting=sum(x.may_replay for x in waiting),
        promise=PROMISE_S,
    )
    return web.Response(text=text, content_type="text/html")


@allowed("operator")
async def one(request: web.Request) -> web.StreamResponse:
    """``GET /letters/KEY``: where it stands, and all that happened to it."""
    site, key = site_of(request), request.match_info["key"]
    outbox = _outbox(site)
    letter = await asyncio.to_thread(outbox.get, key)
    if letter is None:
        raise web.HTTPNotFound(text="There is no such letter.")
    events = await asyncio.to_thread(outbox.events, key)
    await site.audit(session_of(request).person.actor, "letter-viewed", detail=key)
    text = site.templates.page(
        "letter.html",
        session_of(request),
        shown=shown_letter(letter, time.time_ns()),
        events=events,
        answer=answer(letter),
        promise=PROMISE_S,
    )
    return web.Response(text=text, content_type="text/html")


@allowed("operator")
async def replay(request: web.Request) -> web.StreamResponse:
    """``POST /letters/replay``: send letters again, under their own keys."""
    site, form = site_of(request), await request.post()
    outbox = _outbox(site)
    keys = [str(key) for key in form.getall("key", [])]
    if form.get("all") == "yes":
        keys = [letter.key for letter in await asyncio.to_thread(outbox.letters)]
    known = [key for key in keys if await asyncio.to_thread(outbox.get, key) is not None]
    replayed = await outbox.replay(known)
    actor = session_of(request).person.actor
    for letter in replayed:
        await site.audit(actor, "letter-replayed", detail=letter.key)
    raise web.HTTPSeeOther(f"/letters/{known[0]}" if len(known) == 1 else "/letters")


ROUTES: Final = [
    web.get("/letters", page),
    web.post("/letters/replay", replay),
    web.get(r"/letters/{key:[0-9a-f-]{36}}", one),
]

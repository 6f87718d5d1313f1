"""A stay's page: transcript, prompts, draft, badge; and the stream that keeps it new."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

from aiohttp import web

from bayscribe_relay.clinical.speech import Utterance
from bayscribe_relay.clinical.stays import Stay
from bayscribe_relay.clinical.store import ClinicalStore
from bayscribe_relay.web import guard, stream
from bayscribe_relay.web.live import END, Told
from bayscribe_relay.web.sessions import Session
from bayscribe_relay.web.site import Site, allowed, session_of, site_of
from bayscribe_relay.web.views import Views, anchor, patient

_OVERLAP_NS: Final = 30 * 10**9
"""A change may be committed after one with a higher number: a new stream looks back so far."""

_MOST_BACK: Final = 2_000


def views_of(site: Site) -> Views:
    """The views of a site."""
    return Views(site.parts.clinical, site.parts.outbox, site.config.low_confidence)


def stay_of(request: web.Request) -> Stay:
    """The stay of a request's path.

    Raises:
        HTTPNotFound: there is none.
    """
    stay = site_of(request).parts.clinical.stay(request.match_info["stay"])
    if stay is None:
        raise web.HTTPNotFound(text="There is no such stay.")
    return stay


class Pieces:
    """Renders the pieces of one stay's page for one session.

    Args:
        site: ours.
        session: whose page it is.
        stay: its id.
    """

    def __init__(self, site: Site, session: Session, stay: str) -> None:
        self._site = site
        self._session = session
        self._stay = stay
        self._views = views_of(site)

    def banner(self, stay: Stay) -> str:
        """Patient, bay, clinician."""
        bound = self._site.parts.clinical.bindings(stay=stay.id)
        return self._part(
            "_banner.html",
            stay=stay,
            patient=patient(stay),
            recording=stay.state == "open" and any(b.until_ns is None for b in bound),
        )

    def badge(self) -> tuple[str, str]:
        """The badge, and the key of the letter that it speaks of."""
        shown, key = self._views.badge(self._stay)
        return self._part("_badge.html", badge=shown), key

    def prompts(self) -> str:
        """Prompts and what became of them."""
        waiting, settled = self._views.prompts(self._stay)
        return self._part("_prompts.html", waiting=waiting, settled=settled)

    def draft(self) -> str:
        """The draft with its controls."""
        return self._part(
            "_draft.html",
            shown=self._views.draft(self._stay),
            signing=self._site.parts.signing is not None,
        )

    def events(self) -> str:
        """The chart's facts."""
        return self._part("_events.html", events=self._views.events(self._stay))

    def transcript(self, stay: Stay) -> str:
        """All that was said."""
        return self._part(
            "_transcript.html",
            utterances=self._views.utterances(stay.id),
            speakers=self._views.speakers(stay),
        )

    def utterance(self, stay: Stay, one: Utterance) -> str:
        """One turn."""
        return self._part(
            "_utterance.html",
            u=self._views.utterance(stay.id, one),
            speakers=self._views.speakers(stay),
        )

    def _part(self, template: str, **values: object) -> str:
        return self._site.templates.part(
            template, session=self._session, stay_id=self._stay, **values
        )


@allowed("clinician", "reviewer")
async def page(request: web.Request) -> web.StreamResponse:
    """``GET /stays/STAY``."""
    site, session, stay = site_of(request), session_of(request), stay_of(request)
    if stay.state == "merged":
        raise web.HTTPSeeOther(f"/stays/{stay.merged_into}")
    await site.audit(session.person.actor, "stay-viewed", stay.id)
    text = await asyncio.to_thread(_page, site, session, stay)
    return web.Response(text=text, content_type="text/html")


def _page(site: Site, session: Session, stay: Stay) -> str:
    after = site.parts.clinical.last_change()
    pieces = Pieces(site, session, stay.id)
    return site.templates.page(
        "stay.html",
        session,
        stay=stay,
        after=after,
        banner=pieces.banner(stay),
        badge=pieces.badge()[0],
        prompts=pieces.prompts(),
        draft=pieces.draft(),
        events=pieces.events(),
        transcript=pieces.transcript(stay),
    )


@allowed("clinician", "reviewer")
async def live(request: web.Request) -> web.StreamResponse:
    """``GET /stays/STAY/live?after=N``: every piece that has changed since change N."""
    site, session, stay = site_of(request), session_of(request), stay_of(request)
    try:
        after = int(request.query.get("after", "0"))
    except ValueError:
        raise web.HTTPBadRequest(text="Load the page again.") from None
    with site.live.follow(stay.id) as follower:
        missed = await asyncio.to_thread(_missed, site.parts.clinical, stay.id, after)
        answer = await stream.open_stream(request)
        told: set[Told] = {*missed, ("prompt", ""), ("draft", ""), ("event", ""), ("stay", "")}
        with contextlib.suppress(ConnectionResetError):
            while END not in told:
                current = guard.find_session(site, request)
                if current is None or current.locked:
                    await stream.send(answer, "locked")
                    break
                if told:
                    pieces = Pieces(site, session, stay.id)
                    news = (pieces, site.parts.clinical, stay.id, told)
                    events, follower.letter = await asyncio.to_thread(_news, *news)
                    for event, data in events:
                        await stream.send(answer, event, **data)
                else:
                    await stream.beat(answer)
                told = await follower.take(stream.BEAT_S)
        return answer


def _missed(clinical: ClinicalStore, stay: str, after: int) -> set[Told]:
    """What changed between the making of a page and its stream."""
    recent = clinical.changes(max(0, after - _MOST_BACK), stay=stay)
    since = recent[-1].at_ns - _OVERLAP_NS if recent else 0
    return {(c.what, c.ref) for c in recent if c.n > after or c.at_ns > since}


Sent = tuple[list[tuple[str, dict[str, object]]], str]


def _news(pieces: Pieces, clinical: ClinicalStore, ident: str, told: set[Told]) -> Sent:
    """The events of a stream for what changed, and the key of the stay's letter."""
    what = {kind for kind, _ in told}
    stay = clinical.stay(ident)
    if stay is None:
        return [], ""
    badge, key = pieces.badge()
    regions: tuple[tuple[str, set[str], Callable[[], str]], ...] = (
        ("banner", {"stay", "binding"}, lambda: pieces.banner(stay)),
        ("transcript-list", {"transcript"}, lambda: pieces.transcript(stay)),
        ("prompts", {"prompt"}, pieces.prompts),
        ("draft", {"draft", "letter"}, pieces.draft),
        ("events", {"event"}, pieces.events),
        ("badge", {"draft", "letter"}, lambda: badge),
    )
    events: list[tuple[str, dict[str, object]]] = [
        ("region", {"id": name, "html": make()})
        for name, kinds, make in regions
        if "all" in what or what & kinds
    ]
    if "all" not in what:
        turns = sorted(ref for kind, ref in told if kind == "utterance")
        events += [("utterance", _utterance(pieces, clinical, stay, ref)) for ref in turns]
    return events, key


def _utterance(pieces: Pieces, clinical: ClinicalStore, stay: Stay, ref: str) -> dict[str, object]:
    one = clinical.utterance(ref)
    if one is None or one.withdrawn or one.stay != stay.id:
        return {"id": anchor(ref), "html": ""}
    return {"id": anchor(ref), "at": one.start_ns // 10**6, "html": pieces.utterance(stay, one)}


ROUTES: Final = [
    web.get(r"/stays/{stay:[0-9a-f]{32}}", page),
    web.get(r"/stays/{stay:[0-9a-f]{32}}/live", live),
]

"""Whose stay it is: tap, hand-over, wrong patient. The rules are the desk's."""

import asyncio
import time
from typing import Final

from aiohttp import web

from bayscribe.errors import BadUse
from bayscribe_relay.clinical.stays import Clinician, Stay
from bayscribe_relay.web.people import Person
from bayscribe_relay.web.site import Site, allowed, session_of, site_of
from bayscribe_relay.web.stay import stay_of, views_of
from bayscribe_relay.web.views import anchor, patient


@allowed("clinician")
async def page(request: web.Request) -> web.StreamResponse:
    """``GET /stays/STAY/corrections``."""
    site, stay = site_of(request), stay_of(request)
    clinical = site.parts.clinical
    others = [s for s in clinical.stays(state="open") if s.id != stay.id]
    spoken = [u for u in clinical.utterances(stay=stay.id) if not u.withdrawn]
    text = site.templates.page(
        "corrections.html",
        session_of(request),
        stay=stay,
        patient=patient(stay),
        others=[(s, patient(s)) for s in others],
        spoken=spoken,
        colleagues=[p for p in _clinicians(site) if p.clinician != stay.clinician],
        events=views_of(site).events(stay.id),
        provisional=not stay.patient.mrn,
    )
    return web.Response(text=text, content_type="text/html")


@allowed("clinician")
async def tap(request: web.Request) -> web.StreamResponse:
    """``POST /stays/STAY/tap``: begin or end recording in the stay's bay; take it over."""
    site, person, stay = site_of(request), session_of(request).person, stay_of(request)
    form = await request.post()
    desk, now, act = site.parts.desk, time.time_ns(), form.get("act")
    if not stay.bay:
        raise BadUse("this stay is in no bay", "wait for its transfer, or tap in the bay")
    if act == "close":
        await asyncio.to_thread(desk.end_tap, stay.bay, now, person.actor, stay.id)
    elif act in ("open", "take-over"):
        whose = person.clinician if act == "take-over" else None
        await asyncio.to_thread(desk.tap, stay.bay, now, person.actor, stay.id, whose)
    else:
        raise web.HTTPBadRequest(text="Open, take over or close.")
    raise web.HTTPSeeOther(f"/stays/{stay.id}")


@allowed("clinician")
async def hand_over(request: web.Request) -> web.StreamResponse:
    """``POST /stays/STAY/hand-over``: to a colleague, from now on."""
    site, person, stay = site_of(request), session_of(request).person, stay_of(request)
    form = await request.post()
    to = _colleague(site, str(form.get("to", "")))
    if not stay.bay:
        raise BadUse("this stay is in no bay", "hand over once the patient is in one")
    await asyncio.to_thread(
        site.parts.desk.tap, stay.bay, time.time_ns(), person.actor, stay.id, to
    )
    raise web.HTTPSeeOther(f"/stays/{stay.id}")


@allowed("clinician")
async def identify(request: web.Request) -> web.StreamResponse:
    """``POST /stays/STAY/identify``: the tapped stay's patient is that of another stay."""
    site, person, stay = site_of(request), session_of(request).person, stay_of(request)
    other = str((await request.post()).get("stay", ""))
    survivor = await asyncio.to_thread(site.parts.desk.identify, stay.id, other, person.actor)
    raise web.HTTPSeeOther(f"/stays/{survivor.id}")


@allowed("clinician")
async def wrong_patient(request: web.Request) -> web.StreamResponse:
    """``POST /stays/STAY/wrong-patient``: turns, and facts, that are another patient's."""
    site, person, stay = site_of(request), session_of(request).person, stay_of(request)
    form = await request.post()
    chosen = {str(value) for value in form.getall("event", [])}
    stretch = (str(form.get("from", "")), str(form.get("until", "")))
    await asyncio.to_thread(_correct, site, person, stay, str(form.get("to", "")), stretch, chosen)
    raise web.HTTPSeeOther(f"/stays/{stay.id}")


def _correct(
    site: Site, person: Person, stay: Stay, to: str, stretch: tuple[str, str], chosen: set[str]
) -> None:
    clinical = site.parts.clinical
    first, last = clinical.utterance(stretch[0]), clinical.utterance(stretch[1])
    if first is None or first.stay != stay.id:
        raise BadUse("choose the first turn that is another patient's", code="turn")
    until = None
    if stretch[1]:
        if last is None or last.stay != stay.id or last.recording != first.recording:
            raise BadUse("choose the last turn in the same recording as the first", code="turn")
        until = last.end_ns
    events = [e for e in clinical.events(stay.id) if anchor(e.id) in chosen]
    nobody = "" if to == "nobody" else to
    site.parts.desk.correct(first.recording, nobody, first.start_ns, until, person.actor, events)


def _clinicians(site: Site) -> list[Person]:
    if site.users is None:
        return []
    return [u.person for u in site.users.users() if not u.disabled and u.person.clinician]


def _colleague(site: Site, name: str) -> Clinician:
    for person in _clinicians(site):
        if person.name == name and person.clinician is not None:
            return person.clinician
    raise BadUse("there is no such clinician here", "choose one of the list", code="clinician")


_STAY: Final = r"/stays/{stay:[0-9a-f]{32}}"
ROUTES: Final = [
    web.get(f"{_STAY}/corrections", page),
    web.post(f"{_STAY}/tap", tap),
    web.post(f"{_STAY}/hand-over", hand_over),
    web.post(f"{_STAY}/identify", identify),
    web.post(f"{_STAY}/wrong-patient", wrong_patient),
]

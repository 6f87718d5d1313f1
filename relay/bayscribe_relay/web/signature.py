"""Sign & Close: first exactly what will be signed, then the signature."""

import asyncio
import time
from typing import Final

from aiohttp import web

from bayscribe.errors import BadUse
from bayscribe_relay.clinical.stays import Clinician, Stay
from bayscribe_relay.web.badge import signed
from bayscribe_relay.web.parts import Addendum, Signing
from bayscribe_relay.web.site import Site, allowed, session_of, site_of
from bayscribe_relay.web.stay import stay_of, views_of
from bayscribe_relay.web.views import patient
from bayscribe_relay.writeback.outbox import Letter
from bayscribe_relay.writeback.states import State


def _signer(site: Site, request: web.Request) -> tuple[Signing, Clinician]:
    """Who signs here, and what does the signing."""
    signing, clinician = site.parts.signing, session_of(request).person.clinician
    if signing is None:
        raise BadUse("this relay writes no notes back", "sign at one that does", code="signing")
    if clinician is None:
        raise BadUse("only a clinician with an NPI signs", code="signing")
    return signing, clinician


def _ready(site: Site, request: web.Request, stay: Stay) -> tuple[Signing, Clinician]:
    signing, clinician = _signer(site, request)
    draft = site.parts.clinical.draft(stay.id)
    if draft is not None and draft.signed_key:
        raise BadUse("this note is signed", "write an addendum", code="signed")
    return signing, clinician


async def _settled(site: Site, stay: Stay) -> None:
    """The chart that the note goes into is known, if somebody here can find it."""
    if site.parts.identity is not None:
        await site.parts.identity.settle(stay.id)


@allowed("clinician")
async def page(request: web.Request) -> web.StreamResponse:
    """``GET /stays/STAY/sign``: the note as it would be signed now."""
    site, stay = site_of(request), stay_of(request)
    signing, clinician = _ready(site, request, stay)
    await _settled(site, stay)
    rendered = await asyncio.to_thread(signing.preview, stay.id, clinician)
    views = views_of(site)
    shown, waiting = views.draft(stay.id), views.prompts(stay.id)[0]
    text = site.templates.page(
        "sign.html",
        session_of(request),
        stay=stay,
        patient=patient(stay),
        note=rendered,
        undecided=shown.undecided if shown else 0,
        waiting=waiting,
        clinician=clinician,
        other=stay.clinician is not None and stay.clinician.npi != clinician.npi,
    )
    return web.Response(text=text, content_type="text/html")


@allowed("clinician")
async def sign(request: web.Request) -> web.StreamResponse:
    """``POST /stays/STAY/sign``: sign exactly what the page showed, and close."""
    site, stay, form = site_of(request), stay_of(request), await request.post()
    person = session_of(request).person
    signing, clinician = _ready(site, request, stay)
    try:
        revision = int(str(form.get("revision", "")))
    except ValueError:
        raise web.HTTPBadRequest(text="Load the page again.") from None
    await _settled(site, stay)
    letter = await signing.sign(stay.id, clinician, revision, str(form.get("sha256", "")))
    await site.audit(person.actor, "signed", stay.id, letter.key)
    if stay.bay and stay.state == "open":
        desk = site.parts.desk
        await asyncio.to_thread(desk.end_tap, stay.bay, time.time_ns(), person.actor, stay.id)
    raise web.HTTPSeeOther(f"/stays/{stay.id}#badge")


def added(site: Site, stay: str) -> list[tuple[Addendum, Letter | None]]:
    """A stay's addenda with their letters."""
    signing, outbox = site.parts.signing, site.parts.outbox
    found = signing.addenda(stay) if signing is not None else []
    return [(one, outbox.get(one.key) if outbox is not None else None) for one in found]


@allowed("clinician")
async def addendum_page(request: web.Request) -> web.StreamResponse:
    """``GET /stays/STAY/addendum``: addenda that there are, and a form for the next."""
    site, stay = site_of(request), stay_of(request)
    clinician = _verified(site, request, stay)[1]
    there = await asyncio.to_thread(added, site, stay.id)
    text = site.templates.page(
        "addendum.html",
        session_of(request),
        stay=stay,
        patient=patient(stay),
        clinician=clinician,
        addenda=[(one, signed(letter)) for one, letter in there],
        number=len(there) + 1,
    )
    return web.Response(text=text, content_type="text/html")


@allowed("clinician")
async def addendum(request: web.Request) -> web.StreamResponse:
    """``POST /stays/STAY/addendum``: sign what was written, as an addendum to the note."""
    site, stay, form = site_of(request), stay_of(request), await request.post()
    signing, clinician = _verified(site, request, stay)
    try:
        number = int(str(form.get("number", "")))
    except ValueError:
        raise web.HTTPBadRequest(text="Load the page again.") from None
    text = str(form.get("text", "")).replace("\r\n", "\n")
    if len(text) > _ADDENDUM_MAX:
        raise BadUse(f"an addendum has at most {_ADDENDUM_MAX} characters", code="addendum")
    await _settled(site, stay)
    letter = await signing.addendum(stay.id, clinician, text, number)
    await site.audit(session_of(request).person.actor, "added", stay.id, letter.key)
    raise web.HTTPSeeOther(f"/stays/{stay.id}/addendum")


def _verified(site: Site, request: web.Request, stay: Stay) -> tuple[Signing, Clinician]:
    """Who may sign an addendum, once the note itself is in the chart."""
    signing, clinician = _signer(site, request)
    letter = views_of(site).letter(site.parts.clinical.draft(stay.id))
    if letter is None or letter.state is not State.VERIFIED:
        raise BadUse(
            "the note is not in the chart yet",
            "sign it, and wait until it has been read back; then add to it",
            code="unsigned",
        )
    return signing, clinician


_ADDENDUM_MAX: Final = 4_000
_STAY: Final = r"/stays/{stay:[0-9a-f]{32}}"
ROUTES: Final = [
    web.get(f"{_STAY}/sign", page),
    web.post(f"{_STAY}/sign", sign),
    web.get(f"{_STAY}/addendum", addendum_page),
    web.post(f"{_STAY}/addendum", addendum),
]

"""Sign & Close: first exactly what will be signed, then the signature."""

import asyncio
import time
from typing import Final

from aiohttp import web

from bayscribe.errors import BadUse
from bayscribe_relay.clinical.stays import Clinician, Stay
from bayscribe_relay.web.parts import Signing
from bayscribe_relay.web.site import Site, allowed, session_of, site_of
from bayscribe_relay.web.stay import stay_of, views_of
from bayscribe_relay.web.views import patient


def signer(site: Site, request: web.Request) -> tuple[Signing, Clinician]:
    """Who signs here, and what does the signing.

    Raises:
        BadUse: ``signing``: nobody can, or this person cannot.
    """
    signing, clinician = site.parts.signing, session_of(request).person.clinician
    if signing is None:
        raise BadUse("this relay writes no notes back", "sign at one that does", code="signing")
    if clinician is None:
        raise BadUse("only a clinician with an NPI signs", code="signing")
    return signing, clinician


def _ready(site: Site, request: web.Request, stay: Stay) -> tuple[Signing, Clinician]:
    signing, clinician = signer(site, request)
    draft = site.parts.clinical.draft(stay.id)
    if draft is not None and draft.signed_key:
        raise BadUse("this note is signed", "write an addendum", code="signed")
    return signing, clinician


async def settled(site: Site, stay: Stay) -> None:
    """The chart that the note goes into is known, if somebody here can find it."""
    if site.parts.identity is not None:
        await site.parts.identity.settle(stay.id)


@allowed("clinician")
async def page(request: web.Request) -> web.StreamResponse:
    """``GET /stays/STAY/sign``: the note as it would be signed now."""
    site, stay = site_of(request), stay_of(request)
    signing, clinician = _ready(site, request, stay)
    await settled(site, stay)
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
    await settled(site, stay)
    letter = await signing.sign(stay.id, clinician, revision, str(form.get("sha256", "")))
    await site.audit(person.actor, "signed", stay.id, letter.key)
    if stay.bay and stay.state == "open":
        desk = site.parts.desk
        await asyncio.to_thread(desk.end_tap, stay.bay, time.time_ns(), person.actor, stay.id)
    raise web.HTTPSeeOther(f"/stays/{stay.id}#badge")


_STAY: Final = r"/stays/{stay:[0-9a-f]{32}}"
ROUTES: Final = [
    web.get(f"{_STAY}/sign", page),
    web.post(f"{_STAY}/sign", sign),
]

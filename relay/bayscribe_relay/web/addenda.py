"""What is added to a signed note: written, then exactly what will be signed, then the signature.

Whatever stops it, the words come back on the page with the reason: nobody writes them twice.
"""

import asyncio
import logging
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from bayscribe.errors import BadUse, BayscribeError
from bayscribe_relay.clinical.stays import Clinician, Stay
from bayscribe_relay.web.badge import signed
from bayscribe_relay.web.guard import status_of
from bayscribe_relay.web.parts import Addendum, Rendered, SignedNote, Signing
from bayscribe_relay.web.signature import settled, signer
from bayscribe_relay.web.site import Site, allowed, keeps_words, session_of, site_of
from bayscribe_relay.web.stay import stay_of, views_of
from bayscribe_relay.web.views import patient
from bayscribe_relay.writeback.outbox import Letter
from bayscribe_relay.writeback.states import State

log = logging.getLogger("bayscribe.web")

WORDS_MAX: Final = 4_000
_UNPRINTABLE: Final = frozenset(map(chr, (*range(9), 11, 12, *range(14, 32), 127)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Written:
    """What the page shows beside the addenda that there are.

    Attributes:
        words: in the form.
        preview: of what would be signed, or None if nothing could be.
        problem: why something was not done.
        kept: the words are those of a session that ran out.
    """

    words: str = ""
    preview: Rendered | None = None
    problem: BayscribeError | None = None
    kept: bool = False


@allowed("clinician")
async def page(request: web.Request) -> web.StreamResponse:
    """``GET /stays/STAY/addendum``: addenda that there are, and a form for the next."""
    site, stay = site_of(request), stay_of(request)
    actor = session_of(request).person.actor
    words = await asyncio.to_thread(site.kept.find, actor, stay.id)
    try:
        _in_chart(site, stay)
    except BadUse as error:
        if not words:
            raise
        return await _page(request, _Written(words=words, problem=error, kept=True))
    return await _page(request, _Written(words=words, kept=bool(words)))


@keeps_words
@allowed("clinician")
async def preview(request: web.Request) -> web.StreamResponse:
    """``POST /stays/STAY/addendum/preview``: exactly what would be signed; nothing is."""
    site, stay, form = site_of(request), stay_of(request), await request.post()
    signing, clinician = signer(site, request)
    words = _words(form.get("text"))
    try:
        shown = await _preview(site, stay, (signing, clinician), words)
    except BayscribeError as error:
        return await _page(request, _Written(words=words, problem=error))
    return await _page(request, _Written(words=words, preview=shown))


@keeps_words
@allowed("clinician")
async def sign(request: web.Request) -> web.StreamResponse:
    """``POST /stays/STAY/addendum``: sign what the preview showed, as an addendum to the note."""
    site, stay, form = site_of(request), stay_of(request), await request.post()
    signing, clinician = signer(site, request)
    words, digest = _words(form.get("text")), str(form.get("sha256", ""))
    actor = session_of(request).person.actor
    try:
        number = _number(form.get("number"))
        _check(site, stay, words)
        await settled(site, stay)
        letter = await signing.addendum(stay.id, clinician, words, number, digest)
    except BayscribeError as error:
        twice = error.code == "revision" and await asyncio.to_thread(
            _signed_already, signing, stay, form.get("number"), digest
        )
        if not twice:
            return await _refused(request, (signing, clinician), words, error)
    else:
        await site.audit(actor, "added", stay.id, letter.key)
    await asyncio.to_thread(site.kept.drop, actor, stay.id)
    raise web.HTTPSeeOther(f"/stays/{stay.id}/addendum")


async def _refused(
    request: web.Request, by: tuple[Signing, Clinician], words: str, error: BayscribeError
) -> web.StreamResponse:
    """The words again with the reason; what was overtaken is shown as it would be signed now."""
    shown = None
    if error.code == "revision":
        try:
            shown = await _preview(site_of(request), stay_of(request), by, words)
        except BayscribeError as later:
            error = later
    return await _page(request, _Written(words=words, preview=shown, problem=error))


async def _preview(site: Site, stay: Stay, by: tuple[Signing, Clinician], words: str) -> Rendered:
    _check(site, stay, words)
    await settled(site, stay)
    return await asyncio.to_thread(by[0].preview_addendum, stay.id, by[1], words)


async def _page(request: web.Request, written: _Written) -> web.StreamResponse:
    """The page, with a status that fits what it says."""
    site, stay = site_of(request), stay_of(request)
    signing, clinician = signer(site, request)
    note, there = await asyncio.to_thread(_added_to, site, signing, stay)
    text = site.templates.page(
        "addendum.html",
        session_of(request),
        stay=stay,
        patient=patient(stay),
        clinician=clinician,
        note=note,
        filed=views_of(site).letter(site.parts.clinical.draft(stay.id)),
        addenda=[(one, signed(letter)) for one, letter in there],
        number=len(there) + 1,
        written=written,
        most=WORDS_MAX,
    )
    status = status_of(written.problem) if written.problem is not None else 200
    if written.problem is not None and status == 500:
        log.error("an addendum failed: %s", written.problem.code)
    return web.Response(text=text, content_type="text/html", status=status)


def _added_to(
    site: Site, signing: Signing, stay: Stay
) -> tuple[SignedNote | None, list[tuple[Addendum, Letter | None]]]:
    """The note that is added to, if it still can be, and its addenda with their letters."""
    outbox = site.parts.outbox
    there = [
        (one, outbox.get(one.key) if outbox is not None else None)
        for one in signing.addenda(stay.id)
    ]
    try:
        return signing.signed_note(stay.id), there
    except BadUse:
        return None, there


def _in_chart(site: Site, stay: Stay) -> None:
    """The note itself is in the chart.

    Raises:
        BadUse: ``unsigned``: it is not, or not yet.
    """
    letter = views_of(site).letter(site.parts.clinical.draft(stay.id))
    if letter is None or letter.state is not State.VERIFIED:
        raise BadUse(
            "the note is not in the chart yet",
            "sign it, and wait until it has been read back; then add to it",
            code="unsigned",
        )


def _check(site: Site, stay: Stay, words: str) -> None:
    """What the words must be, and the note.

    Raises:
        BadUse: ``unsigned``, ``addendum``.
    """
    _in_chart(site, stay)
    if len(words) > WORDS_MAX:
        raise BadUse(
            f"an addendum has at most {WORDS_MAX} characters, and this has {len(words)}",
            "shorten it, or make two of it",
            code="addendum",
        )
    if not _UNPRINTABLE.isdisjoint(words):
        raise BadUse(
            "the addendum has characters that cannot be printed",
            "write the words by hand where they were pasted",
            code="addendum",
        )


def _words(field: object) -> str:
    """The words as the page showed them: a form sends line ends as CR LF."""
    return field.replace("\r\n", "\n") if isinstance(field, str) else ""


def _number(field: object) -> int:
    if not isinstance(field, str) or not field.isascii() or not field.isdigit():
        raise BadUse("this form is not whole", "look at the preview, then sign", code="addendum")
    return int(field[:9])


def _signed_already(signing: Signing, stay: Stay, number: object, digest: str) -> bool:
    """Whether these very words are that very addendum: the form came twice."""
    return any(
        str(one.n) == number and one.note_sha256 == digest for one in signing.addenda(stay.id)
    )


_STAY: Final = r"/stays/{stay:[0-9a-f]{32}}"
ROUTES: Final = [
    web.get(f"{_STAY}/addendum", page),
    web.post(f"{_STAY}/addendum", sign),
    web.post(f"{_STAY}/addendum/preview", preview),
]

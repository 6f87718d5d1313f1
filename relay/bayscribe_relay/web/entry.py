"""Coming and going: login, lock, logout, and the hospital's own login."""

import asyncio
import re
from typing import Final

from aiohttp import web

from bayscribe.errors import BayscribeError
from bayscribe_relay.web import guard
from bayscribe_relay.web.oidc import CALLBACK, Pending
from bayscribe_relay.web.people import Person
from bayscribe_relay.web.sessions import Source
from bayscribe_relay.web.site import SESSION, Site, allowed, public, session_of, site_of

OIDC_COOKIE: Final = "__Host-bayscribe-oidc"
_INNER: Final = re.compile(r"/(?!/)[A-Za-z0-9/_.-]{0,300}")
_WRONG: Final = "Name or password is wrong."


@public
async def login_page(request: web.Request) -> web.StreamResponse:
    """``GET /login``."""
    session = request.get(SESSION)
    if session is not None:
        raise web.HTTPSeeOther("/lock" if session.locked else "/")
    return _login(request, "", 200)


@public
async def login(request: web.Request) -> web.StreamResponse:
    """``POST /login``: the local password file."""
    site, form = site_of(request), await request.post()
    if site.users is None:
        raise web.HTTPNotFound(text="There are no local accounts here.")
    name, password = str(form.get("name", ""))[:100], str(form.get("password", ""))
    person = await _verified(site, request, name, password)
    if person is None:
        return _login(request, _WRONG, 401)
    return await _enter(request, person, "local")


@allowed()
async def lock_page(request: web.Request) -> web.StreamResponse:
    """``GET /lock``."""
    if not session_of(request).locked:
        raise web.HTTPSeeOther("/")
    return _lock(request, "", 200)


@allowed()
async def lock(request: web.Request) -> web.StreamResponse:
    """``POST /lock``: hide everything until the password is given."""
    site, session = site_of(request), session_of(request)
    site.sessions.lock(session)
    await site.audit(session.person.actor, "lock")
    raise web.HTTPSeeOther("/lock")


@allowed()
async def unlock(request: web.Request) -> web.StreamResponse:
    """``POST /unlock``: the same person's password."""
    site, session, form = site_of(request), session_of(request), await request.post()
    if session.source == "local":
        given = str(form.get("password", ""))
        person = await _verified(site, request, session.person.name, given)
        if person != session.person:
            return _lock(request, "The password is wrong.", 401)
        site.sessions.unlock(session)
        await site.audit(session.person.actor, "unlock")
    raise web.HTTPSeeOther(inner(str(form.get("next", ""))))


@allowed()
async def logout(request: web.Request) -> web.StreamResponse:
    """``POST /logout``."""
    site, session = site_of(request), session_of(request)
    site.sessions.end(session)
    await site.audit(session.person.actor, "logout")
    answer = web.HTTPSeeOther("/login")
    guard.drop_session(answer)
    raise answer


@public
async def oidc_begin(request: web.Request) -> web.StreamResponse:
    """``GET /oidc/login``: to the hospital's provider."""
    site = site_of(request)
    if site.oidc is None:
        raise web.HTTPNotFound(text="No hospital login is set up here.")
    place, pending = await site.oidc.begin()
    answer = web.HTTPSeeOther(place)
    # Lax: the provider sends the browser back from its own site.
    answer.set_cookie(
        OIDC_COOKIE,
        pending.to_cookie(),
        path="/",
        secure=True,
        httponly=True,
        samesite="Lax",
        max_age=600,
    )
    raise answer


@public
async def oidc_answer(request: web.Request) -> web.StreamResponse:
    """``GET /oidc/callback``: back from it.

    The answer is a page that goes on by itself and not a redirection: a browser would not
    send a SameSite=Strict cookie along a chain that another site began.
    """
    site = site_of(request)
    pending = Pending.from_cookie(request.cookies.get(OIDC_COOKIE, ""))
    if site.oidc is None or pending is None:
        raise web.HTTPBadRequest(text="This login was not begun here. Begin again.")
    try:
        person = await site.oidc.finish(pending, request.query)
    except BayscribeError as error:
        await site.audit("unknown", "login-failed", detail=f"oidc {error.code}")
        raise
    token = await _begin(site, person, "oidc")
    text = site.templates.page("entered.html", None)
    answer = web.Response(text=text, content_type="text/html")
    guard.set_session(answer, token)
    answer.del_cookie(OIDC_COOKIE, path="/", secure=True, httponly=True)
    return answer


def inner(path: str) -> str:
    """A path of ours to go on to, or the board."""
    return path if _INNER.fullmatch(path) else "/"


async def _verified(site: Site, request: web.Request, name: str, password: str) -> Person | None:
    """The person, or None; refuses to look after too many failures."""
    address = request.remote or ""
    if wait := await asyncio.to_thread(site.sessions.retry_after_s, name, address):
        await site.audit("unknown", "login-throttled")
        minutes = max(1, round(wait / 60))
        raise web.HTTPTooManyRequests(
            text=f"Too many failed logins. Try again in {minutes} min.",
            headers={"Retry-After": str(wait)},
        )
    if site.users is None:
        return None
    async with site.hashing:
        person = await asyncio.to_thread(site.users.verify, name, password)
    if person is None:
        await asyncio.to_thread(site.sessions.failed, name, address)
        known = site.users.person(name) is not None
        # What stands in the name's field may be a password: only known names are logged.
        await site.audit(f"user:{name}" if known else "unknown", "login-failed")
    return person


async def _begin(site: Site, person: Person, source: Source) -> str:
    await site.audit(person.actor, "login", detail=f"{source} {person.role}")
    await asyncio.to_thread(site.kept.expire)
    return await asyncio.to_thread(site.sessions.begin, person, source)


async def _enter(request: web.Request, person: Person, source: Source) -> web.StreamResponse:
    site, form = site_of(request), await request.post()
    old = request.get(SESSION)
    if old is not None:
        site.sessions.end(old)
    answer = web.HTTPSeeOther(inner(str(form.get("next", ""))))
    guard.set_session(answer, await _begin(site, person, source))
    raise answer


def _login(request: web.Request, problem: str, status: int) -> web.StreamResponse:
    site = site_of(request)
    answer = web.Response(content_type="text/html", status=status)
    token = guard.login_token(request) or guard.new_login_cookie(answer)
    answer.text = site.templates.page(
        "login.html",
        None,
        csrf=token,
        problem=problem,
        next=_next(request),
        local=site.users is not None,
        provider=site.oidc.config.name if site.oidc is not None else "",
    )
    return answer


def _lock(request: web.Request, problem: str, status: int) -> web.StreamResponse:
    site, session = site_of(request), session_of(request)
    text = site.templates.page(
        "lock.html",
        None,
        csrf=session.csrf,
        problem=problem,
        next=_next(request),
        shown=session.person.shown,
        local=session.source == "local",
    )
    return web.Response(text=text, content_type="text/html", status=status)


def _next(request: web.Request) -> str:
    return inner(request.query.get("next", "/"))


ROUTES: Final = [
    web.get("/login", login_page),
    web.post("/login", login),
    web.get("/lock", lock_page),
    web.post("/lock", lock),
    web.post("/unlock", unlock),
    web.post("/logout", logout),
    web.get("/oidc/login", oidc_begin),
    web.get(CALLBACK, oidc_answer),
]

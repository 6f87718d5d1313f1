"""What stands before every handler: host, session, role, origin, token; and the headers.

A handler that says nothing about who may call it is closed to everybody.
"""

import asyncio
import hashlib
import hmac
import logging
import secrets
from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

from bayscribe.errors import BadUse, BayscribeError
from bayscribe_relay.web.sessions import Session
from bayscribe_relay.web.site import ANYBODY, SESSION, Site, has_words, roles_of, site_of

log = logging.getLogger("bayscribe.web")
Next = Callable[[web.Request], Awaitable[web.StreamResponse]]

COOKIE: Final = "__Host-bayscribe"
PRE_COOKIE: Final = "__Host-bayscribe-login"
CSRF_FIELD: Final = "csrf"

_CSP: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; "
    "media-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
_HEADERS: Final = {
    "Content-Security-Policy": _CSP,
    "Strict-Transport-Security": "max-age=63072000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_AWAY: Final = "You were signed out, or in again, while you wrote"
_FLEET: Final = "/fleet"


async def put_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Give every answer the headers that it has not set itself."""
    del request
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers["Server"] = "bayscribe"


@web.middleware
async def tell_errors(request: web.Request, handler: Next) -> web.StreamResponse:
    """Errors as pages: one sentence, and what to do; the log gets no content."""
    try:
        return await handler(request)
    except web.HTTPException as answer:
        if answer.status < 400:
            raise
        wait = answer.headers.get("Retry-After")
        return _error(request, answer.status, answer.text or answer.reason, "", wait)
    except BadUse as error:
        return await _failed(request, status_of(error), str(error), error.what_to_do)
    except BayscribeError as error:
        log.error("a page failed: %s", error.code)  # noqa: TRY400 - no content in the log
        return await _failed(request, status_of(error), str(error), error.what_to_do)
    except ConnectionResetError:
        raise
    except Exception as error:  # noqa: BLE001 - its text may hold what a patient said
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        place = f"{trace.tb_frame.f_code.co_qualname}:{trace.tb_lineno}" if trace else "?"
        log.error("a page failed: %s in %s", type(error).__name__, place)  # noqa: TRY400
        what_to_do = "try again; tell operations if it stays"
        return await _failed(request, 500, "This page failed", what_to_do)


async def _failed(
    request: web.Request, status: int, message: str, what_to_do: str
) -> web.StreamResponse:
    """The error as a page, with what was written and must not be lost."""
    if _ours(request) and (words := await _words(request)):
        return _returned(request, status, words, message)
    return _error(request, status, message, what_to_do)


def status_of(error: BayscribeError) -> int:
    """The HTTP status that says what kind of error this is."""
    if not isinstance(error, BadUse):
        return 500
    return 409 if error.code == "revision" else 400


@web.middleware
async def check_host(request: web.Request, handler: Next) -> web.StreamResponse:
    """Only requests that name us: no DNS rebinding, no poisoned links."""
    try:
        named = (urlsplit(f"//{request.host}").hostname or "").lower()
    except ValueError:
        named = ""
    if named not in site_of(request).names:
        raise web.HTTPMisdirectedRequest(text="This server has another name.")
    return await handler(request)


@web.middleware
async def check_person(request: web.Request, handler: Next) -> web.StreamResponse:
    """Session, role, lock."""
    site, roles = site_of(request), _roles(request)
    session = find_session(site, request)
    if session is not None:
        request[SESSION] = session
    if ANYBODY in roles:
        return await handler(request)
    if session is None:
        return await _stopped(request, "/login")
    if session.locked and request.path not in ("/lock", "/unlock", "/logout"):
        return await _stopped(request, "/lock")
    if session.person.role not in roles:
        await site.audit(session.person.actor, "refused", detail=session.person.role)
        raise web.HTTPForbidden(text="Your role does not open this page.")
    return await handler(request)


@web.middleware
async def check_intent(request: web.Request, handler: Next) -> web.StreamResponse:
    """A change comes from one of our own forms: same origin, and the session's token."""
    if request.method in ("GET", "HEAD"):
        return await handler(request)
    if request.method != "POST":
        raise web.HTTPMethodNotAllowed(request.method, ("GET", "HEAD", "POST"))
    if not _ours(request):
        raise web.HTTPForbidden(text="This form came from another site.")
    given = (await request.post()).get(CSRF_FIELD)
    session = request.get(SESSION)
    login = request.path == "/login"
    expected = login_token(request) if login or session is None else session.csrf
    if not _same(given, expected):
        if words := await _words(request):
            return _returned(request, 403, words)
        raise web.HTTPForbidden(text="This form is too old. Go back, load the page again.")
    return await handler(request)


def _ours(request: web.Request) -> bool:
    """Whether one of our own pages sent a form."""
    origin = request.headers.get("Origin")
    if origin is None:
        return request.headers.get("Sec-Fetch-Site") == "same-origin"
    return origin == f"https://{request.host}"


def _same(given: object, expected: str) -> bool:
    if not expected or not isinstance(given, str):
        return False
    return hmac.compare_digest(given.encode(), expected.encode())


async def _words(request: web.Request) -> str:
    """What was written in a form that must not lose it."""
    if request.method != "POST" or not has_words(request.match_info.handler):
        return ""
    return str((await request.post()).get("text", "")).replace("\r\n", "\n")


async def _stopped(request: web.Request, path: str) -> web.StreamResponse:
    """To the login or lock page; what was written is there again afterwards."""
    words = await _words(request) if _ours(request) else ""
    if not words.strip():
        return _away(request, path)
    site, form, stay = site_of(request), await request.post(), request.match_info["stay"]
    session = request.get(SESSION)
    if session is None:
        session = site.sessions.past(request.cookies.get(COOKIE, ""))
        if session is not None and not _enabled(site, session):
            session = None
    known = session is not None and session.person.role in _roles(request)
    if session is None or not known or not _same(form.get(CSRF_FIELD), session.csrf):
        return _returned(request, 401, words)
    if not await asyncio.to_thread(site.kept.keep, session.person.actor, stay, words):
        return _returned(request, 401, words)
    raise web.HTTPSeeOther(f"{path}?next=/stays/{stay}/addendum")


def _returned(
    request: web.Request, status: int, words: str, message: str = _AWAY
) -> web.StreamResponse:
    """The words back to the page that sent them, where they cannot be kept."""
    page = f"/stays/{request.match_info['stay']}/addendum"
    text = site_of(request).templates.page(
        "returned.html", request.get(SESSION), message=message, words=words, page=page
    )
    return web.Response(text=text, content_type="text/html", status=status)


def _enabled(site: Site, session: Session) -> bool:
    """Whether a session's account is still as it was when it began."""
    if session.source != "local":
        return True
    known = site.users.person(session.person.name) if site.users is not None else None
    return known == session.person


def find_session(site: Site, request: web.Request, *, active: bool | None = None) -> Session | None:
    """The session of a request; its account must still be enabled.

    Args:
        site: ours.
        request: with or without a cookie.
        active: whether the person did this; by default whatever is not a live stream.
    """
    token = request.cookies.get(COOKIE)
    if not token:
        return None
    if active is None:
        active = not request.path.endswith("/live")
    session = site.sessions.find(token, active=active)
    if session is not None and not _enabled(site, session):
        site.sessions.end(session)
        return None
    return session


def set_session(response: web.StreamResponse, token: str) -> None:
    """Give the browser its session; the ``__Host-`` prefix keeps it from other hosts."""
    response.set_cookie(COOKIE, token, path="/", secure=True, httponly=True, samesite="Strict")


def drop_session(response: web.StreamResponse) -> None:
    """Take it back."""
    response.set_cookie(
        COOKIE, "", path="/", secure=True, httponly=True, samesite="Strict", max_age=0
    )


def new_login_cookie(response: web.StreamResponse) -> str:
    """Bind a login form to the browser that asked for it; the form's token."""
    value = secrets.token_urlsafe(32)
    response.set_cookie(PRE_COOKIE, value, path="/", secure=True, httponly=True, samesite="Strict")
    return _login_token(value)


def login_token(request: web.Request) -> str:
    """The token that a login form of this browser must carry; empty if it has no cookie."""
    value = request.cookies.get(PRE_COOKIE, "")
    return _login_token(value) if value else ""


def _login_token(value: str) -> str:
    return hashlib.sha256(b"bayscribe login form\0" + value.encode()).hexdigest()


def _roles(request: web.Request) -> frozenset[str]:
    if request.path == _FLEET or request.path.startswith(_FLEET + "/"):
        return frozenset(("operator",))
    if request.match_info.http_exception is not None:
        return frozenset((ANYBODY,))
    return roles_of(request.match_info.handler)


def _away(request: web.Request, path: str) -> web.StreamResponse:
    """To the login or lock page; what is no page of its own just ends."""
    page = "text/html" in request.headers.get("Accept", "") or request.method == "POST"
    if not page or request.path.endswith("/live"):
        raise web.HTTPUnauthorized(text="Sign in first.")
    target = request.path if request.method == "GET" else "/"
    raise web.HTTPSeeOther(path if target == "/" else f"{path}?next={target}")


def _error(
    request: web.Request, status: int, message: str, what_to_do: str, wait: str | None = None
) -> web.StreamResponse:
    site = site_of(request)
    text = site.templates.page(
        "error.html", request.get(SESSION), status=status, message=message, what_to_do=what_to_do
    )
    answer = web.Response(text=text, content_type="text/html", status=status)
    if wait is not None:
        answer.headers["Retry-After"] = wait
    return answer

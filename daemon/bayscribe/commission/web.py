"""The local web page of a commissioning, for a phone or a laptop on the maintenance port.

It exists only while ``bayscribe commission --web`` runs, on the one address that was given.
Whoever opens it must type the code that the terminal shows; five wrong ones lock it until
the command is started again. Forms carry a token, cookies go to this site alone, and a
request whose ``Host`` or ``Origin`` is another is refused (DNS rebinding).
"""

import hmac
import io
import secrets

import numpy as np
import soundfile
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from bayscribe.commission import pages, report
from bayscribe.commission.measure.reverberation import sweep
from bayscribe.commission.session import Session
from bayscribe.errors import BayscribeError
from bayscribe.units import SAMPLE_RATE

WRONG_CODES = 5
CODE_DIGITS = 8
COOKIE = "commissioning"

_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'self'; connect-src 'self'; "
    "media-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
_CONTENT = {".html": "text/html", ".pdf": "application/pdf", ".json": "application/json"}


def new_code() -> str:
    """A one-time code: eight decimal digits."""
    return f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}d}"


class Front:
    """The page of one session.

    Args:
        session: the commissioning.
        code: what the terminal shows.
        hosts: ``host:port`` under which the page may be asked for.
    """

    def __init__(self, session: Session, code: str, hosts: tuple[str, ...]) -> None:
        self._session = session
        self._code = code
        self._hosts = hosts
        self._wrong = 0
        self._cookie = ""
        self._token = secrets.token_urlsafe(24)

    def application(self) -> web.Application:
        """To be run on the maintenance address."""
        application = web.Application(middlewares=[self._guarded()], client_max_size=64 << 10)
        application.add_routes(
            [
                web.get("/", self._overview),
                web.post("/login", self._login),
                web.post("/start/{step}", self._start),
                web.post("/skip/{step}", self._skip),
                web.post("/cancel", self._cancel),
                web.get("/live", self._live),
                web.get("/live.js", self._script),
                web.get("/sweep.wav", self._sweep),
                web.get("/{name:(report|results|signature)\\.(html|pdf|json)}", self._file),
            ]
        )
        return application

    @property
    def locked(self) -> bool:
        """Whether too many wrong codes were typed."""
        return self._wrong >= WRONG_CODES

    def _guarded(self) -> Middleware:
        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            response = await self._answer(request, handler)
            response.headers["Content-Security-Policy"] = _POLICY
            response.headers["Cache-Control"] = "no-store"
            response.headers["X-Content-Type-Options"] = "nosniff"
            response.headers["Referrer-Policy"] = "same-origin"
            return response

        return guard

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """What is answered: the handler's answer, if the request may be made at all."""
        origin = request.headers.get("Origin")
        allowed = {f"http://{host}" for host in self._hosts}
        if request.host not in self._hosts or (origin is not None and origin not in allowed):
            return web.Response(status=421, text="ask for this unit by its own address\n")
        if request.path in ("/login", "/live.js"):
            return await handler(request)
        if not self._is_known(request):
            return _html(pages.login("", locked=self.locked), 401)
        if request.method == "POST":
            form = await request.post()
            if not hmac.compare_digest(str(form.get("token", "")), self._token):
                return web.Response(status=403, text="open the page anew\n")
        return await handler(request)

    def _is_known(self, request: web.Request) -> bool:
        cookie = request.cookies.get(COOKIE, "")
        return bool(self._cookie) and hmac.compare_digest(cookie, self._cookie)

    async def _login(self, request: web.Request) -> web.StreamResponse:
        form = await request.post()
        said = str(form.get("code", "")).strip().replace(" ", "")
        if self.locked:
            message = "Too many wrong codes. Start the command again."
            return _html(pages.login(message, locked=True), 403)
        if not hmac.compare_digest(said.encode(), self._code.encode()):
            self._wrong += 1
            message = f"This is not the code; {WRONG_CODES - self._wrong} tries are left."
            return _html(pages.login(message, locked=self.locked), 403)
        self._cookie = secrets.token_urlsafe(32)
        self._code = secrets.token_urlsafe(32)  # one-time: nobody opens a second session with it
        response = web.Response(status=303, headers={"Location": "/"})
        response.set_cookie(COOKIE, self._cookie, httponly=True, samesite="Strict", path="/")
        return response

    async def _overview(self, request: web.Request) -> web.StreamResponse:
        session = self._session
        current = session.current
        step = None if current is None else session.engine.step(current)
        listening = session.live() is not None
        text = pages.overview(
            session.views(), step, listening, self._token, request.query.get("message", "")[:200]
        )
        return _html(text)

    async def _start(self, request: web.Request) -> web.StreamResponse:
        import asyncio

        form = await request.post()
        answers = {name: str(value) for name, value in form.items() if name != "token"}
        step = request.match_info["step"]
        try:
            await asyncio.to_thread(self._session.start, step, answers)
        except BayscribeError as error:
            return _back(str(error))
        return _back()

    async def _skip(self, request: web.Request) -> web.StreamResponse:
        form = await request.post()
        try:
            self._session.skip(request.match_info["step"], str(form.get("reason", "")))
        except BayscribeError as error:
            return _back(str(error))
        return _back()

    async def _cancel(self, _request: web.Request) -> web.StreamResponse:
        self._session.cancel()
        return _back()

    async def _live(self, _request: web.Request) -> web.StreamResponse:
        live = self._session.live()
        if live is None:
            return web.Response(status=205)
        return _html(pages.live_view(live))

    async def _script(self, _request: web.Request) -> web.StreamResponse:
        return web.Response(text=pages.SCRIPT, content_type="text/javascript")

    async def _sweep(self, _request: web.Request) -> web.StreamResponse:
        return web.Response(body=sweep_wav(), content_type="audio/wav")

    async def _file(self, request: web.Request) -> web.StreamResponse:
        path = report.paths(self._session.bench).get(request.match_info["name"])
        if path is None:
            return web.Response(status=404, text="not yet\n")
        return web.Response(body=path.read_bytes(), content_type=_CONTENT[path.suffix])


def sweep_wav() -> bytes:
    """The sweep, half a second of silence around it, as 16-bit WAV."""
    silence = np.zeros(SAMPLE_RATE // 2)
    sound = np.concatenate([silence, sweep(), silence])
    out = io.BytesIO()
    soundfile.write(out, sound, SAMPLE_RATE, subtype="PCM_16", format="WAV")
    return out.getvalue()


def _html(text: str, status: int = 200) -> web.Response:
    return web.Response(text=text, content_type="text/html", status=status)


def _back(message: str = "") -> web.Response:
    from urllib.parse import quote

    query = f"?message={quote(message)}" if message else ""
    return web.Response(status=303, headers={"Location": f"/{query}"})

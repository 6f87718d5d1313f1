"""The HTTP shell of the EMR: FHIR base, token endpoint, faults, and the record of requests."""

import asyncio
import json
import socket
import struct
from dataclasses import dataclass
from email.utils import formatdate
from typing import Final
from urllib.parse import parse_qs

from aiohttp import web

from emr.capability import capability_statement, may_write, smart_configuration
from emr.faults import FaultPlan
from emr.fhir import TYPES, Answer, Fhir
from emr.refusal import Refusal
from emr.settings import Fault, Operation, Settings
from emr.smart import TokenRefused, TokenService
from emr.store import Store

FHIR_JSON: Final = "application/fhir+json"
_LARGEST: Final = 64 * 1024 * 1024
_CHANGES_STORE: Final = (Fault.PARTIAL, Fault.ALTERED, Fault.STORED_BUT_LOST, Fault.ENTRY_429)


class ConnectionGone(Exception):  # noqa: N818 - the fault of a dropped connection, on purpose
    """The connection was dropped instead of answered."""


@dataclass(frozen=True)
class _Call:
    operation: Operation
    place: int
    key: str | None


class FhirServer:
    """Serves the FHIR base at ``/fhir`` and the token endpoint at ``/token``.

    Args:
        store: the durable record.
        settings: the behaviour.
        plan: the faults to come.
    """

    def __init__(self, store: Store, settings: Settings, plan: FaultPlan) -> None:
        self.store = store
        self.settings = settings
        self.plan = plan
        self.fhir = Fhir(store, settings)
        self.tokens = TokenService(settings)
        self._locks: dict[str, asyncio.Lock] = {}

    def application(self) -> web.Application:
        """The routes."""
        app = web.Application(client_max_size=_LARGEST)
        app.router.add_post("/token", self._token)
        app.router.add_route("*", "/fhir{tail:(/.*)?}", self._handle)
        return app

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        path = request.match_info["tail"].strip("/")
        key = request.headers.get("X-Idempotency-Key")
        operation = _operation(request.method, path)
        place = self.store.arrived(operation, request.method, request.path_qs, key)
        call = _Call(operation, place, key)
        fault = self.plan.choose(operation, key)
        try:
            return await self._served(request, path, call, fault)
        except (ConnectionGone, ConnectionResetError):
            self.store.answered(place, "gone", fault)
            _reset(request)
            return web.Response(status=500)

    async def _served(
        self, request: web.Request, path: str, call: _Call, fault: Fault | None
    ) -> web.StreamResponse:
        content = await request.read()
        try:
            self._admit(request, path, call.operation, fault)
            if fault in (Fault.HANG, Fault.RESET):
                await self._hang(request, fault)
            await asyncio.sleep(self.plan.delay(call.operation))
            answer = self._carry_out(request, path, content, call, fault)
        except Refusal as refusal:
            answer = Answer(refusal.status, refusal.outcome(), refusal.headers)
        if answer.status < 400 and fault in (Fault.ANSWER_LOST, Fault.RESET_AFTER_COMMIT):
            await self._hang(request, fault)
        if answer.status < 400 and fault is Fault.ERROR_AFTER_COMMIT:
            broken = Refusal(500, "exception", "an internal error occurred")
            answer = Answer(500, broken.outcome())
        self.store.answered(call.place, str(answer.status), fault)
        return await self._send(request, answer, fault)

    def _admit(
        self, request: web.Request, path: str, operation: Operation, fault: Fault | None
    ) -> None:
        wait = self.settings.retry_after_s
        open_to_all = path in ("metadata", ".well-known/smart-configuration")
        if fault is Fault.TOO_MANY_DATE:
            date = formatdate(self.fhir.now() + wait, usegmt=True)
            raise Refusal(429, "throttled", "too many requests", {"Retry-After": date})
        throttled = not open_to_all and (self.plan.storming() or self.plan.over_limit())
        if fault is Fault.TOO_MANY or throttled:
            raise Refusal(429, "throttled", "too many requests", {"Retry-After": str(wait)})
        if fault is Fault.UNAVAILABLE:
            raise Refusal(503, "transient", "down for maintenance", {"Retry-After": str(wait)})
        if fault in _REFUSALS:
            raise Refusal(*_REFUSALS[fault])
        if open_to_all:
            return
        scopes = self._authorize(request)
        if operation in ("transaction", "write") and not (
            self.settings.fhir_write and may_write(self.settings, scopes)
        ):
            raise Refusal(403, "forbidden", "writing is not granted to this client")

    def _authorize(self, request: web.Request) -> str | None:
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        refusal = Refusal(401, "login", "no valid access token", {"WWW-Authenticate": "Bearer"})
        if self.settings.auth == "bearer" and (
            kind.lower() != "bearer" or token != self.settings.bearer_token
        ):
            raise refusal
        if self.settings.auth == "smart":
            scopes = self.tokens.scopes(token)
            if scopes is None:
                raise refusal
            return scopes
        return None

    async def _hang(self, request: web.Request, fault: Fault) -> None:
        if fault in (Fault.HANG, Fault.ANSWER_LOST):
            end = asyncio.get_running_loop().time() + self.settings.hang_s
            while asyncio.get_running_loop().time() < end:
                if request.transport is None or request.transport.is_closing():
                    break
                await asyncio.sleep(0.02)
        raise ConnectionGone

    def _carry_out(
        self, request: web.Request, path: str, content: bytes, call: _Call, fault: Fault | None
    ) -> Answer:
        base = str(request.url.origin()) + "/fhir"
        if path == "metadata":
            return Answer(200, capability_statement(self.settings, self.fhir.now(), base))
        if path == ".well-known/smart-configuration":
            if self.settings.auth != "smart":
                raise Refusal(404, "not-found", "this server has no SMART configuration")
            token_endpoint = str(request.url.origin()) + "/token"
            return Answer(200, smart_configuration(self.settings, token_endpoint))
        if request.method == "GET":
            kind, _, rest = path.partition("/")
            if kind not in TYPES:
                raise Refusal(404, "not-supported", f"this server holds no {kind}")
            if not rest:
                return self.fhir.search(kind, parse_qs(request.query_string))
            ident, _, history = rest.partition("/_history/")
            return self.fhir.read(kind, ident, history or None)
        return self._change(request, path, content, call, fault)

    def _change(
        self, request: web.Request, path: str, content: bytes, call: _Call, fault: Fault | None
    ) -> Answer:
        honoured = call.key if self.settings.honours_idempotency_key else None
        slot = f"{honoured} {request.method} {path}"
        if honoured and (replay := self.store.replayed(slot)):
            return Answer(replay[0], json.loads(replay[1]))
        try:
            body = json.loads(content)
        except ValueError:
            raise Refusal(400, "structure", "the body is not JSON") from None
        if not isinstance(body, dict):
            raise Refusal(400, "structure", "the body is not a JSON object")
        if call.operation == "transaction":
            answer = self.fhir.transaction(body, fault if fault in _CHANGES_STORE else None)
        else:
            headers = {name.lower(): value for name, value in request.headers.items()}
            answer = self.fhir.write(request.method, path, body, headers)
        if honoured and fault not in _CHANGES_STORE:
            self.store.remember(slot, answer.status, json.dumps(answer.body))
        return answer

    async def _send(
        self, request: web.Request, answer: Answer, fault: Fault | None
    ) -> web.StreamResponse:
        headers = dict(answer.headers)
        headers["Date"] = formatdate(self.fhir.now(), usegmt=True)
        content, kind = json.dumps(answer.body).encode(), FHIR_JSON
        accept = request.headers.get("Accept", "")
        if answer.body.get("resourceType") == "Binary" and "json" not in accept:
            content, kind = _native(answer)
        headers["Content-Type"] = kind
        if answer.status < 400 and fault is Fault.MALFORMED:
            content = content[: len(content) // 2]
        if answer.status >= 400 or fault is not Fault.SLOW_DRIP:
            return web.Response(status=answer.status, body=content, headers=headers)
        response = web.StreamResponse(status=answer.status, headers=headers)
        response.content_length = len(content)
        await response.prepare(request)
        step = self.settings.drip_bytes
        for start in range(0, len(content), step):
            await response.write(content[start : start + step])
            await asyncio.sleep(self.settings.drip_s)
        return response

    async def _token(self, request: web.Request) -> web.Response:
        place = self.store.arrived("token", "POST", "/token", None)
        fault = self.plan.choose("token")
        form = {name: str(value) for name, value in (await request.post()).items()}
        try:
            answer = self.tokens.grant(form, str(request.url.origin()) + "/token", fault is None)
        except TokenRefused as refused:
            self.store.answered(place, "400", fault)
            error = {"error": refused.error, "error_description": str(refused)}
            return web.json_response(error, status=400)
        self.store.answered(place, "200", None)
        return web.json_response(answer, headers={"Cache-Control": "no-store"})


_REFUSALS: Final[dict[Fault | None, tuple[int, str, str]]] = {
    Fault.PRECONDITION: (412, "conflict", "the resource has changed"),
    Fault.CONFLICT: (409, "conflict", "the resource is in use"),
    Fault.SERVER_ERROR: (500, "exception", "an internal error occurred"),
    Fault.UNAUTHORIZED: (401, "login", "the access token is not valid any more"),
}


def _operation(method: str, path: str) -> Operation:
    if path in ("metadata", ".well-known/smart-configuration"):
        return "metadata"
    if method in ("GET", "HEAD"):
        return "read" if "/" in path else "search"
    return "transaction" if method == "POST" and not path else "write"


def _native(answer: Answer) -> tuple[bytes, str]:
    import base64

    content = base64.b64decode(answer.body.get("data", ""))
    return content, str(answer.body.get("contentType", "application/octet-stream"))


def _reset(request: web.Request) -> None:
    """Drop the connection with a TCP reset (SO_LINGER of zero)."""
    if request.transport is None:
        return
    raw = request.transport.get_extra_info("socket")
    if raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    request.transport.abort()

"""An OpenAI-compatible endpoint on a real socket: it answers as it is told, well or badly."""

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from aiohttp import web

KEY = "sk-canary-51b7"
VERSION = "clinical-notes-2026-10"

Sentences = Callable[[dict[str, Any]], list[dict[str, Any]]]
"""From the material of a request to sections of an answer."""

Handler = Callable[[web.Request, dict[str, Any]], Awaitable[web.StreamResponse]]


class ModelServer:
    """One endpoint and what it was asked.

    Attributes:
        url: base address.
        asked: bodies of the requests.
        keys: Authorization headers.
        handler: how it answers; may be changed at any time.
    """

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.url = ""
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str] = []

    @classmethod
    @contextlib.asynccontextmanager
    async def running(
        cls, handler: Handler, tls: ssl.SSLContext | None = None
    ) -> AsyncIterator["ModelServer"]:
        server = cls(handler)
        app = web.Application(client_max_size=4 * 1024 * 1024)
        app.router.add_post("/v1/chat/completions", server._post)
        runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        _, port = runner.addresses[0][:2]
        server.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}/v1"
        try:
            yield server
        finally:
            await runner.cleanup()

    async def _post(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.asked.append(body)
        self.keys.append(request.headers.get("Authorization", ""))
        return await self.handler(request, body)

    def material(self, number: int = -1) -> dict[str, Any]:
        """The material of a request."""
        found: dict[str, Any] = json.loads(self.asked[number]["messages"][1]["content"])
        return found


def completion(content: str, finish: str = "stop") -> dict[str, Any]:
    """A chat completion."""
    return {
        "id": "c1", "object": "chat.completion", "created": 1, "model": VERSION,
        "system_fingerprint": "fp_7", "usage": {"prompt_tokens": 1, "completion_tokens": 1},
        "choices": [
            {"index": 0, "finish_reason": finish,
             "message": {"role": "assistant", "content": content}},
        ],
    }  # fmt: skip


def answers(sentences: Sentences, around: str = "%s") -> Handler:
    """A handler that answers with these sentences."""

    async def handler(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        del request
        material = json.loads(body["messages"][1]["content"])
        content = around.replace("%s", json.dumps({"sections": sentences(material)}))
        return web.json_response(completion(content))

    return handler


def says(content: str) -> Handler:
    """A handler that answers with this text."""

    async def handler(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        del request, body
        return web.json_response(completion(content))

    return handler


def status(code: int, **headers: str) -> Handler:
    """A handler that answers with a status alone, and repeats what it was asked."""

    async def handler(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        del request
        return web.json_response({"error": {"message": body}}, status=code, headers=headers)

    return handler


async def silent(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    """Sends a byte now and then, and never an answer."""
    del body
    response = web.StreamResponse()
    await response.prepare(request)
    with contextlib.suppress(ConnectionError, asyncio.CancelledError):
        while True:
            await response.write(b" ")
            await asyncio.sleep(0.05)
    return response


async def dropped(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    """Ends the connection instead of answering."""
    del body
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def endless(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    """More than anybody would read."""
    del body
    response = web.StreamResponse()
    await response.prepare(request)
    with contextlib.suppress(ConnectionError):
        for _ in range(64):
            await response.write(b"x" * 65_536)
    return response


async def garbage(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    """No JSON, and not even text."""
    del request, body
    return web.Response(body=b"\xff\xfe<html>\x00", content_type="text/html")


async def shapeless(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    """JSON of another kind."""
    del request, body
    return web.json_response({"choices": [{"message": {"content": None}}]})

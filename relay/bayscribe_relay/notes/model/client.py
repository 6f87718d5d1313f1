"""HTTP to the endpoint: one bounded question, one bounded answer, or one plain reason."""

import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec

from bayscribe.errors import ConfigError
from bayscribe_relay.notes.config import ModelConfig

_BODY_MAX: Final = 1024 * 1024
_RETRY_MAX_S: Final = 900.0
_ODD: Final = re.compile(r"[^A-Za-z0-9._:/@+-]")
_REASONS: Final = {
    400: "it refused the request", 401: "it does not accept our key",
    403: "it does not accept our key", 404: "it does not know the model or the address",
    408: "it did not answer in time", 413: "the encounter is too long for it",
    429: "it has too many requests",
}  # fmt: skip


class NotUsed(Exception):  # noqa: N818 - not a fault: the composed draft stands
    """The model gave nothing; the text says why and holds nothing of request or answer.

    Attributes:
        after_s: how long its server asked us to wait, 0 if it did not.
    """

    def __init__(self, reason: str, after_s: float = 0.0) -> None:
        super().__init__(reason)
        self.after_s = after_s


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: its text, and what the server calls the model that gave it."""

    content: str
    version: str


class ModelClient:
    """Asks the endpoint. Its representation shows no key. Use :meth:`running`."""

    def __init__(self, config: ModelConfig, session: aiohttp.ClientSession) -> None:
        self._url = config.url.rstrip("/") + "/chat/completions"
        self._session = session

    @classmethod
    @asynccontextmanager
    async def running(cls, config: ModelConfig) -> AsyncIterator["ModelClient"]:
        """A client until the end of the block.

        Raises:
            ConfigError: key or authority cannot be read.
        """
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if config.api_key_file is not None:
            headers["Authorization"] = f"Bearer {_key(config.api_key_file)}"
        async with aiohttp.ClientSession(
            headers=headers,
            timeout=aiohttp.ClientTimeout(total=config.timeout_s),
            connector=aiohttp.TCPConnector(ssl=_context(config), limit=config.parallel),
            cookie_jar=aiohttp.DummyCookieJar(),
        ) as session:
            yield cls(config, session)

    async def ask(self, body: bytes) -> Reply:
        """Send a request and read the answer.

        Raises:
            NotUsed: there is none that could be used.
        """
        try:
            async with self._session.post(self._url, data=body, allow_redirects=False) as answer:
                status, wait = answer.status, _wait(answer.headers.get("Retry-After", ""))
                raw = await _read(answer) if status == 200 else b""
        except TimeoutError:
            raise NotUsed("it did not answer in time") from None
        except (aiohttp.ClientError, OSError, ValueError):
            raise NotUsed("it could not be reached") from None
        if status != 200:
            usual = "its server failed" if status >= 500 else "it gave no answer"
            raise NotUsed(f"{_REASONS.get(status, usual)} (HTTP {status})", wait)
        return _reply(raw)


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    parts, size = [], 0
    async for part in answer.content.iter_chunked(65_536):
        size += len(part)
        if size > _BODY_MAX:
            raise NotUsed("its answer is too long")
        parts.append(part)
    return b"".join(parts)


def _reply(raw: bytes) -> Reply:
    try:
        tree: Any = msgspec.json.decode(raw)
        message = tree["choices"][0]["message"]
        content = message["content"]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, LookupError, TypeError):
        raise NotUsed("its answer could not be read") from None
    if not isinstance(content, str):
        raise NotUsed("its answer could not be read")
    named = (tree.get("model"), tree.get("system_fingerprint"))
    parts = [_ODD.sub("", one)[:80] for one in named if isinstance(one, str)]
    return Reply(content, " ".join(part for part in parts if part) or "version not stated")


def _wait(header: str) -> float:
    """Seconds of a Retry-After; a date is left to the usual pause."""
    return min(float(header), _RETRY_MAX_S) if re.fullmatch(r"\d{1,6}", header.strip()) else 0.0


def _key(path: str) -> str:
    try:
        found = Path(path).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        found = ""
    if not re.fullmatch(r"[!-~]+", found):
        raise ConfigError(
            f"notes.model.api_key_file: {path}: holds no key", "put the key alone into it"
        )
    return found


def _context(config: ModelConfig) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=config.ca)
    except (OSError, ssl.SSLError):
        raise ConfigError(
            f"notes.model.ca: {config.ca} is not a certificate", "give a PEM file"
        ) from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context

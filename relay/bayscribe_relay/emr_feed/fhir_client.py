"""Reads from the EMR's FHIR server."""

import ssl
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import aiohttp
import msgspec

from bayscribe.errors import ConfigError
from bayscribe_relay.emr_feed.config import FhirConfig
from bayscribe_relay.emr_feed.fhir_notice import Resource, decode, entries
from bayscribe_relay.http_body import whole
from bayscribe_relay.smart.backend import BackendTokens, NoToken

_CACHE_MAX: Final = 2_000
_CACHE_S: Final = 30.0
_PAGES_MAX: Final = 200
_BODY_MAX: Final = 32 * 1024 * 1024


class NotNow(Exception):  # noqa: N818 - not a fault: the same read may succeed later
    """The server cannot be reached or will not answer now; the text says why."""


class NotThere(Exception):  # noqa: N818 - an answer
    """The server says that there is no such thing, or that it will never give it."""


class FhirReader:
    """Reads resources; patients and encounters are remembered for half a minute.

    Args:
        config: base URL, credentials, time-out.

    Raises:
        ConfigError: a token, key or certificate cannot be read.
    """

    def __init__(self, config: FhirConfig) -> None:
        self._base = config.base.rstrip("/")
        self._tokens = BackendTokens(self._base, config.smart) if config.smart else None
        headers = {"Accept": "application/fhir+json"}
        if config.read_bearer_file is not None:
            headers["Authorization"] = f"Bearer {token(config.read_bearer_file)}"
        self._session = aiohttp.ClientSession(
            headers=headers,
            timeout=aiohttp.ClientTimeout(total=config.timeout_s),
            connector=aiohttp.TCPConnector(ssl=_context(config), limit=8),
        )
        self._cache: dict[str, tuple[float, Resource]] = {}

    async def close(self) -> None:
        """Let go of connections."""
        await self._session.close()

    async def read(self, reference: str, *, cached: bool = False) -> Resource:
        """One resource by ``Type/id``.

        Raises:
            NotNow, NotThere: it was not given.
        """
        known = self._cache.get(reference)
        if cached and known is not None and time.monotonic() - known[0] < _CACHE_S:
            return known[1]
        found = await self._get(f"{self._base}/{reference}")
        if f"{found.get('resourceType')}/{found.get('id')}" != reference:
            raise NotThere("the server answered with another resource")
        if len(self._cache) >= _CACHE_MAX:
            self._cache.clear()
        self._cache[reference] = (time.monotonic(), found)
        return found

    async def changed(self, kind: str, since_ns: int) -> list[Resource]:
        """Resources of a type that changed since an instant, all pages.

        Raises:
            NotNow, NotThere: they were not given.
        """
        since = datetime.fromtimestamp(since_ns // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        url = f"{self._base}/{kind}?_lastUpdated=gt{since}&_count=100"
        return await self._pages(url, kind)

    async def search(self, kind: str, query: str) -> list[Resource]:
        """Resources of a type that a search matches, all pages, without what it includes.

        Args:
            kind: the type.
            query: its parameters, encoded.

        Raises:
            NotNow, NotThere: they were not given, or not all of them.
        """
        return await self._pages(f"{self._base}/{kind}?{query}", kind, whole=True)

    async def events(self, subscription: str, first: int, last: int) -> Resource:
        """What a subscription's ``$events`` operation says of lost notifications.

        Raises:
            NotNow, NotThere: it was not given.
        """
        query = f"eventsSinceNumber={first}&eventsUntilNumber={last}"
        return await self._get(f"{self._base}/{subscription}/$events?{query}")

    async def _pages(self, url: str, kind: str, *, whole: bool = False) -> list[Resource]:
        found: list[Resource] = []
        for _ in range(_PAGES_MAX):
            bundle = await self._get(url)
            if whole and bundle.get("resourceType") != "Bundle":
                raise NotThere("the answer is no list")
            for entry in entries(bundle):
                resource, search = entry.get("resource"), entry.get("search")
                if whole and isinstance(search, dict) and search.get("mode") == "include":
                    continue
                if isinstance(resource, dict) and resource.get("resourceType") == kind:
                    found.append(resource)
            following = self._next(bundle)
            if whole and not following and _goes_on(bundle):
                raise NotThere("its list goes on at another server")
            if not following:
                return found
            url = following
        return found

    def _next(self, bundle: Resource) -> str:
        """The next page, if it is of the same server."""
        links = bundle.get("link")
        for link in links if isinstance(links, list) else []:
            if isinstance(link, dict) and link.get("relation") == "next":
                url = link.get("url")
                if isinstance(url, str) and urlsplit(url)[:2] == urlsplit(self._base)[:2]:
                    return url
        return ""

    async def _get(self, url: str) -> Resource:
        status, body = await self._answer(url)
        if status == 401 and self._tokens is not None:
            self._tokens.forget()
            status, body = await self._answer(url)
        if status in (401, 403, 408, 429) or status >= 500:
            raise NotNow(f"HTTP {status}")
        if status != 200:
            raise NotThere(f"HTTP {status}")
        try:
            found = decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise NotNow("the answer is not JSON") from None
        if not isinstance(found, dict):
            raise NotThere("the answer is no resource")
        return found

    async def _answer(self, url: str) -> tuple[int, bytes]:
        try:
            headers = await self._tokens.headers(self._session) if self._tokens is not None else {}
            async with self._session.get(url, headers=headers, allow_redirects=False) as answer:
                return answer.status, await whole(answer, _BODY_MAX)
        except NoToken as why:
            raise NotNow(str(why)) from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise NotNow(type(error).__name__) from None


def _goes_on(bundle: Resource) -> bool:
    links = bundle.get("link")
    return any(
        isinstance(link, dict) and link.get("relation") == "next"
        for link in (links if isinstance(links, list) else [])
    )


def token(path: str) -> str:
    """A bearer token's file.

    Raises:
        ConfigError: it cannot be read or is empty.
    """
    try:
        found = Path(path).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        found = ""
    if not found:
        raise ConfigError(f"feed.fhir: {path}: holds no token", "put the bearer token into it")
    return found


def _context(config: FhirConfig) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=config.ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if config.certificate is not None:
            context.load_cert_chain(config.certificate, config.key)
    except (OSError, ssl.SSLError):
        raise ConfigError(
            "feed.fhir: ca, certificate or key cannot be used", "give readable PEM files"
        ) from None
    return context

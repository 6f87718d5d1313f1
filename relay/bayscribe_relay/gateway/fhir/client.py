"""HTTP to one FHIR endpoint: admission, authorization, time-outs, and what an answer means."""

import asyncio
import ssl
import time
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

import aiohttp
import msgspec

from bayscribe.errors import ConfigError
from bayscribe_relay.gateway.config import SiteConfig
from bayscribe_relay.gateway.fhir.authorization import Authorization
from bayscribe_relay.gateway.limiter import RateLimiter, retry_after
from bayscribe_relay.gateway.outcome import TryAgain
from bayscribe_relay.http_body import TooLong, whole

FHIR_JSON: Final = "application/fhir+json"
ANSWER_MAX: Final = 24 * 1024 * 1024
"""Bytes of an answer that are read: a Binary of the largest note, in base64, with room."""
OUTCOME_MAX: Final = 1_000
_THROTTLED: Final = (429, 503)
DEFAULT_WAIT_S: Final = 1.0

Json = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """An answer of the EMR; ``body`` is None unless it is a JSON object."""

    status: int
    body: Json | None
    etag: str

    @property
    def ok(self) -> bool:
        """Whether it is a success with a body."""
        return 200 <= self.status < 300 and self.body is not None

    def words(self) -> str:
        """The OperationOutcome in words, for the operator."""
        return outcome_words(self.body)


def outcome_words(body: object) -> str:
    """What an OperationOutcome says (R4, operationoutcome.html), in one line."""
    if not isinstance(body, dict) or body.get("resourceType") != "OperationOutcome":
        return ""
    said = []
    issues = body.get("issue")
    for issue in issues if isinstance(issues, list) else []:
        if not isinstance(issue, dict):
            continue
        details = issue.get("details")
        text = details.get("text") if isinstance(details, dict) else None
        where = issue.get("expression")
        place = f" ({', '.join(map(str, where))})" if isinstance(where, list) else ""
        words = issue.get("diagnostics") or text or issue.get("code") or "no explanation"
        said.append(f"{words}{place}")
    return " ".join("; ".join(said).split())[:OUTCOME_MAX]


def tls_context(site: SiteConfig) -> ssl.SSLContext:
    """TLS towards the EMR, with a client certificate for ``mutual-tls``.

    Raises:
        ConfigError: a file is missing or does not fit.
    """
    try:
        context = ssl.create_default_context(cafile=site.ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if site.auth == "mutual-tls" and site.client_certificate is not None:
            context.load_cert_chain(site.client_certificate, site.client_key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"the EMR's TLS files cannot be used: {type(error).__name__}") from None
    return context


class FhirClient:
    """Requests to one EMR.

    Args:
        site: its profile; ``fhir_base`` is given.
        limiter: shared by everybody who asks this EMR.
    """

    def __init__(self, site: SiteConfig, limiter: RateLimiter) -> None:
        self.base = str(site.fhir_base).rstrip("/")
        self._site = site
        self._limiter = limiter
        connector = aiohttp.TCPConnector(
            limit=2 * site.in_flight_max + 8, ssl=tls_context(site), keepalive_timeout=30
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=site.ack_timeout_s, sock_connect=5),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=True,
        )
        self.authorization = Authorization(site, self._session)

    async def close(self) -> None:
        """End all connections."""
        await self._session.close()

    async def request(
        self,
        method: str,
        path: str,
        *,
        key: str = "",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Ask the EMR.

        Args:
            method: HTTP method.
            path: under the base; empty for the base itself.
            key: idempotency key, sent as ``X-Idempotency-Key``.
            body: a resource's bytes.
            headers: further headers.

        Raises:
            TryAgain: no answer (``silent``), or turned away (``throttled``).
        """
        sent = {"Accept": FHIR_JSON, **(headers or {})}
        if key:
            sent["X-Idempotency-Key"] = key
        if body is not None:
            sent["Content-Type"] = FHIR_JSON
        answer = await self._once(method, path, body, sent)
        if answer.status == 401 and self.authorization.renewable:
            self.authorization.forget()
            answer = await self._once(method, path, body, sent)
        return answer

    async def _once(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> Answer:
        authorized = headers | await self.authorization.headers()
        await self._limiter.admit()
        url = f"{self.base}/{path}" if path else self.base
        try:
            async with self._session.request(
                method, url, data=body, headers=authorized, allow_redirects=False
            ) as response:
                content = await _read(response)
                self._throttled(response)
                return Answer(response.status, content, response.headers.get("ETag", ""))
        except (TimeoutError, aiohttp.ServerTimeoutError):
            raise TryAgain(
                f"no answer from the EMR within {self._site.ack_timeout_s:g} s", silent=True
            ) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise TryAgain(f"the connection to the EMR failed: {type(error).__name__}") from None

    def _throttled(self, response: aiohttp.ClientResponse) -> None:
        if response.status not in _THROTTLED:
            self._limiter.answered()
            return
        asked = retry_after(response.headers.get("Retry-After"), response.headers.get("Date"))
        self._limiter.turned_away(DEFAULT_WAIT_S if asked is None else asked)
        raise TryAgain(f"the EMR is overloaded ({response.status})", wait_s=asked, throttled=True)

    def turned_away(self) -> None:
        """An entry of an answer said 429: wait as if the whole had."""
        self._limiter.turned_away(DEFAULT_WAIT_S)


async def _read(response: aiohttp.ClientResponse) -> Json | None:
    try:
        body = msgspec.json.decode(await whole(response, ANSWER_MAX))
    except (TooLong, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


class Stopwatch:
    """How long a block has taken so far, in seconds."""

    def __enter__(self) -> Self:
        self._since = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        pass

    @property
    def elapsed(self) -> float:
        """Seconds since the block began."""
        return time.monotonic() - self._since


async def settle(*requests: Awaitable[object]) -> list[Any]:
    """Run requests side by side; the first failure is raised once all have ended."""
    results = await asyncio.gather(*requests, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return list(results)

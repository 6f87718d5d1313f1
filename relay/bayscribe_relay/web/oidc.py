"""Login by the site's OpenID provider.

Authorization code flow (OpenID Connect Core 1.0, section 3.1) with PKCE S256 (RFC 7636),
discovery (OpenID Connect Discovery 1.0), and the issuer in the answer (RFC 9207) where the
provider gives it. Between the two steps nothing is kept here: what the second step must
match stands in a cookie of the browser that took the first.
"""

import asyncio
import base64
import hashlib
import logging
import secrets
import ssl
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import quote, urlencode

import aiohttp
import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from msgspec import Struct

from bayscribe.errors import BadUse, ConfigError, LinkError
from bayscribe_relay.http_body import whole
from bayscribe_relay.web.config import OidcConfig, Role
from bayscribe_relay.web.people import Person
from bayscribe_relay.writeback.note import npi_valid

log = logging.getLogger("bayscribe.web")
T = TypeVar("T")

CALLBACK: Final = "/oidc/callback"
_ALGORITHMS: Final = ["RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA"]
"""Signatures alone: ``none`` and keys that both sides share are not taken."""

_LEEWAY_S: Final = 60
_KEEP_S: Final = 3_600.0
_TIMEOUT: Final = aiohttp.ClientTimeout(total=10)
_MOST_BYTES: Final = 1024 * 1024


class Pending(Struct, frozen=True):
    """What the answer must match; stands in the browser's cookie."""

    state: str
    nonce: str
    verifier: str

    def to_cookie(self) -> str:
        """As a cookie's value."""
        return base64.urlsafe_b64encode(msgspec.json.encode(self)).decode()

    @classmethod
    def from_cookie(cls, value: str) -> "Pending | None":
        """Back; None if it is none."""
        try:
            return msgspec.json.decode(base64.urlsafe_b64decode(value), type=cls)
        except (ValueError, msgspec.MsgspecError):
            return None


class _Discovery(Struct, frozen=True):
    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str


class _Tokens(Struct, frozen=True):
    id_token: str


class OpenIdProvider:
    """The site's provider.

    Args:
        config: the site's.
        url: ours, as people type it.

    Raises:
        ConfigError: the client's secret or the provider's authority cannot be read.
    """

    def __init__(self, config: OidcConfig, url: str) -> None:
        self.config = config
        self._redirect = url.rstrip("/") + CALLBACK
        self._secret = _read(config.client_secret_file) if config.client_secret_file else ""
        self._tls = ssl.create_default_context()
        if config.ca is not None:
            try:
                self._tls.load_verify_locations(config.ca)
            except (OSError, ssl.SSLError):
                raise ConfigError(
                    f"web.oidc.ca: {config.ca} is not a certificate", "give a PEM file"
                ) from None
        self._discovery: tuple[float, _Discovery] | None = None
        self._keys: tuple[float, KeySet] | None = None
        self._lock = asyncio.Lock()

    async def begin(self) -> tuple[str, Pending]:
        """Where to send the browser, and what its answer must match.

        Raises:
            LinkError: the provider is not reached.
        """
        found = await self._discover()
        pending = Pending(*(secrets.token_urlsafe(32) for _ in range(3)))
        challenge = base64.urlsafe_b64encode(hashlib.sha256(pending.verifier.encode()).digest())
        query = {
            "response_type": "code",
            "client_id": self.config.client_id,
            "redirect_uri": self._redirect,
            "scope": " ".join(self.config.scopes),
            "state": pending.state,
            "nonce": pending.nonce,
            "code_challenge": challenge.decode().rstrip("="),
            "code_challenge_method": "S256",
        }
        return f"{found.authorization_endpoint}?{urlencode(query, quote_via=quote)}", pending

    async def finish(self, pending: Pending, answer: Mapping[str, str]) -> Person:
        """The person whom the provider's answer names.

        Raises:
            BadUse: the answer does not match, or the person may not enter.
            LinkError: the provider is not reached, or its token does not verify.
        """
        found = await self._discover()
        if not secrets.compare_digest(answer.get("state", ""), pending.state):
            raise BadUse("this login was not begun here", "begin again", code="oidc-state")
        if answer.get("iss", found.issuer) != found.issuer:
            raise BadUse("another provider answered", "begin again", code="oidc-issuer")
        code = answer.get("code", "")
        if not code:
            raise BadUse("the provider let nobody in", "begin again", code="oidc-refused")
        token = await self._tokens(found, code, pending)
        return self._person(await self._claims(found, token, pending))

    async def _tokens(self, found: _Discovery, code: str, pending: Pending) -> str:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect,
            "code_verifier": pending.verifier,
        }
        headers = {}
        if self._secret:
            # RFC 6749, 2.3.1: both are form-encoded before they are joined.
            pair = f"{quote(self.config.client_id, safe='')}:{quote(self._secret, safe='')}"
            headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        else:
            form["client_id"] = self.config.client_id
        body = await self._fetch("POST", found.token_endpoint, data=form, headers=headers)
        return _decoded(body, _Tokens).id_token

    async def _claims(self, found: _Discovery, token: str, pending: Pending) -> dict[str, Any]:
        for fresh in (False, True):
            keys = await self._key_set(found, fresh=fresh)
            try:
                claims = jwt.decode(token, keys, algorithms=_ALGORITHMS).claims
                break
            except (JoseError, ValueError) as error:
                # A key that is not known yet: the provider may have changed them.
                if fresh:
                    raise _refused(error) from None
        registry = jwt.JWTClaimsRegistry(
            leeway=_LEEWAY_S,
            iss={"essential": True, "value": found.issuer},
            sub={"essential": True},
            aud={"essential": True, "value": self.config.client_id},
            exp={"essential": True},
            iat={"essential": True},
            nonce={"essential": True, "value": pending.nonce},
        )
        try:
            registry.validate(claims)
        except JoseError as error:
            raise _refused(error) from None
        several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
        if (several or "azp" in claims) and claims.get("azp") != self.config.client_id:
            raise _refused(ValueError("azp"))
        return dict(claims)

    def _person(self, claims: dict[str, Any]) -> Person:
        config, role = self.config, self._role(claims)
        if role is None:
            raise BadUse(
                "your account has no role here", "ask for one where accounts are kept", code="role"
            )
        npi = str(claims.get(config.npi_claim, ""))
        if role == "clinician" and not npi_valid(npi):
            raise BadUse("your account has no valid NPI", "ask for it to be added", code="npi")
        return Person(
            name=str(claims["sub"])[:100],
            role=role,
            npi=npi if role == "clinician" else "",
            family=str(claims.get("family_name", "")),
            given=str(claims.get("given_name", "")),
            label=str(claims.get(config.label_claim, "")),
        )

    def _role(self, claims: dict[str, Any]) -> Role | None:
        said = claims.get(self.config.roles_claim, ())
        values = [said] if isinstance(said, str) else said if isinstance(said, list) else []
        roles = [self.config.roles[v] for v in self.config.roles if v in values]
        return roles[0] if roles else None

    async def _discover(self) -> _Discovery:
        async with self._lock:
            if self._discovery is not None and self._discovery[0] > time.monotonic() - _KEEP_S:
                return self._discovery[1]
            place = self.config.issuer.rstrip("/") + "/.well-known/openid-configuration"
            found = _decoded(await self._fetch("GET", place), _Discovery)
            if found.issuer != self.config.issuer:
                raise LinkError("the OpenID provider calls itself otherwise", code="oidc-issuer")
            self._discovery = (time.monotonic(), found)
            return found

    async def _key_set(self, found: _Discovery, *, fresh: bool) -> KeySet:
        async with self._lock:
            known = self._keys
            if known is None or fresh or known[0] < time.monotonic() - _KEEP_S:
                body = _decoded(await self._fetch("GET", found.jwks_uri), dict[str, Any])
                try:
                    known = (time.monotonic(), KeySet.import_key_set(body))  # type: ignore[arg-type]  # checked by it
                except (JoseError, ValueError, KeyError, TypeError) as error:
                    raise _refused(error) from None
                self._keys = known
            return known[1]

    async def _fetch(self, method: str, url: str, **more: Any) -> bytes:  # noqa: ANN401 - aiohttp's
        if not url.startswith("https://"):
            raise LinkError("the OpenID provider names an address without TLS", code="oidc")
        try:
            async with (
                aiohttp.ClientSession(timeout=_TIMEOUT) as client,
                client.request(method, url, ssl=self._tls, allow_redirects=False, **more) as answer,
            ):
                body = await whole(answer, _MOST_BYTES)
                if answer.status != 200:
                    raise LinkError(
                        f"the OpenID provider answered {answer.status}", "begin again", code="oidc"
                    )
                return body
        except (aiohttp.ClientError, TimeoutError) as error:
            log.error("OpenID provider: %s", type(error).__name__)  # noqa: TRY400 - one line
            raise LinkError(
                "the OpenID provider is not reached", "try again, or use a local account"
            ) from None


def _decoded(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.MsgspecError:
        raise LinkError("the OpenID provider's answer cannot be read", code="oidc") from None


def _refused(error: Exception) -> LinkError:
    log.warning("an ID token was refused: %s", type(error).__name__)
    return LinkError("the provider's token does not verify", "begin again", code="oidc-token")


def _read(name: str) -> str:
    try:
        return Path(name).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise ConfigError(
            f"web.oidc.client_secret_file: {name} cannot be read", "give a readable file"
        ) from None

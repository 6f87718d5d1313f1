"""Who the gateway is, to a FHIR endpoint: nothing, a bearer token, or SMART Backend Services.

SMART App Launch 2, "Backend Services" and "Client Authentication: Asymmetric": a JWT of at
most five minutes, signed ES384 or RS384, is exchanged for an access token. Mutual TLS is
the TLS context's matter and needs no header.
"""

import asyncio
import time
import uuid
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from bayscribe.errors import ConfigError
from bayscribe_relay.gateway.config import SiteConfig
from bayscribe_relay.gateway.outcome import TryAgain

ASSERTION_S: Final = 240
"""Life of an assertion: under the five minutes that SMART allows, with room for clocks."""
MARGIN_S: Final = 20.0
"""A token is renewed this long before it ends."""
_ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class _Token(msgspec.Struct):
    access_token: str
    expires_in: float = 60.0
    scope: str | None = None


class _Smart(msgspec.Struct):
    token_endpoint: str


class Authorization:
    """The ``Authorization`` header for one site, and the scopes that go with it."""

    def __init__(self, site: SiteConfig, session: aiohttp.ClientSession) -> None:
        self._site = site
        self._session = session
        self._lock = asyncio.Lock()
        self._token: _Token | None = None
        self._until = 0.0
        self._key, self._algorithm = _signing_key(site)
        self._bearer = _bearer(site)

    @property
    def renewable(self) -> bool:
        """Whether a refused token can be had anew."""
        return self._site.auth == "smart-backend"

    def forget(self) -> None:
        """The token was refused: get another."""
        self._token = None

    async def scopes(self) -> str | None:
        """The scopes granted, or None where access is not governed by scopes.

        Raises:
            TryAgain: no token can be had now.
        """
        if self._site.auth == "bearer":
            return self._site.scopes
        if self._site.auth != "smart-backend":
            return None
        await self.headers()
        return (self._token.scope if self._token else None) or self._site.scopes

    async def headers(self) -> dict[str, str]:
        """The header to send.

        Raises:
            TryAgain: no token can be had now.
        """
        if self._bearer:
            return {"Authorization": f"Bearer {self._bearer}"}
        if self._site.auth != "smart-backend":
            return {}
        async with self._lock:
            if self._token is None or time.monotonic() > self._until:
                self._token = await self._fetch()
                margin = min(MARGIN_S, self._token.expires_in / 4)
                self._until = time.monotonic() + self._token.expires_in - margin
            return {"Authorization": f"Bearer {self._token.access_token}"}

    async def _fetch(self) -> _Token:
        try:
            url = self._site.token_url or await self._discover()
            form = {
                "grant_type": "client_credentials",
                "scope": self._site.scopes,
                "client_assertion_type": _ASSERTION_TYPE,
                "client_assertion": self._assertion(url),
            }
            async with self._session.post(url, data=form, allow_redirects=False) as answer:
                content = await answer.content.read(65_536)
                if answer.status != 200:
                    raise TryAgain(f"the EMR gives no access token ({answer.status})")
                return msgspec.json.decode(content, type=_Token)
        except (aiohttp.ClientError, TimeoutError, OSError, msgspec.MsgspecError):
            raise TryAgain("the EMR's token endpoint does not answer as it should") from None

    async def _discover(self) -> str:
        url = f"{str(self._site.fhir_base).rstrip('/')}/.well-known/smart-configuration"
        async with self._session.get(url, headers={"Accept": "application/json"}) as answer:
            content = await answer.content.read(1_000_000)
            return msgspec.json.decode(content, type=_Smart).token_endpoint

    def _assertion(self, audience: str) -> str:
        now, client = int(time.time()), str(self._site.client_id)
        claims: dict[str, Any] = {
            "iss": client,
            "sub": client,
            "aud": audience,
            "exp": now + ASSERTION_S,
            "iat": now,
            "jti": str(uuid.uuid4()),
        }
        header = {"alg": self._algorithm, "kid": str(self._site.key_id), "typ": "JWT"}
        if self._key is None:
            raise TryAgain("no signing key")
        return jwt.encode(header, claims, self._key, algorithms=[self._algorithm])


def _bearer(site: SiteConfig) -> str:
    if site.auth != "bearer" or site.bearer_token_file is None:
        return ""
    try:
        return Path(site.bearer_token_file).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        raise ConfigError(f"{site.bearer_token_file}: the bearer token cannot be read") from None


def _signing_key(site: SiteConfig) -> tuple[ECKey | RSAKey | None, str]:
    if site.auth != "smart-backend" or site.private_key is None:
        return None, ""
    path = site.private_key
    try:
        pem = Path(path).read_bytes()
        key = serialization.load_pem_private_key(pem, None)
    except (OSError, ValueError, TypeError):
        raise ConfigError(f"{path}: is not a readable PEM private key") from None
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name == "secp384r1":
        return ECKey.import_key(pem), "ES384"
    if isinstance(key, rsa.RSAPrivateKey):
        return RSAKey.import_key(pem), "RS384"
    raise ConfigError(f"{path}: is neither a P-384 nor an RSA key", "SMART asks for one of them")

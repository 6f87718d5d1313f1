"""SMART Backend Services: access tokens against signed assertions.

SMART App Launch 2, "Backend Services" and "Client Authentication: Asymmetric": a JWT of at
most five minutes, signed ES384 or RS384, is exchanged for an access token.
"""

import asyncio
import time
import uuid
from pathlib import Path
from typing import Annotated, Any, Final

import aiohttp
import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey
from msgspec import Meta, Struct

from bayscribe.errors import ConfigError
from bayscribe_relay.http_body import whole

ASSERTION_S: Final = 240
"""Life of an assertion: under the five minutes that SMART allows, with room for clocks."""
MARGIN_S: Final = 20.0
"""A token is renewed this long before it ends."""
_ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_JSON: Final = {"Accept": "application/json"}


class NoToken(Exception):  # noqa: N818 - not a fault: the next attempt may succeed
    """No access token can be had now; the text says why and holds no secret."""


class BackendClient(Struct, frozen=True, forbid_unknown_fields=True):
    """A registered client of an authorization server.

    Attributes:
        client_id: as registered.
        private_key: PEM, P-384 or RSA.
        key_id: the ``kid`` under which its public key is registered.
        token_url: token endpoint; discovered at the FHIR base when absent.
        scopes: what is asked for.
    """

    client_id: str
    private_key: str
    key_id: str
    token_url: str | None = None
    scopes: str = "system/*.read"


class _Token(msgspec.Struct):
    access_token: Annotated[str, Meta(pattern=r"^[\x21-\x7e]+$")]
    expires_in: float = 60.0
    scope: str | None = None


class _Discovered(msgspec.Struct):
    token_endpoint: str


class BackendTokens:
    """The access token of one client: fetched when needed, kept until shortly before it ends.

    Args:
        base: the FHIR endpoint.
        client: who asks.

    Raises:
        ConfigError: the key cannot be read or is of a kind that SMART does not know.
    """

    def __init__(self, base: str, client: BackendClient) -> None:
        self._base = base.rstrip("/")
        self._client = client
        self._lock = asyncio.Lock()
        self._token: _Token | None = None
        self._until = 0.0
        self._key, self._algorithm = _signing_key(client.private_key)

    def forget(self) -> None:
        """The token was refused: get another."""
        self._token = None

    async def scopes(self, session: aiohttp.ClientSession) -> str:
        """The scopes granted.

        Args:
            session: for the token endpoint.

        Raises:
            NoToken: none can be had now.
        """
        return (await self._good(session)).scope or self._client.scopes

    async def headers(self, session: aiohttp.ClientSession) -> dict[str, str]:
        """The header to send.

        Args:
            session: for the token endpoint.

        Raises:
            NoToken: none can be had now.
        """
        return {"Authorization": f"Bearer {(await self._good(session)).access_token}"}

    async def _good(self, session: aiohttp.ClientSession) -> _Token:
        async with self._lock:
            if self._token is None or time.monotonic() > self._until:
                self._token = await self._fetch(session)
                margin = min(MARGIN_S, self._token.expires_in / 4)
                self._until = time.monotonic() + self._token.expires_in - margin
            return self._token

    async def _fetch(self, session: aiohttp.ClientSession) -> _Token:
        try:
            url = self._client.token_url or await self._discover(session)
            form = {
                "grant_type": "client_credentials",
                "scope": self._client.scopes,
                "client_assertion_type": _ASSERTION_TYPE,
                "client_assertion": self._assertion(url),
            }
            async with session.post(url, data=form, headers=_JSON, allow_redirects=False) as answer:
                content = await whole(answer, 65_536)
                if answer.status != 200:
                    raise NoToken(f"the EMR gives no access token ({answer.status})")
                return msgspec.json.decode(content, type=_Token)
        except (aiohttp.ClientError, TimeoutError, OSError, msgspec.MsgspecError):
            raise NoToken("the EMR's token endpoint does not answer as it should") from None

    async def _discover(self, session: aiohttp.ClientSession) -> str:
        url = f"{self._base}/.well-known/smart-configuration"
        async with session.get(url, headers=_JSON, allow_redirects=False) as answer:
            content = await whole(answer, 1_000_000)
            return msgspec.json.decode(content, type=_Discovered).token_endpoint

    def _assertion(self, audience: str) -> str:
        now, client = int(time.time()), self._client.client_id
        claims: dict[str, Any] = {
            "iss": client,
            "sub": client,
            "aud": audience,
            "exp": now + ASSERTION_S,
            "iat": now,
            "jti": str(uuid.uuid4()),
        }
        header = {"alg": self._algorithm, "kid": self._client.key_id, "typ": "JWT"}
        return jwt.encode(header, claims, self._key, algorithms=[self._algorithm])


def _signing_key(path: str) -> tuple[ECKey | RSAKey, str]:
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

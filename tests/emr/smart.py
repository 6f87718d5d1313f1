"""SMART Backend Services: the EMR's token endpoint (SMART App Launch 2).

The assertion is verified with nothing but ``cryptography``, so that the product's JWT
library is not judged by itself.
"""

import base64
import json
import secrets
import time
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA384

from emr.settings import Settings

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_LONGEST_S: Final = 300


class TokenRefused(Exception):  # noqa: N818 - an answer to a client, not a failure
    """An OAuth error answer; the text is its ``error_description``."""

    def __init__(self, error: str, text: str) -> None:
        super().__init__(text)
        self.error = error


class TokenService:
    """Grants and checks access tokens.

    Args:
        settings: read afresh for each request.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._tokens: dict[str, tuple[float, str]] = {}
        self._seen: set[str] = set()

    def grant(self, form: dict[str, str], audience: str, up: bool = True) -> dict[str, Any]:
        """Answer a client-credentials request.

        Raises:
            TokenRefused: with the OAuth error code.
        """
        if not up:
            raise TokenRefused("temporarily_unavailable", "try again")
        if form.get("grant_type") != "client_credentials":
            raise TokenRefused("unsupported_grant_type", "client_credentials is expected")
        if form.get("client_assertion_type") != ASSERTION_TYPE:
            raise TokenRefused("invalid_client", "client_assertion_type is not jwt-bearer")
        self._verify(form.get("client_assertion", ""), audience)
        granted = self.settings.scopes
        token = secrets.token_urlsafe(24)
        self._tokens[token] = (time.time() + self.settings.token_s, granted)
        return {
            "access_token": token,
            "token_type": "bearer",
            "expires_in": self.settings.token_s,
            "scope": granted,
        }

    def scopes(self, token: str) -> str | None:
        """The scopes of a token that is still good, or None."""
        until, granted = self._tokens.get(token, (0.0, ""))
        return granted if time.time() < until else None

    def revoke_all(self) -> None:
        """Make every token given out so far invalid."""
        self._tokens.clear()

    def _verify(self, assertion: str, audience: str) -> None:
        try:
            head, payload, signature = assertion.split(".")
            header, claims = json.loads(_decode(head)), json.loads(_decode(payload))
        except ValueError:
            raise TokenRefused("invalid_client", "client_assertion is not a JWT") from None
        key = next((k for k in self.settings.smart_jwks if k.get("kid") == header.get("kid")), None)
        if key is None:
            raise TokenRefused("invalid_client", "the assertion's kid is not registered")
        signed = f"{head}.{payload}".encode()
        if not _signature_valid(key, str(header.get("alg")), signed, _decode(signature)):
            raise TokenRefused("invalid_client", "the assertion's signature is not valid")
        self._check_claims(claims, audience)

    def _check_claims(self, claims: dict[str, Any], audience: str) -> None:
        client, now = self.settings.smart_client_id, time.time()
        if claims.get("iss") != client or claims.get("sub") != client:
            raise TokenRefused("invalid_client", "iss and sub must be the client's id")
        if claims.get("aud") != audience:
            raise TokenRefused("invalid_client", "aud is not this token endpoint")
        expires = float(claims.get("exp", 0))
        if not now - 5 < expires <= now + _LONGEST_S + 5:
            raise TokenRefused("invalid_client", "exp must be in the next five minutes")
        jti = str(claims.get("jti", ""))
        if not jti or jti in self._seen:
            raise TokenRefused("invalid_client", "jti is missing or was used before")
        self._seen.add(jti)


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _integer(key: dict[str, str], name: str) -> int:
    return int.from_bytes(_decode(key[name]), "big")


def _signature_valid(key: dict[str, str], alg: str, signed: bytes, signature: bytes) -> bool:
    """Whether an ES384 or RS384 signature (RFC 7518, 3.3 and 3.4) is good."""
    try:
        if alg == "ES384" and key.get("kty") == "EC":
            numbers = ec.EllipticCurvePublicNumbers(
                _integer(key, "x"), _integer(key, "y"), ec.SECP384R1()
            )
            r, s = (int.from_bytes(part, "big") for part in (signature[:48], signature[48:]))
            public = numbers.public_key()
            public.verify(encode_dss_signature(r, s), signed, ec.ECDSA(SHA384()))
            return True
        if alg == "RS384" and key.get("kty") == "RSA":
            modulus, exponent = _integer(key, "n"), _integer(key, "e")
            rsa_key = rsa.RSAPublicNumbers(exponent, modulus).public_key()
            rsa_key.verify(signature, signed, padding.PKCS1v15(), SHA384())
            return True
    except InvalidSignature:
        return False
    return False

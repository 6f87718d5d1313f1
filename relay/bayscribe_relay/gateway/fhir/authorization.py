"""Who the gateway is, to a FHIR endpoint: nothing, a bearer token, or SMART Backend Services.

Mutual TLS is the TLS context's matter and needs no header.
"""

from pathlib import Path

import aiohttp

from bayscribe.errors import ConfigError
from bayscribe_relay.gateway.config import SiteConfig
from bayscribe_relay.gateway.outcome import TryAgain
from bayscribe_relay.smart.backend import BackendClient, BackendTokens, NoToken


class Authorization:
    """The ``Authorization`` header for one site, and the scopes that go with it."""

    def __init__(self, site: SiteConfig, session: aiohttp.ClientSession) -> None:
        self._site = site
        self._bearer = _bearer(site)
        self._session = session
        self._tokens = _tokens(site)

    @property
    def renewable(self) -> bool:
        """Whether a refused token can be had anew."""
        return self._tokens is not None

    def forget(self) -> None:
        """The token was refused: get another."""
        if self._tokens is not None:
            self._tokens.forget()

    async def scopes(self) -> str | None:
        """The scopes granted, or None where access is not governed by scopes.

        Raises:
            TryAgain: no token can be had now.
        """
        if self._tokens is None:
            return self._site.scopes if self._site.auth == "bearer" else None
        try:
            return await self._tokens.scopes(self._session)
        except NoToken as why:
            raise TryAgain(str(why)) from None

    async def headers(self) -> dict[str, str]:
        """The header to send.

        Raises:
            TryAgain: no token can be had now.
        """
        if self._tokens is None:
            return {"Authorization": f"Bearer {self._bearer}"} if self._bearer else {}
        try:
            return await self._tokens.headers(self._session)
        except NoToken as why:
            raise TryAgain(str(why)) from None


def _bearer(site: SiteConfig) -> str:
    if site.auth != "bearer" or site.bearer_token_file is None:
        return ""
    try:
        return Path(site.bearer_token_file).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        raise ConfigError(f"{site.bearer_token_file}: the bearer token cannot be read") from None


def _tokens(site: SiteConfig) -> BackendTokens | None:
    if site.auth != "smart-backend":
        return None
    client = BackendClient(
        client_id=str(site.client_id),
        private_key=str(site.private_key),
        key_id=str(site.key_id),
        scopes=site.scopes,
        token_url=site.token_url,
    )
    return BackendTokens(str(site.fhir_base), client)

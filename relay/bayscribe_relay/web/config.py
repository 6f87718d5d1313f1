"""The ``[web]`` table of a relay's configuration.

::

    [web]
    url = "https://bayscribe.hospital.example:8444"
    certificate = "web.pem"
    key = "web.key"
    users = "users.json"
    site = "demo"

    [web.oidc]
    issuer = "https://login.hospital.example"
    client_id = "bayscribe"
    client_secret_file = "oidc.secret"
    roles_claim = "groups"
    roles = { "ed-physicians" = "clinician", "biomed" = "operator", "privacy" = "reviewer" }
"""

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from bayscribe import settings

Role = Literal["clinician", "operator", "reviewer"]
Seconds = Annotated[float, Meta(gt=0)]
Positive = Annotated[int, Meta(ge=1)]


class OidcConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The site's OpenID provider (OpenID Connect Core 1.0, authorization code with PKCE).

    Attributes:
        issuer: its identifier; discovery is at ``ISSUER/.well-known/openid-configuration``.
        client_id: ours there.
        client_secret_file: file with the client's secret; without one we are a public client.
        scopes: asked for.
        roles_claim: claim of the ID token that lists groups or roles.
        roles: our role by a value of that claim; who has none of them may not enter.
        npi_claim: claim with the National Provider Identifier of a clinician.
        label_claim: claim with the label of the enrolled voice.
        ca: PEM file of the provider's authority, if it is not one that the system trusts.
        name: of the provider, on the login page.
    """

    issuer: Annotated[str, Meta(pattern=r"^https://[^\s?#]+$")]
    client_id: Annotated[str, Meta(min_length=1)]
    client_secret_file: str | None = None
    scopes: tuple[str, ...] = ("openid", "profile")
    roles_claim: str = "roles"
    roles: dict[str, Role]
    npi_claim: str = "npi"
    label_claim: str = "voice_label"
    ca: str | None = None
    name: str = "hospital account"


class WebConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the pages are served, and to whom.

    Attributes:
        url: as people type it; its host is the one that a request must name.
        host: address to listen on.
        port: its port; 0 takes any free one.
        certificate: PEM file, the server's certificate and its chain.
        key: PEM file of its private key.
        also_names: further host names that a request may name.
        users: the password file; made by ``bayscribe-relay users add``.
        oidc: the site's OpenID provider.
        site: of stays that a tap opens; shown on every page.
        timezone: IANA name of the time zone that pages show times in.
        lock_after_s: idle time after which a session asks for the password again.
        session_s: after which it ends in any case.
        failures_max: failed logins of one name from one address within the window.
        failures_window_s: the window.
        low_confidence: words below this probability are marked.
    """

    url: Annotated[str, Meta(pattern=r"^https://[^\s/?#]+$")]
    host: str = "0.0.0.0"  # noqa: S104 - the pages serve the hospital's network
    port: Annotated[int, Meta(ge=0, le=65_535)] = 8444
    certificate: str
    key: str
    also_names: tuple[str, ...] = ()
    users: str | None = None
    oidc: OidcConfig | None = None
    site: str = ""
    timezone: str = "UTC"
    lock_after_s: Seconds = 900.0
    session_s: Seconds = 43_200.0
    failures_max: Positive = 5
    failures_window_s: Seconds = 900.0
    low_confidence: Annotated[float, Meta(ge=0, le=1)] = 0.6

    def beside(self, base: Path) -> "WebConfig":
        """The same with its files' paths absolute, relative ones lying in ``base``."""
        oidc = self.oidc
        if oidc is not None:
            oidc = msgspec.structs.replace(
                oidc,
                client_secret_file=_beside(oidc.client_secret_file, base),
                ca=_beside(oidc.ca, base),
            )
        return msgspec.structs.replace(
            self,
            certificate=str(base / self.certificate),
            key=str(base / self.key),
            users=_beside(self.users, base),
            oidc=oidc,
        )


class _File(Struct, frozen=True):
    """A file that has the table among others."""

    web: WebConfig


def load(path: Path) -> WebConfig:
    """Read the ``[web]`` table of a relay's file; other tables are somebody else's.

    Raises:
        ConfigError: it is missing or cannot be taken.
    """
    return settings.load(path, _File).web.beside(path.resolve().parent)


def _beside(name: str | None, base: Path) -> str | None:
    return None if name is None else str(base / name)

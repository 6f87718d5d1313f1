"""What every handler finds in the application."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, ParamSpec, TypeVar
from urllib.parse import urlsplit

from aiohttp import web

from bayscribe_relay.clinical import audit
from bayscribe_relay.web.audio import Playback
from bayscribe_relay.web.config import Role, WebConfig
from bayscribe_relay.web.kept import KeptWords
from bayscribe_relay.web.live import Live
from bayscribe_relay.web.oidc import OpenIdProvider
from bayscribe_relay.web.parts import Parts
from bayscribe_relay.web.people import PasswordFile
from bayscribe_relay.web.rendering import Templates
from bayscribe_relay.web.sessions import Session, Sessions

P = ParamSpec("P")
T = TypeVar("T")
Handler = TypeVar("Handler", bound=Callable[..., object])


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """The pages' own parts and what they were given."""

    config: WebConfig
    parts: Parts
    sessions: Sessions
    kept: KeptWords
    users: PasswordFile | None
    oidc: OpenIdProvider | None
    templates: Templates
    live: Live
    playback: Playback
    hashing: asyncio.Semaphore

    @property
    def names(self) -> frozenset[str]:
        """Host names that a request may name."""
        own = urlsplit(self.config.url).hostname or ""
        return frozenset({own.lower(), *(name.lower() for name in self.config.also_names)})

    async def audit(self, actor: str, action: str, stay: str = "", detail: str = "") -> None:
        """Append to the audit log."""
        await asyncio.to_thread(audit.record, self.parts.clinical, actor, action, stay, detail)


SITE: Final = web.AppKey("site", Site)
SESSION: Final = web.RequestKey("session", Session)

_ROLES: Final = "__bayscribe_roles__"
_KEEPS: Final = "__bayscribe_keeps_words__"
ANYBODY: Final = "anybody"


def allowed(*roles: Role) -> Callable[[Handler], Handler]:
    """Who may call a handler; with no role named, any person with an unlocked session."""

    def mark(handler: Handler) -> Handler:
        setattr(handler, _ROLES, frozenset(roles or ("clinician", "operator", "reviewer")))
        return handler

    return mark


def public(handler: Handler) -> Handler:
    """A handler that needs no session."""
    setattr(handler, _ROLES, frozenset((ANYBODY,)))
    return handler


def keeps_words(handler: Handler) -> Handler:
    """A handler of a form whose field ``text`` must not be lost, whatever stops the request."""
    setattr(handler, _KEEPS, True)
    return handler


def has_words(handler: object) -> bool:
    """Whether :func:`keeps_words` has marked a handler."""
    return bool(getattr(handler, _KEEPS, False))


def roles_of(handler: object) -> frozenset[str]:
    """Who may call a handler: nobody, unless it was marked."""
    found: frozenset[str] = getattr(handler, _ROLES, frozenset())
    return found


def site_of(request: web.Request) -> Site:
    """The site of a request, from a sub-application too."""
    return request.config_dict[SITE]


def session_of(request: web.Request) -> Session:
    """The session of a request that a guard has let through."""
    return request[SESSION]

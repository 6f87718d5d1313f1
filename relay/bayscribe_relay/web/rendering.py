"""Jinja2, strict: what is missing is an error, everything is escaped."""

from datetime import UTC, datetime, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import jinja2

from bayscribe.errors import ConfigError
from bayscribe_relay.web.sessions import Session

FOLDER = Path(__file__).parent


class Templates:
    """The pages' templates.

    Args:
        site: shown on every page.
        timezone: IANA name.

    Raises:
        ConfigError: the time zone is not known here.
    """

    def __init__(self, site: str, timezone: str) -> None:
        self.zone = _zone(timezone)
        self._environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(FOLDER / "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals.update(site=site)
        self._environment.filters.update(
            clock=lambda ns: self._format(ns, "%H:%M:%S"),
            minute=lambda ns: self._format(ns, "%H:%M"),
            day=lambda ns: self._format(ns, "%d %b %Y"),
            iso=lambda ns: datetime.fromtimestamp(ns / 1e9, UTC).isoformat(timespec="milliseconds"),
        )

    def page(self, template: str, session: Session | None, **values: object) -> str:
        """A whole page."""
        shown = session if session is not None and not session.locked else None
        return self.part(template, session=shown, **values)

    def part(self, template: str, **values: object) -> str:
        """A piece of a page."""
        return self._environment.get_template(template).render(**values)

    def _format(self, ns: int, form: str) -> str:
        return datetime.fromtimestamp(ns / 1e9, self.zone).strftime(form)


def _zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise ConfigError(
            f"web.timezone: {name!r} is not a time zone here", "give a name like Europe/Berlin"
        ) from None

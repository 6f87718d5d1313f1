"""Sessions, and the limit on failed logins."""

import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from bayscribe_relay.store.database import make_tables, run, storage_error
from bayscribe_relay.web import tables
from bayscribe_relay.web.config import WebConfig
from bayscribe_relay.web.people import Person

Source = Literal["local", "oidc"]
_TOUCH_NS: Final = 5 * 10**9
"""How exactly the last use of a session is kept: a write for every request would be many."""

KNOWN_S: Final = 86_400
"""So long after its end a session still says whose it was: of that person's unsent words."""

ADDRESS_FACTOR: Final = 4
"""An address may fail so many times as often as one name at it: it may be a proxy's."""
NAME_FACTOR: Final = 10
"""And a name from all addresses together; more would let anybody lock anybody out."""

_JSON: Final = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class Session:
    """A session as stored.

    Attributes:
        digest: of its token.
        person: whose.
        source: how the person logged in.
        csrf: the token that every form carries.
        locked: it asks for the password before anything else.
    """

    digest: str
    person: Person
    source: Source
    csrf: str
    locked: bool


class Sessions:
    """Sessions of all relays on one database.

    Args:
        engine: of the relay's database.
        config: how long they last.
        now_ns: the clock.
    """

    def __init__(
        self, engine: sa.Engine, config: WebConfig, now_ns: Callable[[], int] = time.time_ns
    ) -> None:
        self._engine = engine
        self._config = config
        self._now = now_ns
        try:
            make_tables(engine, tables.metadata)
        except SQLAlchemyError as error:
            raise storage_error(error) from None

    def begin(self, person: Person, source: Source) -> str:
        """Begin a session; the cookie's value."""
        token, now = secrets.token_urlsafe(32), self._now()
        row = {
            "digest": _digest(token),
            "person": _JSON.encode(person),
            "source": source,
            "csrf": secrets.token_urlsafe(32),
            "created_ns": now,
            "seen_ns": now,
            "locked": False,
        }
        oldest = now - int((self._config.session_s + KNOWN_S) * 1e9)
        run(
            self._engine,
            sa.delete(tables.sessions).where(tables.sessions.c.created_ns < oldest),
            sa.insert(tables.sessions).values(**row),
        )
        return token

    def find(self, token: str, *, active: bool = True) -> Session | None:
        """The session of a cookie, or None if it is unknown or over.

        Args:
            token: the cookie's value.
            active: whether this is the person's doing, and not a page's own.
        """
        c, now, digest = tables.sessions.c, self._now(), _digest(token)
        with self._engine.connect() as link:
            row = link.execute(sa.select(tables.sessions).where(c.digest == digest)).first()
        if row is None or row.created_ns < now - self._config.session_s * 1e9:
            return None
        idle = now - row.seen_ns
        locked = bool(row.locked) or idle > self._config.lock_after_s * 1e9
        if locked and not row.locked:
            run(
                self._engine,
                sa.update(tables.sessions).where(c.digest == digest).values(locked=True),
            )
        elif active and not locked and idle > min(_TOUCH_NS, self._config.lock_after_s * 1e8):
            run(
                self._engine,
                sa.update(tables.sessions).where(c.digest == digest).values(seen_ns=now),
            )
        person = msgspec.json.decode(row.person, type=Person)
        return Session(digest, person, row.source, row.csrf, locked)

    def past(self, token: str) -> Session | None:
        """Whose session a cookie was or is, though it be over: it opens nothing."""
        query = sa.select(tables.sessions).where(tables.sessions.c.digest == _digest(token))
        with self._engine.connect() as link:
            row = link.execute(query).first()
        if row is None:
            return None
        person = msgspec.json.decode(row.person, type=Person)
        return Session(row.digest, person, row.source, row.csrf, locked=True)

    def lock(self, session: Session) -> None:
        """Ask for the password before anything else."""
        self._set(session, locked=True)

    def unlock(self, session: Session) -> None:
        """The password was given."""
        self._set(session, locked=False, seen_ns=self._now())

    def end(self, session: Session) -> None:
        """The person has logged out."""
        run(
            self._engine,
            sa.delete(tables.sessions).where(tables.sessions.c.digest == session.digest),
        )

    def _set(self, session: Session, **values: object) -> None:
        where = tables.sessions.c.digest == session.digest
        run(self._engine, sa.update(tables.sessions).where(where).values(**values))

    # -- failed logins

    def retry_after_s(self, name: str, address: str) -> int:
        """Seconds before another login may be tried, 0 if it may be now."""
        c, now = tables.failures.c, self._now()
        window = int(self._config.failures_window_s * 1e9)
        wait = 0
        for subject, most in self._subjects(name, address):
            query = sa.select(c.at_ns).where(c.subject == subject, c.at_ns > now - window)
            with self._engine.connect() as link:
                failed = list(link.execute(query.order_by(c.at_ns.desc()).limit(most)).scalars())
            if len(failed) >= most:
                wait = max(wait, (failed[-1] + window - now) // 10**9 + 1)
        return wait

    def failed(self, name: str, address: str) -> None:
        """A login failed."""
        now = self._now()
        rows = [{"subject": s, "at_ns": now} for s, _ in self._subjects(name, address)]
        old = now - int(self._config.failures_window_s * 1e9)
        run(
            self._engine,
            sa.delete(tables.failures).where(tables.failures.c.at_ns < old),
            sa.insert(tables.failures).values(rows),
        )

    def _subjects(self, name: str, address: str) -> list[tuple[str, int]]:
        most = self._config.failures_max
        return [
            (_digest(f"{name}\0{address}"), most),
            (_digest(f"\0{address}"), most * ADDRESS_FACTOR),
            (_digest(f"{name}\0"), most * NAME_FACTOR),
        ]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()

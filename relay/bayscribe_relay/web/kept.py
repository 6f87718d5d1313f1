"""Words that somebody was writing when the session ran out: nobody has to write them again."""

import time
from collections.abc import Callable
from typing import Final

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from bayscribe_relay.store.database import run, storage_error
from bayscribe_relay.web import tables
from bayscribe_relay.web.sessions import KNOWN_S

WORDS_MAX: Final = 32_000
"""Characters that are kept; what is longer is shown again instead."""

_C: Final = tables.kept_words.c


class KeptWords:
    """Words by who wrote them and for which stay, for :data:`KNOWN_S` at most.

    Args:
        engine: of the relay's database, where :class:`.sessions.Sessions` has made the table.
        now_ns: the clock.
    """

    def __init__(self, engine: sa.Engine, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._engine = engine
        self._now = now_ns

    def keep(self, actor: str, stay: str, words: str) -> bool:
        """Keep words, after those of another page that were kept before.

        Returns:
            whether they are kept, and not too many.
        """
        new, before = words.replace("\0", ""), self.find(actor, stay)
        both = before if new in before else f"{before}\n\n{new}" if before else new
        if len(both) > WORDS_MAX:
            return False
        row = {"actor": actor, "stay": stay, "words": both, "at_ns": self._now()}
        run(self._engine, _these(actor, stay), sa.insert(tables.kept_words).values(**row))
        return True

    def find(self, actor: str, stay: str) -> str:
        """The words that were kept, or none."""
        query = sa.select(_C.words).where(
            _C.actor == actor, _C.stay == stay, _C.at_ns > self._oldest()
        )
        try:
            with self._engine.connect() as link:
                return str(link.execute(query).scalar() or "")
        except SQLAlchemyError as error:
            raise storage_error(error) from None

    def drop(self, actor: str, stay: str) -> None:
        """They are signed, or not wanted."""
        run(self._engine, _these(actor, stay))

    def expire(self) -> None:
        """Delete what is older than it may be."""
        run(self._engine, sa.delete(tables.kept_words).where(_C.at_ns <= self._oldest()))

    def _oldest(self) -> int:
        return self._now() - int(KNOWN_S * 1e9)


def _these(actor: str, stay: str) -> sa.Delete:
    return sa.delete(tables.kept_words).where(_C.actor == actor, _C.stay == stay)

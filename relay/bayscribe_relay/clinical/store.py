"""Statements on the clinical tables.

Every method may be called from any thread, and raises
:class:`~bayscribe.errors.StorageError` when the database fails.
"""

import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError

from bayscribe.errors import BadUse
from bayscribe_relay.clinical import tables
from bayscribe_relay.clinical.drafts import Draft
from bayscribe_relay.clinical.events import ClinicalEvent
from bayscribe_relay.clinical.prompts import PromptCard, PromptState
from bayscribe_relay.clinical.speech import Utterance
from bayscribe_relay.clinical.stays import Binding, Stay
from bayscribe_relay.store.database import make_tables, open_engine, storage_error

T = TypeVar("T")
_JSON: Final = msgspec.json.Encoder()
_LATE_S: Final = 30
"""How long a transaction that drew its change number may take to commit on PostgreSQL."""


@dataclass(frozen=True, slots=True)
class Change:
    """Something of a stay changed: ``what`` is stay, binding, event, utterance, prompt, draft."""

    n: int
    stay: str
    what: str
    ref: str
    at_ns: int


class ClinicalStore:
    """Stays, bindings, events, utterances, prompts and drafts of one database.

    Args:
        url: SQLAlchemy URL, the relay's ``store.url``.
    """

    def __init__(self, url: str) -> None:
        self.engine = open_engine(url)
        try:
            make_tables(self.engine, tables.metadata)
        except SQLAlchemyError as error:
            raise storage_error(error) from None
        self._listeners: list[Callable[[], None]] = []
        self._lock = threading.Lock()

    def close(self) -> None:
        """Let go of all connections."""
        self.engine.dispose()

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """A durable transaction; listeners are told once it is committed."""
        try:
            with self.engine.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise storage_error(error) from None
        with self._lock:
            listeners = list(self._listeners)
        for listener in listeners:
            listener()

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call back (from any thread) after each transaction of this process.

        Returns:
            a function that ends it.
        """
        with self._lock:
            self._listeners.append(listener)

        def end() -> None:
            with self._lock:
                self._listeners.remove(listener)

        return end

    # -- stays and bindings

    def put_stay(self, stay: Stay, connection: sa.Connection | None = None) -> None:
        """Insert a stay or replace it by its id."""
        row = {
            "id": stay.id,
            "site": stay.site,
            "mrn": stay.patient.mrn,
            "visit_number": stay.visit_number,
            "bay": stay.bay,
            "state": stay.state,
            "arrived_ns": stay.arrived_ns,
            "body": _JSON.encode(stay),
        }
        with self._within(connection) as link:
            _upsert(link, tables.stays, "id", row)
            _note(link, stay.id, "stay", stay.id)

    def stay(self, ident: str, connection: sa.Connection | None = None) -> Stay | None:
        """A stay by our id."""
        return self._one(Stay, tables.stays, tables.stays.c.id == ident, connection)

    def stay_of_visit(
        self, site: str, visit_number: str, connection: sa.Connection | None = None
    ) -> Stay | None:
        """A stay by the EMR's visit number."""
        c = tables.stays.c
        where = (c.site == site) & (c.visit_number == visit_number)
        return self._one(Stay, tables.stays, where, connection)

    def stays(
        self,
        *,
        state: str | None = None,
        bay: str | None = None,
        mrn: str | None = None,
        connection: sa.Connection | None = None,
    ) -> list[Stay]:
        """Stays, latest arrival first."""
        c = tables.stays.c
        wanted = [
            column == value
            for column, value in ((c.state, state), (c.bay, bay), (c.mrn, mrn))
            if value is not None
        ]
        return self._many(Stay, tables.stays, wanted, c.arrived_ns.desc(), connection=connection)

    def bind(self, binding: Binding, connection: sa.Connection | None = None) -> None:
        """Add a binding."""
        with self._within(connection) as link:
            link.execute(sa.insert(tables.bindings).values(**msgspec.structs.asdict(binding)))
            _note(link, binding.stay, "binding", binding.recording)

    def replace_bindings(
        self, recording: str, bindings: Sequence[Binding], connection: sa.Connection | None = None
    ) -> None:
        """Say anew which stays a recording belongs to (a correction, or an end)."""
        with self._within(connection) as link:
            where = tables.bindings.c.recording == recording
            before = link.execute(sa.select(tables.bindings.c.stay).where(where)).scalars().all()
            link.execute(sa.delete(tables.bindings).where(where))
            for binding in bindings:
                link.execute(sa.insert(tables.bindings).values(**msgspec.structs.asdict(binding)))
            for stay in {*before, *(b.stay for b in bindings)}:
                _note(link, stay, "binding", recording)

    def bindings(
        self,
        *,
        stay: str | None = None,
        recording: str | None = None,
        device: str | None = None,
        connection: sa.Connection | None = None,
    ) -> list[Binding]:
        """Bindings in order of time."""
        c = tables.bindings.c
        query = sa.select(tables.bindings).order_by(c.from_ns, c.n)
        for column, value in ((c.stay, stay), (c.recording, recording), (c.device, device)):
            if value is not None:
                query = query.where(column == value)
        names = Binding.__struct_fields__
        rows = self._rows(query, connection)
        return [Binding(**{n: getattr(row, n) for n in names}) for row in rows]

    # -- events

    def add_events(
        self, events: Iterable[ClinicalEvent], connection: sa.Connection | None = None
    ) -> int:
        """Add events; one with a known id and version is let go.

        Returns:
            how many were new.
        """
        new = 0
        with self._within(connection) as link:
            for event in events:
                row = {
                    "id": event.id,
                    "version": event.version,
                    "stay": event.stay,
                    "visit_number": event.visit_number,
                    "body": _JSON.encode(event),
                }
                if insert_new(link, tables.events, row):
                    new += 1
                    _note(link, event.stay, "event", event.id)
        return new

    def events(self, stay: str, connection: sa.Connection | None = None) -> list[ClinicalEvent]:
        """All versions of a stay's events, in order of receipt."""
        c = tables.events.c
        return self._many(
            ClinicalEvent, tables.events, [c.stay == stay], c.n, connection=connection
        )

    def event_versions(
        self, idents: Collection[str], connection: sa.Connection | None = None
    ) -> dict[str, list[ClinicalEvent]]:
        """All versions of each of these events, lowest first; unknown ones are left out."""
        c = tables.events.c
        found: dict[str, list[ClinicalEvent]] = {}
        order = c.version
        for event in self._many(
            ClinicalEvent, tables.events, [c.id.in_(idents)], order, connection=connection
        ):
            found.setdefault(event.id, []).append(event)
        return found

    def events_after(self, stay: str, n: int) -> tuple[list[ClinicalEvent], int]:
        """A stay's events that were stored behind number ``n``, and the newest number."""
        c = tables.events.c
        query = sa.select(c.n, c.body).where(c.stay == stay, c.n > n).order_by(c.n)
        rows = self._rows(query)
        found = [msgspec.json.decode(row.body, type=ClinicalEvent) for row in rows]
        return found, rows[-1].n if rows else n

    def unbound_events(
        self, visit_number: str, connection: sa.Connection | None = None
    ) -> list[ClinicalEvent]:
        """Events that came before their stay was known."""
        c = tables.events.c
        wanted = [c.stay == "", c.visit_number == visit_number]
        return self._many(ClinicalEvent, tables.events, wanted, c.n, connection=connection)

    def forget_unbound(self, received_before_ns: int) -> int:
        """Delete events whose visit never became a stay here; how many."""
        c = tables.events.c
        old = [
            event.n
            for event in self._rows(sa.select(c.n, c.body).where(c.stay == ""))
            if msgspec.json.decode(event.body, type=ClinicalEvent).received_ns < received_before_ns
        ]
        with self.transaction() as link:
            for n in old:
                link.execute(sa.delete(tables.events).where(c.n == n))
        return len(old)

    def move_events(
        self,
        events: Iterable[ClinicalEvent],
        stay: str,
        connection: sa.Connection | None = None,
    ) -> None:
        """Give events to another stay (bound late, merged, or corrected)."""
        c = tables.events.c
        with self._within(connection) as link:
            for event in events:
                moved = msgspec.structs.replace(event, stay=stay)
                link.execute(
                    sa.update(tables.events)
                    .where(c.id == event.id, c.version == event.version)
                    .values(stay=stay, body=_JSON.encode(moved))
                )
                for touched in {event.stay, stay}:
                    _note(link, touched, "event", event.id)

    # -- utterances

    def put_utterance(self, utterance: Utterance, connection: sa.Connection | None = None) -> None:
        """Insert an utterance or replace it by its id."""
        row = {
            "id": utterance.id,
            "recording": utterance.recording,
            "stay": utterance.stay,
            "start_ns": utterance.start_ns,
            "body": _JSON.encode(utterance),
        }
        with self._within(connection) as link:
            c = tables.utterances.c
            before = link.execute(sa.select(c.stay).where(c.id == utterance.id)).scalar()
            _upsert(link, tables.utterances, "id", row)
            for touched in {utterance.stay, before or utterance.stay}:
                _note(link, touched, "utterance", utterance.id)

    def utterance(self, ident: str) -> Utterance | None:
        """An utterance by its id."""
        return self._one(Utterance, tables.utterances, tables.utterances.c.id == ident)

    def utterances(
        self,
        *,
        stay: str | None = None,
        recording: str | None = None,
        connection: sa.Connection | None = None,
    ) -> list[Utterance]:
        """Utterances in order of time, withdrawn ones included."""
        c = tables.utterances.c
        wanted = [
            column == value
            for column, value in ((c.stay, stay), (c.recording, recording))
            if value is not None
        ]
        return self._many(Utterance, tables.utterances, wanted, c.start_ns, connection=connection)

    # -- prompts and drafts

    def put_prompt(self, prompt: PromptCard, connection: sa.Connection | None = None) -> None:
        """Insert a prompt or replace it by its id."""
        with self._within(connection) as link:
            _upsert(link, tables.prompts, "id", _prompt_row(prompt))
            _note(link, prompt.stay, "prompt", prompt.id)

    def add_prompt(self, prompt: PromptCard) -> bool:
        """Insert a prompt unless there is one of its id; whether it was inserted."""
        with self.transaction() as link:
            if not insert_new(link, tables.prompts, _prompt_row(prompt)):
                return False
            _note(link, prompt.stay, "prompt", prompt.id)
        return True

    def change_prompt(self, prompt: PromptCard, expected: PromptState) -> bool:
        """Replace a prompt that is still in the state ``expected``; whether it was."""
        c = tables.prompts.c
        with self.transaction() as link:
            changed = link.execute(
                sa.update(tables.prompts)
                .where(c.id == prompt.id, c.state == expected)
                .values(**_prompt_row(prompt))
            )
            if changed.rowcount != 1:
                return False
            _note(link, prompt.stay, "prompt", prompt.id)
        return True

    def prompt(self, ident: str) -> PromptCard | None:
        """A prompt by its id."""
        return self._one(PromptCard, tables.prompts, tables.prompts.c.id == ident)

    def prompts(self, stay: str) -> list[PromptCard]:
        """A stay's prompts in the order in which they fired."""
        c = tables.prompts.c
        return self._many(PromptCard, tables.prompts, [c.stay == stay], c.fired_ns)

    def draft(self, stay: str) -> Draft | None:
        """The latest revision of a stay's draft."""
        c = tables.drafts.c
        found = self._many(Draft, tables.drafts, [c.stay == stay], c.revision.desc(), 1)
        return found[0] if found else None

    def draft_at(self, stay: str, revision: int) -> Draft | None:
        """One revision of a stay's draft."""
        c = tables.drafts.c
        return self._one(Draft, tables.drafts, (c.stay == stay) & (c.revision == revision))

    def put_draft(self, draft: Draft, connection: sa.Connection | None = None) -> None:
        """Add the next revision of a draft; earlier ones are kept.

        Raises:
            BadUse: ``revision``: somebody else has made this revision meanwhile.
        """
        row = {"stay": draft.stay, "revision": draft.revision, "body": _JSON.encode(draft)}
        with self._within(connection) as link:
            if not insert_new(link, tables.drafts, row):
                raise BadUse(
                    "the draft has changed meanwhile", "look at the new one", code="revision"
                )
            _note(link, draft.stay, "draft", str(draft.revision))

    # -- changes

    def changes(
        self, after: int, *, stay: str | None = None, passed: Iterable[int] = ()
    ) -> list[Change]:
        """Changes with a number above ``after`` or among those ``passed`` over, in order."""
        c = tables.changes.c
        wanted = c.n > after
        if missing := list(passed):
            wanted |= c.n.in_(missing)
        query = sa.select(tables.changes).where(wanted).order_by(c.n)
        if stay is not None:
            query = query.where(c.stay == stay)
        return [Change(r.n, r.stay, r.what, r.ref, r.at_ns) for r in self._rows(query)]

    def last_change(self) -> int:
        """Number of the newest change, 0 if there is none."""
        rows = self._rows(sa.select(sa.func.max(tables.changes.c.n).label("n")))
        return int(rows[0].n or 0)

    # -- inside

    @contextmanager
    def _within(self, connection: sa.Connection | None) -> Iterator[sa.Connection]:
        if connection is not None:
            yield connection
            return
        with self.transaction() as own:
            yield own

    def _rows(
        self, query: sa.Select[Any], connection: sa.Connection | None = None
    ) -> Sequence[Any]:
        try:
            if connection is not None:
                return connection.execute(query).all()
            with self.engine.connect() as own:
                return own.execute(query).all()
        except SQLAlchemyError as error:
            raise storage_error(error) from None

    def _one(
        self,
        kind: type[T],
        table: sa.Table,
        where: sa.ColumnElement[bool],
        connection: sa.Connection | None = None,
    ) -> T | None:
        rows = self._rows(sa.select(table.c.body).where(where), connection)
        return msgspec.json.decode(rows[0].body, type=kind) if rows else None

    def _many(
        self,
        kind: type[T],
        table: sa.Table,
        wanted: Sequence[sa.ColumnElement[bool]],
        order: sa.ColumnElement[Any],
        limit: int | None = None,
        connection: sa.Connection | None = None,
    ) -> list[T]:
        query = sa.select(table.c.body).where(*wanted).order_by(order).limit(limit)
        rows = self._rows(query, connection)
        return [msgspec.json.decode(row.body, type=kind) for row in rows]


class Changes:
    """A cursor over the changes of all relays on the database.

    Numbers are drawn before a transaction commits, so on PostgreSQL a lower one may appear
    after a higher one: numbers that were passed over are asked for again for 30 seconds, and
    each change is handed out once.
    """

    def __init__(self, store: ClinicalStore, after: int | None = None) -> None:
        self._store = store
        self._last = store.last_change() if after is None else after
        self._passed: dict[int, int] = {}

    def take(self) -> list[Change]:
        """What is new since the last call."""
        now = time.time_ns()
        new = self._store.changes(self._last, passed=self._passed)
        old = now - _LATE_S * 10**9
        self._passed = {n: at for n, at in self._passed.items() if at > old}
        for change in new:
            self._passed.pop(change.n, None)
            self._passed.update(dict.fromkeys(range(self._last + 1, change.n), now))
            self._last = max(self._last, change.n)
        return new


def _prompt_row(prompt: PromptCard) -> dict[str, Any]:
    return {
        "id": prompt.id,
        "stay": prompt.stay,
        "state": prompt.state,
        "fired_ns": prompt.fired_ns,
        "body": _JSON.encode(prompt),
    }


def _note(link: sa.Connection, stay: str, what: str, ref: str) -> None:
    link.execute(
        sa.insert(tables.changes).values(stay=stay, what=what, ref=ref, at_ns=time.time_ns())
    )


def _upsert(link: sa.Connection, table: sa.Table, key: str, row: dict[str, Any]) -> None:
    changed = link.execute(sa.update(table).where(table.c[key] == row[key]).values(**row))
    if changed.rowcount == 0:
        link.execute(sa.insert(table).values(**row))


def insert_new(link: sa.Connection, table: sa.Table, row: dict[str, Any]) -> bool:
    """Insert a row unless a unique constraint already holds one; whether it was inserted.

    Not a savepoint around an INSERT: Python's sqlite3 begins no transaction for SAVEPOINT,
    so releasing the first one would commit half of the caller's work. Not the row count: it
    is unknown on PostgreSQL for a table that numbers its rows.
    """
    dialect = sqlite if link.dialect.name == "sqlite" else postgresql
    statement = dialect.insert(table).values(**row).on_conflict_do_nothing()
    return link.execute(statement.returning(sa.literal(1))).first() is not None

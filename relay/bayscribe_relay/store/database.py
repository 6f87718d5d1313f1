"""Opening the database so that a commit is on the disk when it returns."""

import os
from pathlib import Path
from sqlite3 import Connection as SqliteConnection
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import (
    ArgumentError,
    IntegrityError,
    OperationalError,
    ProgrammingError,
    SQLAlchemyError,
)

from bayscribe.errors import ConfigError, StorageError
from bayscribe_relay.store.schema import metadata

BUSY_MS = 30_000
"""How long a reader or writer waits for another process's lock on SQLite."""


def open_engine(url: str) -> sa.Engine:
    """Connect and make the tables that are missing.

    SQLite runs in WAL mode with ``synchronous=FULL``: a committed transaction survives a
    power cut. The file is readable by its owner alone.

    Raises:
        ConfigError: the URL names no database that this installation can reach.
        StorageError: the database does not open.
    """
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite":
            _make_private(parsed.database)
        engine = sa.create_engine(parsed, pool_pre_ping=True)
    except (ArgumentError, ImportError) as error:
        raise ConfigError(
            f"store.url: cannot be used: {type(error).__name__}",
            "give sqlite:///FILE, or postgresql+psycopg://... with the postgresql extra installed",
        ) from None
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _durable)
    try:
        make_tables(engine, metadata)
    except SQLAlchemyError as error:
        engine.dispose()
        raise storage_error(error) from None
    return engine


def make_tables(engine: sa.Engine, tables: sa.MetaData) -> None:
    """Make the tables that are missing, while other processes may be making the same ones.

    Looking and making are two steps, so the slower of two processes that start together
    fails with "already exists"; when it looks again, the table is there.

    Raises:
        SQLAlchemyError: the database failed.
    """
    for _ in tables.sorted_tables:
        try:
            tables.create_all(engine)
        except (OperationalError, ProgrammingError, IntegrityError):
            continue
        return
    tables.create_all(engine)


def run(engine: sa.Engine, *statements: sa.Executable) -> None:
    """Run statements in one transaction.

    Raises:
        StorageError: none of them was carried out.
    """
    try:
        with engine.begin() as link:
            for statement in statements:
                link.execute(statement)
    except SQLAlchemyError as error:
        raise storage_error(error) from None


def storage_error(error: Exception) -> StorageError:
    """A database failure as the product's own error, without statement or values."""
    cause = getattr(error, "orig", None) or error
    text = str(cause).splitlines()[0][:120] if isinstance(cause, Exception) else "failed"
    return StorageError(
        f"the relay's store failed: {type(cause).__name__}: {text}",
        "check free space, permissions and health of the store's disk or server",
    )


def _make_private(database: str | None) -> None:
    if not database or database == ":memory:":
        return
    path = Path(database)
    try:
        # Only ever a new file: closing any descriptor of an open database drops the locks
        # that SQLite holds on it in this process (POSIX), and corrupts it
        # (sqlite.org/howtocorrupt.html, 2.2).
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return
    except OSError as error:
        raise StorageError(
            f"{path}: {error.strerror}", "give store.url a folder that exists and is writable"
        ) from None


def _durable(connection: SqliteConnection, _record: Any) -> None:  # noqa: ANN401 - pool internals
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    # What any connection frees is overwritten: what was replaced or deleted is not on the disk.
    cursor.execute("PRAGMA secure_delete=ON")
    cursor.execute(f"PRAGMA busy_timeout={BUSY_MS}")
    cursor.close()

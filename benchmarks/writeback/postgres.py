"""A PostgreSQL server of one's own for a measurement, in a folder that goes away with it."""

import contextlib
import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
import sqlalchemy as sa

from free_ports import free_port

_DEBIAN = Path("/usr/lib/postgresql")


def available() -> bool:
    """Whether PostgreSQL's server programs are installed."""
    return _programs() is not None


@contextlib.contextmanager
def running() -> Iterator[str]:
    """Start a server with its default durability (fsync on); gives the SQLAlchemy URL."""
    programs = _programs()
    if programs is None:
        raise RuntimeError("PostgreSQL's server is not installed (Debian: postgresql)")
    folder = Path(tempfile.mkdtemp(prefix="bayscribe-pg-"))
    try:
        if os.geteuid() == 0:  # the server refuses to run as root
            shutil.chown(folder, "postgres")
        data, port = folder / "data", free_port()
        _as_server_user(
            [str(programs / "initdb"), "-D", str(data), "-U", "bayscribe", "-A", "trust"]
        )
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder}"
        control = [str(programs / "pg_ctl"), "-D", str(data), "-w"]
        _as_server_user([*control, "-l", str(folder / "log"), "-o", options, "start"])
        try:
            yield f"postgresql+psycopg://bayscribe@127.0.0.1:{port}/postgres"
        finally:
            _as_server_user([*control, "-m", "immediate", "stop"])
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def fresh_database(server: str) -> str:
    """A new database of a server; gives its URL."""
    name = f"t{uuid.uuid4().hex}"
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    engine.dispose()
    return sa.make_url(server).set(database=name).render_as_string(hide_password=False)


def cpu_s() -> float:
    """Processor time of every PostgreSQL server process of this machine, living ones, seconds."""
    return sum(
        sum(process.cpu_times()[:2])
        for process in psutil.process_iter()
        if process.name() == "postgres"
    )


def _programs() -> Path | None:
    for folder in sorted(_DEBIAN.glob("*/bin"), reverse=True):
        if (folder / "initdb").exists():
            return folder
    found = shutil.which("initdb")
    return Path(found).parent if found else None


def _as_server_user(command: list[str]) -> None:
    prefix = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    subprocess.run([*prefix, *command], check=True, stdout=subprocess.DEVNULL, cwd="/")

"""Logging: to the journal with its fields, or to stderr in one line a record.

What may be logged is figures, states, names of devices and codes. Whatever a part puts
into ``extra`` reaches the journal as fields in capitals.
"""

import logging
import sys
from typing import Literal

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def _fields(record: logging.LogRecord) -> dict[str, object]:
    return {key: value for key, value in vars(record).items() if key not in _STANDARD}


class _StderrFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = " ".join(f"{key}={value}" for key, value in _fields(record).items())
        line = f"{self.formatTime(record)} {record.levelname.lower()} {record.name}: "
        line += record.getMessage() + (f" [{fields}]" if fields else "")
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def set_up(where: Literal["journal", "stderr"], level: str) -> None:
    """Send the product's log records to the journal or to stderr, from ``level`` on."""
    handler: logging.Handler
    if where == "journal":
        from systemd.journal import JournalHandler

        handler = JournalHandler(SYSLOG_IDENTIFIER="bayscribe")
    else:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(_StderrFormatter())
    root = logging.getLogger("bayscribe")
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    root.propagate = False

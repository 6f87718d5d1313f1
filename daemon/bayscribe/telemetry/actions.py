"""What a command does, once it was admitted."""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from logging import Handler, LogRecord
from pathlib import Path

from bayscribe.errors import BayscribeError
from bayscribe.health.report import ReportEntry
from bayscribe.telemetry import messages, renewal
from bayscribe.telemetry.config import BrokerFiles
from bayscribe.update.fetch import from_arguments, leave_request
from bayscribe.wire.fleet import Answer
from bayscribe.wire.messages import Command
from bayscribe.wire.signed_command import CommandBody

PATIENCE_S = 5.0
"""Seconds that a command may take until it shows."""

LOG_LINES = 50
_LONGEST_LINE = 200


class LogTail(Handler):
    """The last warnings, for diagnostics: our own lines, which hold no patient data."""

    def __init__(self) -> None:
        super().__init__()
        self.setLevel("WARNING")
        self.lines: deque[str] = deque(maxlen=LOG_LINES)

    def emit(self, record: LogRecord) -> None:
        """Keep one line."""
        text = f"{record.levelname.lower()} {record.name}: {record.getMessage()}"
        self.lines.append(text[:_LONGEST_LINE])


@dataclass(frozen=True, slots=True)
class Hooks:
    """What the daemon lends to commands.

    Attributes:
        obey: takes a command as if the relay had sent it.
        is_muted: whether capture discards what it reads.
        report: the newest health report.
        renewed: the certificate's file was replaced.
        runtime: folder in which the update service finds a request.
    """

    obey: Callable[[Command], None]
    is_muted: Callable[[], bool]
    report: Callable[[], ReportEntry | None]
    renewed: Callable[[], None]
    runtime: Path


@dataclass(slots=True)
class _Awaited:
    body: CommandBody
    shows: Callable[[], bool]
    until_s: float


class Actions:
    """Carries commands out and answers them; all in the telemetry thread.

    Args:
        hooks: what the daemon lends.
        files: the unit's certificate, key and authority.
        tail: the last warnings.
    """

    def __init__(self, hooks: Hooks, files: BrokerFiles, tail: LogTail) -> None:
        self._hooks = hooks
        self._files = files
        self._tail = tail
        self._awaited: list[_Awaited] = []
        self._doing: dict[str, Callable[[CommandBody], Answer | None]] = {
            "mute": lambda body: self._mute(body, muted=True),
            "unmute": lambda body: self._mute(body, muted=False),
            "self-test": self._self_test,
            "diagnostics": self._diagnostics,
            "rotate-certificate": self._rotate,
            "stage-update": self._stage,
        }

    def do(self, body: CommandBody) -> Answer | None:
        """Carry a command out; its answer, or None if that comes later."""
        try:
            return self._doing[body.name](body)
        except BayscribeError as error:
            return _answer(body, "failed", reason=error.code, why=str(error))

    def due(self, now_s: float) -> list[Answer]:
        """Answers of commands that have shown, or have not within patience."""
        shown = [one for one in self._awaited if one.shows()]
        late = [one for one in self._awaited if one not in shown and now_s > one.until_s]
        self._awaited = [one for one in self._awaited if one not in shown and one not in late]
        return [_answer(one.body, "done") for one in shown] + [
            _answer(one.body, "failed", reason="no-effect") for one in late
        ]

    def _mute(self, body: CommandBody, *, muted: bool) -> None:
        self._hooks.obey(Command(id=body.id, name=body.name))
        until_s = time.monotonic() + PATIENCE_S
        self._awaited.append(_Awaited(body, lambda: self._hooks.is_muted() is muted, until_s))

    def _self_test(self, body: CommandBody) -> Answer:
        report = self._hooks.report()
        if report is None:
            return _answer(body, "failed", reason="no-report")
        problems = [one.code for one in (*report.problems, *report.seen)]
        return _answer(
            body,
            "done",
            severity=report.severity,
            may_go_live=report.may_go_live,
            own_work_ok=report.own_work_ok,
            problems=problems,
        )

    def _diagnostics(self, body: CommandBody) -> Answer:
        report = self._hooks.report()
        return _answer(
            body,
            "done",
            figures=report.figures if report is not None else {},
            problems=[one.words for one in report.problems] if report is not None else [],
            threads=sorted(thread.name for thread in threading.enumerate()),
            warnings=list(self._tail.lines),
        )

    def _rotate(self, body: CommandBody) -> Answer:
        files, pem = self._files, body.arguments.get("certificate")
        if pem is None:
            request = renewal.signing_request(files.certificate, files.key)
            return _answer(body, "done", request=request)
        days = renewal.install(pem, files.certificate, files.key, files.ca)
        self._hooks.renewed()
        return _answer(body, "done", days=round(days, 1))

    def _stage(self, body: CommandBody) -> Answer:
        request = from_arguments(body.arguments)
        leave_request(self._hooks.runtime, request)
        return _answer(body, "done", staged=request.name)


def _answer(body: CommandBody, outcome: str, reason: str = "", **result: object) -> Answer:
    return Answer(
        at=messages.now(),
        id=body.id,
        name=body.name,
        outcome="done" if outcome == "done" else "failed",
        reason=reason[:64],
        result=dict(result),
    )

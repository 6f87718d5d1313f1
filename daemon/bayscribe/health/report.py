"""A report as JSON, in a file that others read, and read back by ``bayscribe check``."""

import os
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from bayscribe.health.finding import Severity
from bayscribe.health.monitor import Report, Standing
from bayscribe.health.snapshot import Snapshot

FILE = "health.json"
STALE_S = 10.0
"""A running daemon replaces the file every second."""


class ProblemEntry(Struct, frozen=True, kw_only=True):
    """A problem, as it is written down.

    Attributes:
        check: which check found it.
        code: stable.
        severity: ``notice``, ``warning`` or ``alarm``.
        subject: which of several, or empty.
        words: what was found.
        meaning: what it means for the bay.
        what_to_do: for the person in front of the unit.
        since: seconds that it has been seen for.
    """

    check: str
    code: str
    severity: str
    subject: str = ""
    words: str
    meaning: str
    what_to_do: str
    since: float = 0.0


class CheckEntry(Struct, frozen=True, kw_only=True):
    """How one check stands."""

    name: str
    looks_at: str
    own: bool
    severity: str


class ReportEntry(Struct, frozen=True, kw_only=True):
    """A whole report, as it is written down.

    Attributes:
        v: version of this form.
        source: ``daemon``, or ``command`` when no daemon was running.
        device: the unit's name.
        severity: the worst.
        may_go_live: whether nothing keeps the unit from its work.
        own_work_ok: the same of the unit's own part alone.
        problems: what is said, the worst first.
        seen: codes that are seen now and have not lasted long enough to be said.
        checks: every check.
        figures: what was looked at, by part.
        pid: of who wrote it.
        boottime_s: CLOCK_BOOTTIME when it was written.
    """

    v: int = 1
    source: str
    device: str
    severity: str
    may_go_live: bool
    own_work_ok: bool
    problems: tuple[ProblemEntry, ...]
    seen: tuple[ProblemEntry, ...] = ()
    checks: tuple[CheckEntry, ...]
    figures: dict[str, Any]
    pid: int
    boottime_s: float


def entry(report: Report, device: str, source: str, seen: Report | None = None) -> ReportEntry:
    """A report in the form that is written down; ``seen`` is the judgement of this moment."""
    said = {(one.problem.code, one.subject) for one in report.problems}
    pending = [
        _problem(one, report.at_s)
        for one in (seen.problems if seen else ())
        if (one.problem.code, one.subject) not in said
    ]
    return ReportEntry(
        source=source,
        device=device,
        severity=report.severity.word,
        may_go_live=report.may_go_live,
        own_work_ok=report.own_work_ok,
        problems=tuple(_problem(one, report.at_s) for one in report.problems),
        seen=tuple(pending),
        checks=tuple(
            CheckEntry(name=r.name, looks_at=r.looks_at, own=r.own, severity=r.severity.word)
            for r in report.results
        ),
        figures=figures(report.snapshot),
        pid=os.getpid(),
        boottime_s=time.clock_gettime(time.CLOCK_BOOTTIME),
    )


def figures(snapshot: Snapshot) -> dict[str, Any]:
    """The figures of a snapshot, parts that nobody looked at left out."""
    return {name: part for name, part in asdict(snapshot).items() if part not in (None, {})}


def write(folder: Path, report: ReportEntry) -> None:
    """Replace the report in a runtime directory, as one step.

    Raises:
        OSError: it cannot be written.
    """
    path = folder / FILE
    beside = path.with_name(path.name + ".new")
    beside.write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
    beside.replace(path)


def read(folder: Path) -> ReportEntry | None:
    """What a daemon wrote, if one did.

    Raises:
        msgspec.MsgspecError: the file is no report.
    """
    try:
        return msgspec.json.decode((folder / FILE).read_bytes(), type=ReportEntry)
    except FileNotFoundError:
        return None


def is_alive(report: ReportEntry) -> bool:
    """Whether the process that wrote a report still runs."""
    return Path(f"/proc/{report.pid}").exists()


def age_s(report: ReportEntry) -> float:
    """Seconds since a report was written."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - report.boottime_s


def worst(report: ReportEntry) -> Severity:
    """The severity as a value that compares."""
    return Severity[report.severity.upper()]


def _problem(one: Standing, now_s: float) -> ProblemEntry:
    return ProblemEntry(
        check=one.check,
        code=one.problem.code,
        severity=one.problem.severity.word,
        subject=one.subject,
        words=one.words,
        meaning=one.problem.meaning,
        what_to_do=one.problem.what_to_do,
        since=round(now_s - one.since_s, 1),
    )

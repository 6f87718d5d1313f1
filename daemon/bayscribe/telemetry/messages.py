"""From the health report to the messages of the fleet."""

from datetime import UTC, datetime
from typing import Any

from bayscribe.health.report import ProblemEntry, ReportEntry
from bayscribe.wire.fleet import Alarm, Buffer, Health, Levels, ProblemLine, Status

_LONGEST = 240
_MOST_PROBLEMS = 64


def now() -> str:
    """This moment, RFC 3339, UTC, to the millisecond."""
    stamp = datetime.now(UTC).isoformat(timespec="milliseconds")
    return stamp.replace("+00:00", "Z")


class StatusFacts:
    """What does not change while the daemon runs: versions, networks, boot."""

    def __init__(self, software: str, array: str, models: dict[str, bytes], boot: str) -> None:
        self.software = software[:64]
        self.array = array[:64]
        self.models = {name: digest.hex() for name, digest in models.items()}
        self.boot = boot

    def online(self, report: ReportEntry | None) -> Status:
        """The status of a connected unit."""
        clock = {} if report is None else part(report, "clock")
        return Status(
            state="online",
            at=now(),
            activity=_activity(report),
            severity=_severity(report.severity) if report else "ok",
            may_go_live=report.may_go_live if report else False,
            software=self.software,
            array=self.array,
            models=self.models,
            boot=self.boot,
            clock_synchronised=clock.get("synchronised"),
        )

    def offline(self) -> Status:
        """The last will, and what an orderly stop says."""
        return Status(state="offline", software=self.software, boot=self.boot)


def part(report: ReportEntry, name: str) -> dict[str, Any]:
    """One part of a report's figures; empty if nobody looked at it."""
    found = report.figures.get(name)
    return found if isinstance(found, dict) else {}


def _activity(report: ReportEntry | None) -> Any:  # noqa: ANN401 - a Literal that is checked here
    state = report.figures.get("state") if report is not None else None
    return state if state in ("recording", "idle", "muted", "fault") else "unknown"


def _severity(word: str) -> Any:  # noqa: ANN401 - as above
    return word if word in ("ok", "notice", "warning", "alarm") else "alarm"


def line(problem: ProblemEntry) -> ProblemLine:
    """A problem in one line."""
    return ProblemLine(
        code=problem.code,
        check=problem.check,
        severity=_severity(problem.severity),
        subject=problem.subject[:64],
        words=problem.words[:_LONGEST],
    )


def health(report: ReportEntry) -> Health:
    """How the unit stands."""
    board, clock, array = part(report, "board"), part(report, "clock"), part(report, "array")
    return Health(
        at=now(),
        severity=_severity(report.severity),
        may_go_live=report.may_go_live,
        problems=tuple(line(problem) for problem in report.problems[:_MOST_PROBLEMS]),
        celsius=board.get("celsius"),
        throttled=tuple(board.get("throttled", ())),
        disk_free_mib=part(report, "disk").get("free_mib"),
        clock_synchronised=clock.get("synchronised"),
        clock_frequency_ppm=clock.get("frequency_ppm"),
        array_drift_ppm=array.get("drift_ppm"),
        certificate_days=part(report, "identity").get("days_left"),
        shed_share=float(part(report, "load").get("shed_share", 0.0)),
    )


def levels(report: ReportEntry) -> Levels | None:
    """Levels of a present array that is not muted; None otherwise."""
    array = part(report, "array")
    if not array.get("present") or array.get("muted") or not array.get("levels_db_spl"):
        return None
    return Levels(
        at=now(),
        db_spl=tuple(array["levels_db_spl"]),
        floor_db_spl=tuple(array.get("floor_db_spl", ())),
    )


def buffer(report: ReportEntry) -> Buffer:
    """Depth of the buffer."""
    found = part(report, "buffer")
    return Buffer(
        at=now(),
        level=found.get("level", "ok"),
        pending=int(found.get("pending", 0)),
        pending_mib=float(found.get("pending_mib", 0.0)),
        relay_up=bool(part(report, "relay").get("up")),
        lost_s=float(found.get("lost_s", 0.0)),
    )


def alarm(problem: ProblemEntry, *, raised: bool) -> Alarm:
    """A problem that was raised or is over."""
    return Alarm(
        at=now(),
        raised=raised,
        code=problem.code,
        check=problem.check,
        severity=_severity(problem.severity),
        subject=problem.subject[:64],
        words=problem.words[:_LONGEST],
        what_to_do=problem.what_to_do[:_LONGEST],
    )

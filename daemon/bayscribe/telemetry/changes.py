"""When something is worth saying: on change, and now and then."""

from bayscribe.health.report import ProblemEntry, ReportEntry
from bayscribe.telemetry import messages
from bayscribe.telemetry.messages import StatusFacts
from bayscribe.wire.fleet import Alarm, FromUnit

_Key = tuple[str, str]


class Changes:
    """From one report a second to messages. A pure stage: time is handed in.

    Args:
        facts: for the status.
        levels_s: seconds between two levels.
        health_s: longest time between two statements of the rest.
    """

    def __init__(self, facts: StatusFacts, levels_s: float, health_s: float) -> None:
        self._facts = facts
        self._levels_s = levels_s
        self._health_s = health_s
        self._standing: dict[_Key, ProblemEntry] = {}
        self._said: dict[str, tuple[object, float]] = {}
        self._levels_at = float("-inf")

    def take(self, report: ReportEntry, now_s: float) -> list[tuple[str, FromUnit]]:
        """What to publish after a report: channel and message."""
        said: list[tuple[str, FromUnit]] = [("alarm", message) for message in self._alarms(report)]
        status = self._facts.online(report)
        gist = (status.activity, status.severity, status.may_go_live, status.clock_synchronised)
        if self._worth(now_s, "status", gist):
            said.append(("status", status))
        problems = tuple((one.code, one.subject, one.words) for one in report.problems)
        if self._worth(now_s, "health", (problems, report.severity)):
            said.append(("health", messages.health(report)))
        buffer = messages.buffer(report)
        if self._worth(now_s, "buffer", (buffer.level, buffer.pending, buffer.relay_up)):
            said.append(("buffer", buffer))
        levels = messages.levels(report)
        if levels is not None and now_s - self._levels_at >= self._levels_s - 0.05:
            self._levels_at = now_s
            said.append(("levels", levels))
        return said

    def everything(self, report: ReportEntry | None) -> list[tuple[str, FromUnit]]:
        """What a broker is told that has just been reached."""
        self._said.clear()
        said: list[tuple[str, FromUnit]] = [("status", self._facts.online(report))]
        if report is not None:
            said += [("health", messages.health(report)), ("buffer", messages.buffer(report))]
        return said

    def _worth(self, now_s: float, channel: str, gist: object) -> bool:
        before, at_s = self._said.get(channel, (None, float("-inf")))
        if before == gist and now_s - at_s < self._health_s:
            return False
        self._said[channel] = (gist, now_s)
        return True

    def _alarms(self, report: ReportEntry) -> list[Alarm]:
        standing = {(one.code, one.subject): one for one in report.problems}
        raised = [
            messages.alarm(one, raised=True)
            for key, one in standing.items()
            if key not in self._standing
        ]
        over = [
            messages.alarm(one, raised=False)
            for key, one in self._standing.items()
            if key not in standing
        ]
        self._standing = standing
        return raised + over

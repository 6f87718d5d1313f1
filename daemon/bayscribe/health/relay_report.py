"""The health report as the relay gets it: a few figures by name, now and then."""

from collections.abc import Callable

from bayscribe.health.report import ReportEntry
from bayscribe.wire.messages import Health

Send = Callable[[Health], None]
_LONGEST = 200


class RelayReport:
    """A listener of the health thread that tells the relay, on change and now and then.

    Args:
        send: gives a message to the uplink.
        every_s: seconds between two that say the same.
    """

    def __init__(self, send: Send, every_s: float) -> None:
        self._send = send
        self._every_s = every_s
        self._said: tuple[str, str] = ("", "")
        self._said_s = float("-inf")

    def __call__(self, report: ReportEntry) -> None:
        """Take a report."""
        codes = " ".join(sorted({one.code for one in report.problems}))[:_LONGEST]
        gist = (report.severity, codes)
        if gist == self._said and report.boottime_s - self._said_s < self._every_s:
            return
        self._said, self._said_s = gist, report.boottime_s
        values: dict[str, int | float | bool | str] = {
            "severity": report.severity,
            "may_go_live": report.may_go_live,
            "problems": codes,
        }
        for part, name in (("board", "celsius"), ("disk", "free_mib"), ("load", "shed_share")):
            found = report.figures.get(part)
            value = found.get(name) if isinstance(found, dict) else None
            if isinstance(value, int | float):
                values[name] = value
        self._send(Health(values=values))

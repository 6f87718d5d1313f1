"""``bayscribe check``: may this unit go live?

With a daemon running it is asked (its report in the runtime directory); without one the
array is opened and listened to here. The same checks judge in both cases.
"""

import argparse
import json
import time
from pathlib import Path

import msgspec

from bayscribe.commands import add_config
from bayscribe.errors import BayscribeError
from bayscribe.health.report import STALE_S, ProblemEntry, ReportEntry, age_s, is_alive, read


class DaemonSilent(BayscribeError):  # noqa: N818 - says what is the matter
    """A daemon runs and says nothing about itself any more."""

    code = "daemon-silent"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = (
        "exit status: 0 the unit may go live, 1 it may not (an alarm stands), 2 bad use.\n"
        "docs/alarms.md lists everything that can be found and what to do about it."
    )
    add_config(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument(
        "--own",
        action="store_true",
        help="judge the unit's own work alone, not network and clock (mark an update good)",
    )
    parser.add_argument(
        "--offline", action="store_true", help="do not try to reach relay and broker"
    )


def run(options: argparse.Namespace) -> int:
    """Look, print; 0 if the unit may go live.

    Raises:
        ConfigError: the configuration cannot be taken.
        DaemonSilent: a daemon runs and its report is old.
    """
    from bayscribe.config import load_config

    path = options.config.absolute()
    config = load_config(path)
    report = _of_daemon(Path(config.unit.runtime_directory))
    if report is None:
        from bayscribe.health.unit import check_unit

        report = check_unit(config, path, reach_peers=not options.offline)
    if options.json:
        print(json.dumps(msgspec.to_builtins(report)))
    else:
        _print(report)
    return 0 if (report.own_work_ok if options.own else _may_go_live(report)) else 1


def _of_daemon(runtime: Path, patience_s: float = STALE_S) -> ReportEntry | None:
    """The report of the daemon that runs, or None if none does."""
    end = time.monotonic() + patience_s
    while True:
        report = read(runtime)
        if report is None or not is_alive(report):
            return None
        if age_s(report) < STALE_S:
            return report
        if time.monotonic() > end:
            raise DaemonSilent(
                f"the daemon's report is {age_s(report):.0f} s old",
                "the service manager restarts it; look into its log",
            )
        time.sleep(0.2)


def _may_go_live(report: ReportEntry) -> bool:
    """An alarm that is seen and has not yet lasted counts as well: nobody may go live on it."""
    return report.may_go_live and not any(one.severity == "alarm" for one in report.seen)


def _print(report: ReportEntry) -> None:
    found: dict[str, list[ProblemEntry]] = {}
    for one in (*report.problems, *report.seen):
        found.setdefault(one.check, []).append(one)
    for check in report.checks:
        mine = found.get(check.name, [])
        if not mine:
            print(f"  ok       {check.name}: {check.looks_at}")
        for one in mine:
            print(f"  {one.severity:8} {check.name}: {one.words} [{one.code}]")
            print(f"           {one.meaning}")
            print(f"           -> {one.what_to_do}")
    verdict = "may go live" if _may_go_live(report) else "must not go live"
    print(f"{report.device}: {verdict}")

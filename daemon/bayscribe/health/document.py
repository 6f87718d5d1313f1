"""``docs/alarms.md``, made from the checks' own texts.

``python -m bayscribe.health.document > docs/alarms.md``
"""

from bayscribe.health.checks import CHECKS
from bayscribe.health.finding import Problem, Severity

_HEAD = """\
# Alarms, and what to do

Everything that a unit can find about itself, worst first. `bayscribe check`, the MQTT health
topic, the fleet page and commissioning use these very texts (this page is made from them by
`python -m bayscribe.health.document`).

| Severity | What it means |
|---|---|
| alarm | the unit does not do its work, or soon will not: act now. It may not go live |
| warning | the unit does its work; somebody has to act within days |
| notice | worth knowing; nobody has to do anything today |

A problem is said when it has lasted for its raising time and taken back when it has been away for
its clearing time, so nothing flaps. *Own* checks judge the unit itself and decide whether an update
is marked good; the others judge the site around it.

The fleet page adds three of its own: `unit-away` (the broker has lost the unit for longer than
`offline_after_s`: check its power and wall port), `unit-silent` (connected, and saying nothing:
restart it) and `unit-flapping` (four connections in ten minutes: replace cable or switch port).
"""


def text() -> str:
    """The whole page."""
    worst_first = (Severity.ALARM, Severity.WARNING, Severity.NOTICE)
    parts = [_HEAD]
    parts += [f"\n## {one.word.capitalize()}\n\n{_table(one)}" for one in worst_first]
    looks = "".join(
        f"| {check.NAME} | {check.LOOKS_AT} | {'own' if check.OWN else 'site'} |\n"
        for check in CHECKS
    )
    parts.append(f"\n## The checks\n\n| Check | Looks at | Judges |\n|---|---|---|\n{looks}")
    return "".join(parts)


def _table(severity: Severity) -> str:
    rows = [
        _row(check.NAME, problem)
        for check in CHECKS
        for problem in check.PROBLEMS
        if problem.severity is severity
    ]
    return "| Code | Check | What it means | What to do | Raised, cleared after |\n" + (
        "|---|---|---|---|---|\n" + "".join(rows)
    )


def _row(check: str, problem: Problem) -> str:
    times = f"{problem.raise_after_s:g} s, {problem.clear_after_s:g} s"
    return f"| `{problem.code}` | {check} | {problem.meaning} | {problem.what_to_do} | {times} |\n"


if __name__ == "__main__":
    import sys

    sys.stdout.write(text())

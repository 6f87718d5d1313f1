"""From findings of one moment to problems that are said: hysteresis, and the report.

::

    snapshot ─▶ checks ─▶ findings ─▶ raised after a while, cleared after a while ─▶ report

A pure stage: time is handed in. A problem is known by its code and its subject, so that
microphone 1 and microphone 3 are two of them. Its words follow what is found now; its
state does not flap: it is said only when it has lasted, and taken back only when it has
been away for long enough.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bayscribe.health.checks import CHECKS
from bayscribe.health.finding import Check, Finding, Problem, Severity
from bayscribe.health.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Standing:
    """A problem that is said.

    Attributes:
        check: name of the check that found it.
        problem: what it is, what it means and what to do.
        words: what was found last.
        subject: which of several.
        since_s: when it was first seen, on the caller's clock.
    """

    check: str
    problem: Problem
    words: str
    subject: str
    since_s: float


@dataclass(frozen=True, slots=True)
class CheckResult:
    """How one check stands."""

    name: str
    looks_at: str
    own: bool
    severity: Severity


@dataclass(frozen=True, slots=True)
class Report:
    """How the unit stands at one moment.

    Attributes:
        at_s: when, on the caller's clock.
        problems: what is said, the worst first.
        results: every check, in their order.
        snapshot: what was looked at.
    """

    at_s: float
    problems: tuple[Standing, ...]
    results: tuple[CheckResult, ...]
    snapshot: Snapshot

    @property
    def severity(self) -> Severity:
        """The worst of all checks."""
        return max((result.severity for result in self.results), default=Severity.OK)

    @property
    def may_go_live(self) -> bool:
        """Whether nothing keeps the unit from its work."""
        return self.severity < Severity.ALARM

    @property
    def own_work_ok(self) -> bool:
        """The same of the unit's own part alone: what an update must not have spoilt."""
        own = (result.severity for result in self.results if result.own)
        return max(own, default=Severity.OK) < Severity.ALARM


class _Seen:
    """One problem, raised and cleared in time."""

    def __init__(self, check: str, finding: Finding, now_s: float) -> None:
        self.check = check
        self.finding = finding
        self.first_s = self.last_s = now_s
        self.raised = False

    def see(self, finding: Finding, now_s: float) -> None:
        self.finding = finding
        self.last_s = now_s

    def standing(self) -> Standing:
        found = self.finding
        return Standing(self.check, found.problem, found.words, found.subject, self.first_s)


class Monitor:
    """Runs the checks, again and again.

    Args:
        checks: which; all of the product by default.
    """

    def __init__(self, checks: Sequence[Check] = CHECKS) -> None:
        self._checks = tuple(checks)
        self._seen: dict[tuple[str, str], _Seen] = {}

    def step(self, now_s: float, snapshot: Snapshot) -> Report:
        """Take the snapshot of a moment; ``now_s`` must not run backwards."""
        present: set[tuple[str, str]] = set()
        for check, finding in self._look(snapshot):
            key = (finding.problem.code, finding.subject)
            present.add(key)
            if key in self._seen:
                self._seen[key].see(finding, now_s)
            else:
                self._seen[key] = _Seen(check, finding, now_s)
        self._settle(present, now_s)
        raised = [seen.standing() for seen in self._seen.values() if seen.raised]
        return self._report(now_s, snapshot, raised)

    def judge(self, now_s: float, snapshot: Snapshot) -> Report:
        """What is found in one snapshot, at once: for a person who asks a single time."""
        found = [
            Standing(check, finding.problem, finding.words, finding.subject, now_s)
            for check, finding in self._look(snapshot)
        ]
        return self._report(now_s, snapshot, found)

    def _look(self, snapshot: Snapshot) -> Iterable[tuple[str, Finding]]:
        for check in self._checks:
            for finding in check.look(snapshot):
                yield check.NAME, finding

    def _settle(self, present: set[tuple[str, str]], now_s: float) -> None:
        for key, seen in list(self._seen.items()):
            rule = seen.finding.problem
            if key in present:
                seen.raised = seen.raised or now_s - seen.first_s >= rule.raise_after_s
            elif not seen.raised or now_s - seen.last_s >= rule.clear_after_s:
                del self._seen[key]

    def _report(self, now_s: float, snapshot: Snapshot, found: list[Standing]) -> Report:
        worst = sorted(found, key=lambda one: (-one.problem.severity, one.since_s))
        results = tuple(
            CheckResult(check.NAME, check.LOOKS_AT, check.OWN, _worst_of(check.NAME, found))
            for check in self._checks
        )
        return Report(now_s, tuple(worst), results, snapshot)


def _worst_of(check: str, found: list[Standing]) -> Severity:
    own = (one.problem.severity for one in found if one.check == check)
    return max(own, default=Severity.OK)

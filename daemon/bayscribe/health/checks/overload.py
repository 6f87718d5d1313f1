"""Does the unit keep up?"""

from collections.abc import Iterator

from bayscribe.health.finding import Finding, Problem, Severity
from bayscribe.health.snapshot import Snapshot

NAME = "overload"
LOOKS_AT = "backlog of captured audio and analysis that was shed"
OWN = True

BEHIND = Problem(
    "overload",
    Severity.WARNING,
    "Analysis is being shed: audio is kept whole, speakers are attributed less well.",
    "Look at temperature and throttling; nothing else may run on the unit.",
    raise_after_s=10.0,
    clear_after_s=60.0,
)
FAR_BEHIND = Problem(
    "overload-far",
    Severity.ALARM,
    "The unit is more than ten seconds behind; sound is lost from sixty on.",
    "Restart the unit; swap it if it recurs.",
    raise_after_s=5.0,
    clear_after_s=30.0,
)
PROBLEMS = (BEHIND, FAR_BEHIND)
MOST_SHED = 0.02
MOST_BACKLOG_S = 10.0


def look(snapshot: Snapshot) -> Iterator[Finding]:
    """What is wrong in a snapshot."""
    load = snapshot.load
    if load is None:
        return
    if load.backlog_s > MOST_BACKLOG_S:
        yield Finding(FAR_BEHIND, f"{load.backlog_s:.0f} s behind")
    if load.shed_share > MOST_SHED:
        yield Finding(BEHIND, f"{100 * load.shed_share:.0f} % of the analysis shed lately")

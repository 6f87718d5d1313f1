"""Are the networks the ones that were released?"""

from collections.abc import Iterator

from bayscribe.health.finding import Finding, Problem, Severity
from bayscribe.health.snapshot import Snapshot

NAME = "networks"
LOOKS_AT = "SHA-256 of every network on disk against the manifest"
OWN = True

WRONG = Problem(
    "models-altered",
    Severity.ALARM,
    "A network is missing or altered: attribution cannot be trusted after the next start.",
    "Install the release again; keep the disk if tampering is possible.",
)
PROBLEMS = (WRONG,)


def look(snapshot: Snapshot) -> Iterator[Finding]:
    """What is wrong in a snapshot."""
    models = snapshot.models
    if models is None:
        return
    for name in models.wrong:
        yield Finding(WRONG, f"network {name} is missing or altered", name)

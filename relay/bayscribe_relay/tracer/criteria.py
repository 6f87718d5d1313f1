"""Single observations that meet a criterion: SIRS, obstetric SIRS, organ dysfunction.

Thresholds are those of the catalogue (`docs/tracer.md` lists which still need confirmation
against the measures' current editions).
"""

import math
from collections.abc import Callable
from typing import Any

from bayscribe_relay.tracer.timeline import Event

WINDOW_MIN = 360
"""How long one abnormal value counts towards its criterion."""

_TESTS: dict[tuple[str, str], tuple[tuple[str, str, Callable[[Any], bool]], ...]] = {
    ("obs", "vital.temp_c"): (
        ("sirs", "temp", lambda v: v > 38.3 or v < 36.0),
        ("ob", "temp", lambda v: v >= 38.0 or v < 36),
    ),
    ("obs", "vital.hr"): (
        ("sirs", "hr", lambda v: v > 90),
        ("ob", "hr", lambda v: v > 110),
    ),
    ("obs", "vital.rr"): (
        ("sirs", "rr", lambda v: v > 20),
        ("ob", "rr", lambda v: v > 24),
    ),
    ("obs", "lab.wbc"): (
        ("sirs", "wbc", lambda v: v > 12 or v < 4),
        ("ob", "wbc", lambda v: v > 15 or v < 4),
    ),
    ("obs", "lab.bands_pct"): (("sirs", "wbc", lambda v: v > 10),),
    ("obs", "vital.sbp"): (("organ", "hypotension", lambda v: v < 90),),
    ("obs", "vital.map"): (("organ", "hypotension", lambda v: v < 65),),
    ("obs", "lab.creatinine"): (("organ", "creatinine", lambda v: v > 2.0),),
    ("obs", "lab.bilirubin"): (("organ", "bilirubin", lambda v: v > 2.0),),
    ("obs", "lab.platelets"): (("organ", "platelets", lambda v: v < 100),),
    ("obs", "lab.inr"): (("organ", "inr", lambda v: v > 1.5),),
    ("obs", "lab.lactate"): (("organ", "lactate", lambda v: v > 2.0),),
    ("proc", "proc.niv"): (("organ", "resp", lambda _: True),),
    ("proc", "proc.invasive_vent"): (("organ", "resp", lambda _: True),),
}

GROUPS = {
    "sirs": ("temp", "hr", "rr", "wbc"),
    "ob": ("temp", "hr", "rr", "wbc"),
    "organ": ("hypotension", "creatinine", "bilirubin", "platelets", "inr", "lactate", "resp"),
}
"""The criteria of each group, in the order in which they are listed to a reader."""

SOURCES = {
    (group, name): tuple(
        key for key, tests in _TESTS.items() if any(t[:2] == (group, name) for t in tests)
    )
    for group, names in GROUPS.items()
    for name in names
}
"""Which concepts a criterion is read from."""


def is_number(value: object) -> bool:
    """Whether a value can be compared with a threshold."""
    return isinstance(value, int | float) and math.isfinite(value)


def met(event: Event) -> list[tuple[str, str]]:
    """The criteria, as (group, name), that an event meets."""
    tests = _TESTS.get((event.kind, event.concept))
    if tests is None or (event.kind == "obs" and not is_number(event.value)):
        return []
    return [(group, name) for group, name, test in tests if test(event.value)]

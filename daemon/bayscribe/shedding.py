"""When analysis is shed, so that a unit that cannot keep up loses no sample.

The backlog that the start itself leaves behind, as capture begins before anything else is
loaded, is caught up with and sheds nothing; only what is added to it counts.
"""

import logging

SHED_AFTER_S = 2.0
"""Seconds of backlog from which analysis is shed, and below which it is taken up again."""

TAKE_UP_BELOW_S = 0.5

MOST_AT_START_S = 30.0
"""Half of what capture holds: no start leaves more uncounted."""

log = logging.getLogger("bayscribe.daemon")


class Shedding:
    """Decides it from the backlog, for one unit."""

    def __init__(self) -> None:
        self._sheds = False
        self._from_start_s: float | None = None

    def due(self, backlog_s: float) -> bool:
        """Whether to shed analysis with this much audio waiting, in seconds."""
        if self._from_start_s is None:
            self._from_start_s = min(backlog_s, MOST_AT_START_S)
        if backlog_s < TAKE_UP_BELOW_S:
            self._from_start_s = 0.0
        limit = TAKE_UP_BELOW_S if self._sheds else self._from_start_s + SHED_AFTER_S
        if (backlog_s > limit) != self._sheds:
            self._sheds = not self._sheds
            log.warning(
                "analysis %s",
                "is shed" if self._sheds else "is taken up again",
                extra={"backlog_s": round(backlog_s, 2)},
            )
        return self._sheds

"""When analysis is shed, so that a unit that cannot keep up loses no sample.

The backlog that the start leaves behind, as capture begins before anything else is loaded, is
caught up with: until that has been done once, only half of what capture can hold is too much.
"""

import logging

SHED_AFTER_S = 2.0
"""Seconds of backlog from which analysis is shed, and below which it is taken up again."""

TAKE_UP_BELOW_S = 0.5

AT_START_S = 30.0
"""The same until the unit has caught up with its own start: half of what capture holds."""

log = logging.getLogger("bayscribe.daemon")


class Shedding:
    """Decides it from the backlog, for one unit."""

    def __init__(self) -> None:
        self._sheds = False
        self._limit_s = AT_START_S

    def due(self, backlog_s: float) -> bool:
        """Whether to shed analysis with this much audio waiting, in seconds."""
        if backlog_s < TAKE_UP_BELOW_S:
            self._limit_s = SHED_AFTER_S
        limit = TAKE_UP_BELOW_S if self._sheds else self._limit_s
        if (backlog_s > limit) != self._sheds:
            self._sheds = not self._sheds
            log.warning(
                "analysis %s",
                "is shed" if self._sheds else "is taken up again",
                extra={"backlog_s": round(backlog_s, 2)},
            )
        return self._sheds

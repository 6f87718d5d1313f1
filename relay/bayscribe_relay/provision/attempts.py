"""How often one address, and all together, may try to enrol."""

import time
from collections import OrderedDict
from collections.abc import Callable

WINDOW_S = 60.0
ADDRESSES = 4_096
"""Addresses that are remembered at once; the oldest is forgotten first."""
ALL_TOGETHER = 20
"""So many times one address's share may be used by all addresses in one window."""


class Attempts:
    """Sliding count of attempts in the last minute.

    Args:
        limit: for one address.
        clock: monotonic seconds.
    """

    def __init__(self, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._by_address: OrderedDict[str, list[float]] = OrderedDict()
        self._all: list[float] = []

    def take(self, address: str) -> float:
        """Count one attempt.

        Returns:
            0 if it is within the limits, else the seconds until the next one would be;
            an attempt beyond the limits is not counted.
        """
        now = self._clock()
        since = now - WINDOW_S
        self._all = [at for at in self._all if at > since]
        mine = [at for at in self._by_address.pop(address, []) if at > since]
        self._by_address[address] = mine
        while len(self._by_address) > ADDRESSES:
            self._by_address.popitem(last=False)
        for times, limit in ((mine, self._limit), (self._all, self._limit * ALL_TOGETHER)):
            if len(times) >= limit:
                return max(1.0, times[0] - since)
        mine.append(now)
        self._all.append(now)
        return 0.0

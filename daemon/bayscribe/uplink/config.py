"""What the uplink can be told, and its reconnection delays."""

import random
from typing import Annotated

from msgspec import Meta, Struct

Seconds = Annotated[float, Meta(gt=0)]


class UplinkConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """The ``[uplink]`` table.

    Attributes:
        url: ``wss://HOST:PORT``.
        server_name: name that the relay's certificate must carry; the URL's host if absent.
        relay_ca: PEM file with the one authority that may certify the relay.
        certificate: PEM file of this unit's certificate.
        key: PEM file of its private key.
        connect_s: seconds for TCP, TLS and WebSocket together.
        heartbeat_s: seconds between pings, and seconds that an answer may take; a
            half-open link is found within twice this.
        answer_s: seconds that the relay may take to acknowledge; then it is tried anew.
        retry_first_s: upper bound of the first reconnection delay.
        retry_most_s: upper bound of any.
    """

    url: Annotated[str, Meta(pattern=r"^wss://[^/\s]+/?$")]
    relay_ca: str
    certificate: str
    key: str
    server_name: str | None = None
    connect_s: Seconds = 10.0
    heartbeat_s: Seconds = 8.0
    answer_s: Seconds = 30.0
    retry_first_s: Seconds = 1.0
    retry_most_s: Seconds = 60.0


class Backoff:
    """Exponential growth with full jitter: each delay is uniform between 0 and the bound.

    The units of a hospital lose their relay at the same instant; full jitter spreads
    their return best (M. Brooker, "Exponential Backoff And Jitter", 2015).
    """

    def __init__(self, first_s: float, most_s: float, source: random.Random | None = None) -> None:
        self._first = first_s
        self._most = most_s
        self._random = source or random.Random()
        self._tries = 0

    def bound(self) -> float:
        """The longest that the next delay can be, in seconds."""
        return float(min(self._most, self._first * 2.0 ** min(self._tries, 32)))

    def next(self) -> float:
        """Seconds to wait before the next attempt."""
        delay = self._random.uniform(0.0, self.bound())
        self._tries += 1
        return delay

    def reset(self) -> None:
        """Progress was made: the next failure begins at the first bound again."""
        self._tries = 0

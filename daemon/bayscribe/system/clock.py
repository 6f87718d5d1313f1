"""The system's clocks, and what it says of their quality."""

import ctypes
import time
from dataclasses import dataclass

from bayscribe.units import MonotonicNs, WallNs
from bayscribe.wire.header import ClockState

_TIME_ERROR = 5
"""Return value of adjtimex(2) for a clock that is not synchronised."""

_TIMEX_BYTES = 208
"""Size of ``struct timex`` on 64-bit Linux (adjtimex(2)); ``modes`` 0 only reads."""


@dataclass(frozen=True, slots=True)
class Instant:
    """One moment on both clocks.

    Attributes:
        monotonic_ns: CLOCK_MONOTONIC.
        wall_ns: CLOCK_REALTIME at the same moment.
        state: whether that clock is synchronised.
    """

    monotonic_ns: MonotonicNs
    wall_ns: WallNs
    state: ClockState


def clock_state() -> ClockState:
    """Whether the kernel holds the wall clock synchronised (adjtimex(2))."""
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(_TIMEX_BYTES)
    try:
        result: int = libc.adjtimex(buffer)
    except AttributeError:
        return "unknown"
    if result < 0:
        return "unknown"
    return "unsynchronised" if result == _TIME_ERROR else "synchronised"


def now() -> Instant:
    """This moment."""
    return Instant(MonotonicNs(time.monotonic_ns()), WallNs(time.time_ns()), clock_state())

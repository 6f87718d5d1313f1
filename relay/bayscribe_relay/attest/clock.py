"""Whether this machine's wall clock is kept by a time source."""

import ctypes
from typing import Final, Literal

_ERROR: Final = 5
"""``TIME_ERROR`` of adjtimex(2): the clock is not synchronised."""

_TIMEX_BYTES: Final = 208
"""Size of ``struct timex`` on 64-bit Linux; ``modes`` 0 only reads."""


def clock_state() -> Literal["synchronised", "unsynchronised"]:
    """What the kernel says of the clock; not knowing counts as unsynchronised."""
    try:
        state: int = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    except (AttributeError, OSError):
        return "unsynchronised"
    return "synchronised" if 0 <= state != _ERROR else "unsynchronised"

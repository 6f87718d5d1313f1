"""The wall clock, from adjtimex(2) and from its distance to the monotonic one."""

import ctypes
import struct
import time
from datetime import UTC, datetime

from bayscribe.health.recent import Largest
from bayscribe.health.snapshot import ClockView

_TIMEX_BYTES = 208
_TIME_ERROR = 5
_FIELDS = struct.Struct("<I4xqqqq")
"""modes, offset, freq, maxerror, esterror of ``struct timex`` on 64-bit Linux (adjtimex(2))."""

_PPM = 65_536.0
"""``freq`` is in ppm with 16 fractional bits."""

LEAST_STEP_S = 0.05
"""Between two looks a second apart the kernel slews by at most 0.5 ms."""


class ClockCollector:
    """Looks at the wall clock again and again.

    Args:
        required: whether this site lets no unit go live without synchronisation.
    """

    def __init__(self, *, required: bool = False) -> None:
        self._required = required
        self._distance_s: float | None = None
        self._steps = Largest()

    def look(self) -> ClockView:
        """The clock now."""
        synchronised, frequency, error = _adjtimex()
        boot, wall = time.clock_gettime(time.CLOCK_BOOTTIME), time.time()
        distance = wall - boot
        step = 0.0 if self._distance_s is None else distance - self._distance_s
        self._distance_s = distance
        return ClockView(
            synchronised=synchronised,
            required=self._required,
            frequency_ppm=frequency,
            estimated_error_s=error,
            step_s=round(self._steps.add(boot, step if abs(step) > LEAST_STEP_S else 0.0), 3),
            year=datetime.fromtimestamp(wall, UTC).year,
        )


def _adjtimex() -> tuple[bool | None, float | None, float | None]:
    """Whether it is synchronised, correction in ppm, estimated error in seconds."""
    buffer = ctypes.create_string_buffer(_TIMEX_BYTES)
    try:
        result: int = ctypes.CDLL(None, use_errno=True).adjtimex(buffer)
    except AttributeError:
        return None, None, None
    if result < 0:
        return None, None, None
    _, _, frequency, _, error = _FIELDS.unpack_from(buffer)
    return result != _TIME_ERROR, round(frequency / _PPM, 2), error / 1e6

"""The first thing that the appliance does: it opens the array and keeps what it hears.

Networks, keys, buffer and everything that needs them are loaded behind this, while the
capture thread already fills its queue, which holds a minute. Whatever is imported here
delays the first sample of every start, so it is what capture needs and nothing else.
"""

import logging
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bayscribe.audio.capture import CaptureSource
from bayscribe.audio.profiles import load_profile
from bayscribe.config import Config, profile_path
from bayscribe.errors import CaptureError
from bayscribe.units import MonotonicNs

MUTED_FILE = "muted"
"""In the state directory while the unit is muted: it comes back as it was."""

log = logging.getLogger("bayscribe.daemon")


@dataclass(frozen=True, slots=True)
class Listening:
    """An array that is being captured, and whether the unit has been told to stop.

    Attributes:
        source: captures.
        since: when it began to.
        stopping: set by SIGTERM and SIGINT, from now on.
    """

    source: CaptureSource
    since: MonotonicNs
    stopping: threading.Event


def array_of(config: Config, file: Path) -> CaptureSource:
    """The array of a configured unit, not yet opened.

    Raises:
        ProfileError: the array's profile cannot be taken.
    """
    return CaptureSource(
        load_profile(profile_path(config, file)),
        config.array.pcm,
        period_frames=config.array.period_frames,
        periods=config.array.periods,
    )


def listen(config: Config, file: Path) -> Listening:
    """Begin to capture, muted if the unit was muted when it was stopped.

    An absent array is waited for. Call it in the main thread: from now on SIGTERM and
    SIGINT ask for an orderly stop.

    Raises:
        ProfileError: the array's profile cannot be taken.
        AudioFormatError: the array has another rate, format or channel count.
    """
    source = array_of(config, file)
    try:
        source.probe()
    except CaptureError as error:
        log.warning("%s; waiting for it", error, extra={"code": error.code})
    if (Path(config.unit.state_directory) / MUTED_FILE).exists():
        source.mute()
    stopping = threading.Event()
    stop = _setter(stopping)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    since = MonotonicNs(time.monotonic_ns())
    source.start()
    return Listening(source, since, stopping)


def _setter(event: threading.Event) -> Callable[[int, object], None]:
    def on_signal(_number: int, _frame: object) -> None:
        event.set()

    return on_signal

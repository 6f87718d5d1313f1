"""The control block of a recorded microphone, seen from the player's side.

A recorded microphone is a folder with the file ``control`` and, while something plays,
``recording.raw`` (interleaved int16, little-endian). An ALSA plug-in of ours plays the one
driver that reads it; ``firmware-config/recorded-mic/control.h`` states the same layout.
"""

import mmap
import os
import re
import stat
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from types import TracebackType
from typing import Self

from bayscribe.errors import BadUse, CaptureError

MAGIC = 0x314D4352
CONTROL_BYTES = 8192
MAX_EVENTS = 256

_U32 = struct.Struct("<I")
_U64 = struct.Struct("<Q")
_EVENT = struct.Struct("<QIiiI")
_FIELDS: dict[str, tuple[int, struct.Struct]] = {
    "magic": (0, _U32),
    "channels": (4, _U32),
    "rate": (8, _U32),
    "idle": (12, _U32),
    "generation": (16, _U64),
    "frames": (24, _U64),
    "at_end": (32, _U32),
    "event_count": (36, _U32),
    "unplugged": (40, _U32),
    "drift_ppm": (44, struct.Struct("<i")),
    "replug_ns": (48, _U64),
    "clock_ns": (56, _U64),
    "clock_frame": (64, _U64),
    "delivered": (72, _U64),
    "lost": (80, _U64),
    "overruns": (88, _U64),
    "short_reads": (96, _U64),
    "opens": (104, _U64),
    "finished": (112, _U64),
    "reader": (120, _U64),
}
_EVENTS_AT = 128


class Idle(IntEnum):
    """What the microphone does while nothing plays, and behind the end of a recording."""

    WAIT = 0
    """It gives no samples, as if time stood still: the next frame is the recording's first."""
    SILENCE = 1
    """It gives digital silence."""
    UNPLUG = 2
    """It is unplugged."""


class Operation(IntEnum):
    """Faults that the microphone can show."""

    DEAD = 1
    STUCK = 2
    SWAP = 3
    INVERT = 4
    CLIP = 5
    DC = 6
    REPAIR = 7
    DRIFT = 8
    OVERRUN = 9
    SHORT_READ = 10
    UNPLUG = 11


@dataclass(frozen=True, slots=True)
class MicrophoneEvent:
    """A fault at a frame of the recording; ``at`` 0 means at once."""

    operation: Operation
    a: int = 0
    b: int = 0
    at: int = 0


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the recording has come, and what the reader did."""

    generation: int
    frames: int
    delivered: int
    lost: int
    overruns: int
    short_reads: int
    opens: int
    finished: bool
    reader: int


def runtime_directory(name: str) -> Path:
    """Where the recorded microphone of that name lies.

    ``$BAYSCRIBE_RECORDED_MIC``, else a folder of the user's runtime directory, else of the
    system's temporary one.
    """
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name):
        raise BadUse(
            f"{name!r} cannot name a recorded microphone",
            "use letters, digits, - and _, starting with a letter",
        )
    base = os.environ.get("BAYSCRIBE_RECORDED_MIC")
    if base:
        return Path(base) / name
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    user = Path(runtime) if runtime else Path("/tmp")  # noqa: S108 - checked to be our own below
    return user / f"bayscribe-recorded-mic-{os.getuid()}" / name


def _own_folder(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    for folder in (directory, directory.parent):
        found = folder.stat()
        if found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX:
            raise BadUse(f"{folder} can be written by anybody", "choose a folder of your own")


class RecordedMicrophone:
    """The player's hold on one recorded microphone.

    Args:
        directory: its folder; made when absent.
        channels: channels of the array it stands for.
        rate: Hz.
        idle: what it does until something plays; ``None`` leaves it as it is.

    Raises:
        BadUse: the folder is another array's.
    """

    def __init__(self, directory: Path, channels: int, rate: int, idle: Idle | None = None) -> None:
        self.directory = directory
        self.channels = channels
        self.rate = rate
        _own_folder(directory)
        path = directory / "control"
        with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+b") as file:
            if os.fstat(file.fileno()).st_size < CONTROL_BYTES:
                file.truncate(CONTROL_BYTES)
            self._map = mmap.mmap(file.fileno(), CONTROL_BYTES)
        if self._get("magic") != MAGIC:
            self._set("channels", channels)
            self._set("rate", rate)
            self._set("magic", MAGIC)
        elif (self._get("channels"), self._get("rate")) != (channels, rate):
            found = f"{self._get('channels')} channels at {self._get('rate')} Hz"
            self._map.close()
            raise BadUse(
                f"{directory} is a microphone of {found}, not {channels} at {rate} Hz",
                "use the array profile that the PCM was made for",
            )
        if idle is not None:
            self._set("idle", idle)
            self._set("at_end", idle)

    def _get(self, name: str) -> int:
        offset, kind = _FIELDS[name]
        value: int = kind.unpack_from(self._map, offset)[0]
        return value

    def _set(self, name: str, value: int) -> None:
        offset, kind = _FIELDS[name]
        kind.pack_into(self._map, offset, value)

    @property
    def recording_path(self) -> Path:
        """Where the samples of the next recording belong."""
        return self.directory / "recording.raw"

    def is_playing(self) -> bool:
        """Whether somebody is listening to a recording that has not come to its end."""
        progress = self.progress()
        return progress.generation > 0 and not progress.finished and self.has_reader()

    def has_reader(self) -> bool:
        """Whether a living process has the PCM open."""
        reader = self._get("reader")
        return reader != 0 and Path(f"/proc/{reader}").exists()

    def arm(
        self, frames: int, events: Iterable[MicrophoneEvent] = (), at_end: Idle = Idle.WAIT
    ) -> None:
        """Start ``recording.raw`` of ``frames`` frames with the stream's next frame.

        Raises:
            BadUse: more events than the block holds.
        """
        listed = [*self._pending_commands(), *events]
        if len(listed) > MAX_EVENTS:
            raise BadUse(f"{len(listed)} faults, at most {MAX_EVENTS} are possible")
        self._set("event_count", 0)
        for name in ("delivered", "lost", "overruns", "short_reads", "clock_ns", "clock_frame"):
            self._set(name, 0)
        self._set("frames", frames)
        self._set("at_end", at_end)
        for index, event in enumerate(listed):
            self._put(index, event)
        self._set("event_count", len(listed))
        self._set("generation", self._get("generation") + 1)

    def command(self, event: MicrophoneEvent) -> None:
        """Show a fault from now on.

        Raises:
            CaptureError: too many faults have been asked for since the recording started.
        """
        index = self._get("event_count")
        if index >= MAX_EVENTS:
            raise CaptureError("the recorded microphone takes no more faults", "play it anew")
        self._put(index, event)
        self._set("event_count", index + 1)

    def _pending_commands(self) -> list[MicrophoneEvent]:
        """Faults asked for at once that the driver has not seen yet."""
        pending = []
        for index in range(min(self._get("event_count"), MAX_EVENTS)):
            at, operation, a, b, done = _EVENT.unpack_from(
                self._map, _EVENTS_AT + index * _EVENT.size
            )
            if at == 0 and not done:
                pending.append(MicrophoneEvent(Operation(operation), a, b))
        return pending

    def _put(self, index: int, event: MicrophoneEvent) -> None:
        offset = _EVENTS_AT + index * _EVENT.size
        _EVENT.pack_into(self._map, offset, event.at, event.operation, event.a, event.b, 0)

    def unplug(self) -> None:
        """Unplug the array until :meth:`plug_in`."""
        self._set("replug_ns", 0)
        self._set("unplugged", 1)

    def plug_in(self) -> None:
        """Plug the array in again."""
        self._set("unplugged", 0)

    def progress(self) -> Progress:
        """How far the recording has come."""
        generation = self._get("generation")
        return Progress(
            generation=generation,
            frames=self._get("frames"),
            delivered=self._get("delivered"),
            lost=self._get("lost"),
            overruns=self._get("overruns"),
            short_reads=self._get("short_reads"),
            opens=self._get("opens"),
            finished=0 < generation == self._get("finished"),
            reader=self._get("reader"),
        )

    def close(self) -> None:
        """Let go of the control block; the microphone stays."""
        self._map.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

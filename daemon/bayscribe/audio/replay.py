"""Plays a recording into a recorded microphone, in real time, with faults on demand."""

import contextlib
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bayscribe.audio.profiles import ArrayProfile
from bayscribe.audio.recorded_mic import (
    Idle,
    MicrophoneEvent,
    Operation,
    Progress,
    RecordedMicrophone,
)
from bayscribe.audio.recording import Recording
from bayscribe.errors import BadUse, CaptureError

_POLL_S = 0.05

FAULTS = {
    "dead": (Operation.DEAD, "dead MIC: digital silence"),
    "stuck": (Operation.STUCK, "stuck MIC: repeats its last value"),
    "swapped": (Operation.SWAP, "swapped MIC MIC: two channels change places"),
    "inverted": (Operation.INVERT, "inverted MIC: polarity reversed"),
    "clipped": (Operation.CLIP, "clipped MIC: 48 dB too loud"),
    "dc": (Operation.DC, "dc MIC VALUE: a constant is added"),
    "repaired": (Operation.REPAIR, "repaired [MIC]: as recorded again"),
    "drift": (Operation.DRIFT, "drift PPM: the clock runs fast by this"),
    "overrun": (Operation.OVERRUN, "overrun SECONDS: the reader is deaf, then -EPIPE"),
    "short-read": (Operation.SHORT_READ, "short-read: the next read gives half"),
    "unplugged": (Operation.UNPLUG, "unplugged [SECONDS]: gone for so long, or for good"),
}
"""What ``--fault`` takes behind ``t=SECONDS``, with how each is written."""

_ON_A_MICROPHONE = {"dead", "stuck", "swapped", "inverted", "clipped", "dc", "repaired"}
_IN_SECONDS = {"overrun", "unplugged"}
_ARITY = {
    "dead": (1, 1),
    "stuck": (1, 1),
    "swapped": (2, 2),
    "inverted": (1, 1),
    "clipped": (1, 1),
    "dc": (2, 2),
    "repaired": (0, 1),
    "drift": (1, 1),
    "overrun": (1, 1),
    "short-read": (0, 0),
    "unplugged": (0, 1),
}


@dataclass(frozen=True, slots=True)
class ReplaySummary:
    """What became of a replay.

    Attributes:
        frames: length of the recording.
        delivered: frames that the reader got.
        lost: frames that it did not get, by overruns and while unplugged.
        overruns: times it was late, or was made to be.
        short_reads: short reads that were provoked.
        complete: whether the recording came to its end.
    """

    frames: int
    delivered: int
    lost: int
    overruns: int
    short_reads: int
    complete: bool

    def as_dict(self) -> dict[str, int | bool]:
        """For a program to read."""
        return asdict(self)


def parse_fault(text: str, profile: ArrayProfile) -> MicrophoneEvent:
    """Read ``[t=SECONDS] FAULT [VALUE]...``; microphones are counted in profile order.

    Raises:
        BadUse: there is no such fault, or it is written otherwise.
    """
    words = text.split()
    at = 0
    if words and (stated := re.fullmatch(r"t=(\d+(?:\.\d+)?)", words[0])):
        at = max(1, round(float(stated[1]) * profile.sample_rate))
        words = words[1:]
    name, values = (words[0], words[1:]) if words else ("", [])
    if name not in FAULTS:
        raise BadUse(f"fault {text!r} is not known", f"use one of: {', '.join(FAULTS)}")
    least, most = _ARITY[name]
    operation, written = FAULTS[name]
    try:
        numbers = [float(value) for value in values]
    except ValueError:
        numbers = [0.0] * (most + 1)
    if not least <= len(numbers) <= most:
        raise BadUse(f"fault {text!r} is not written right", f"write it as {written}")
    return MicrophoneEvent(operation, *_operands(name, numbers, profile, text), at=at)


def _operands(name: str, numbers: list[float], profile: ArrayProfile, text: str) -> tuple[int, int]:
    if name in _IN_SECONDS:
        return (round(1000 * numbers[0]) if numbers else 0, 0)
    if name not in _ON_A_MICROPHONE:
        return (round(numbers[0]) if numbers else 0, 0)
    if name == "repaired" and not numbers:
        return (-1, 0)
    mics = [round(number) for number in numbers[: 2 if name == "swapped" else 1]]
    for mic in mics:
        if not 0 <= mic < len(profile.microphones):
            raise BadUse(
                f"fault {text!r}: {profile.name} has no microphone {mic}",
                f"microphones count from 0 to {len(profile.microphones) - 1}",
            )
    channels = [profile.microphones[mic].channel for mic in mics]
    if name == "swapped":
        return (channels[0], channels[1])
    return (channels[0], round(numbers[1]) if len(numbers) > 1 else 0)


def command(microphone: RecordedMicrophone, text: str, profile: ArrayProfile) -> None:
    """Carry out one fault now, or ``replug``, on a microphone that may be playing.

    Raises:
        BadUse: the command is not known.
        CaptureError: the microphone takes no more of them.
    """
    if text.strip() == "replug":
        microphone.plug_in()
        return
    event = parse_fault(text, profile)
    if event.operation is Operation.UNPLUG and event.a == 0:
        microphone.unplug()
        return
    microphone.command(event)


def replay(
    recording: Recording,
    microphone: RecordedMicrophone,
    *,
    faults: Sequence[MicrophoneEvent] = (),
    at_end: Idle = Idle.WAIT,
    reader_timeout_s: float = 30.0,
    should_stop: Callable[[], bool] = lambda: False,
) -> ReplaySummary:
    """Play a recording from its first frame to its last; blocks until that was taken.

    The recording begins with the reader's next frame, so a reader of a waiting microphone
    gets frame 0 first and nothing before it.

    Raises:
        AudioFormatError: the recording is damaged; nothing was played.
        CaptureError: nobody listens, or the listener has gone for good.
        BadUse: another recording is playing.
    """
    if microphone.is_playing():
        raise BadUse(
            f"{microphone.directory.name} is playing another recording", "wait for its end"
        )
    write_samples(recording, microphone.recording_path)
    microphone.arm(recording.frames, faults, at_end)
    try:
        progress = _follow(microphone, reader_timeout_s, should_stop)
    finally:
        with contextlib.suppress(OSError):
            microphone.recording_path.unlink()
    return ReplaySummary(
        frames=progress.frames,
        delivered=progress.delivered,
        lost=progress.lost,
        overruns=progress.overruns,
        short_reads=progress.short_reads,
        complete=progress.finished,
    )


def write_samples(recording: Recording, path: Path) -> None:
    """Write all ALSA channels as interleaved int16, in one step for whoever reads it.

    Raises:
        AudioFormatError: the recording is damaged.
    """
    partial = path.with_suffix(".partial")
    try:
        with partial.open("wb") as file:
            _write(file.write, (pcm.tobytes() for pcm in recording.alsa_frames()))
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _write(write: Callable[[bytes], int], pieces: Iterable[bytes]) -> None:
    for piece in pieces:
        write(piece)


def _follow(
    microphone: RecordedMicrophone, reader_timeout_s: float, should_stop: Callable[[], bool]
) -> Progress:
    heard = -1
    patience = time.monotonic() + reader_timeout_s
    while True:
        progress = microphone.progress()
        if progress.finished or should_stop():
            return progress
        if progress.delivered + progress.lost != heard:
            heard = progress.delivered + progress.lost
            patience = time.monotonic() + reader_timeout_s
        if time.monotonic() > patience:
            raise CaptureError(
                f"nobody has read from {microphone.directory.name} for {reader_timeout_s:g} s",
                "start the daemon with this PCM, under the ALSA configuration that shows it",
            )
        time.sleep(_POLL_S)

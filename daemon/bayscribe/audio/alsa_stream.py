"""One open ALSA capture stream, read in whole frames and never for longer than asked.

pyalsaaudio is imported when a stream is opened: offline processing needs no ALSA.
"""

import contextlib
import select
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import numpy as np

from bayscribe.audio.profiles import ArrayProfile
from bayscribe.errors import AudioFormatError, CaptureError
from bayscribe.stream import Pcm
from bayscribe.units import MonotonicNs

SAMPLE_BYTES = 2
"""Bytes per sample: signed 16-bit little-endian."""

_UNPLUGGED = "is the array plugged in?"
_XRUN = -32
"""-EPIPE, as pyalsaaudio returns it after it has prepared the stream again."""


class Overrun(Exception):  # noqa: N818 - an event of the stream, handled where it is read
    """The reader was late and the hardware's ring ran over; the stream has been restarted."""


@dataclass(frozen=True, slots=True)
class Observation:
    """At ``at`` the hardware held ``available`` frames that had not been read."""

    at: MonotonicNs
    available: int


class AlsaStream:
    """A capture stream of interleaved 16-bit frames in non-blocking mode.

    Args:
        profile: the array; its ALSA channels and rate must be the device's.
        device: ALSA device, ``hw:...`` or a name from the configuration.
        period_frames: frames per period.
        periods: periods in the ring.

    Raises:
        CaptureError: the device cannot be opened.
        AudioFormatError: it has another rate, format or channel count.
    """

    def __init__(
        self, profile: ArrayProfile, device: str, period_frames: int, periods: int
    ) -> None:
        import alsaaudio

        self._alsa = alsaaudio
        self.device = device
        self.channels = profile.alsa_channels
        self.frame_bytes = self.channels * SAMPLE_BYTES
        try:
            self._pcm: Any = alsaaudio.PCM(
                type=alsaaudio.PCM_CAPTURE,
                mode=alsaaudio.PCM_NONBLOCK,
                device=device,
                channels=self.channels,
                rate=profile.sample_rate,
                format=alsaaudio.PCM_FORMAT_S16_LE,
                periodsize=period_frames,
                periods=periods,
            )
        except alsaaudio.ALSAAudioError as error:
            raise CaptureError(f"cannot open {device}: {error}", _UNPLUGGED) from None
        try:
            self._prove(profile)
            self._start()
        except BaseException:
            self.close()
            raise

    def _prove(self, profile: ArrayProfile) -> None:
        info = self._pcm.info()
        found = (info["channels"], info["rate"], info["format_name"])
        if found != (profile.alsa_channels, profile.sample_rate, "S16_LE"):
            raise AudioFormatError(
                f"{self.device} gives {found[0]} channels at {found[1]} Hz as {found[2]}, expected "
                f"{profile.alsa_channels} at {profile.sample_rate} Hz as S16_LE",
                f"is {profile.name} the profile of this array, and its firmware the one it names?",
            )
        self.period_frames = int(info["period_size"])
        self.buffer_frames = int(info["buffer_size"])

    def _start(self) -> None:
        self._poll = select.poll()
        with contextlib.suppress(self._alsa.ALSAAudioError):  # then observe() takes our clock
            self._pcm.set_tstamp_type(self._alsa.PCM_TSTAMP_TYPE_MONOTONIC)
        for descriptor, events in self._pcm.polldescriptors():
            self._poll.register(descriptor, events)
        self._pending = self.read()

    def wait(self, timeout_s: float) -> bool:
        """Wait until a period is ready; False when the time has passed.

        Raises:
            CaptureError: the device has gone.
        """
        if len(self._pending):
            return True
        deadline = time.monotonic() + timeout_s
        while (left := deadline - time.monotonic()) > 0:
            ready = self._poll.poll(left * 1000)
            try:
                if ready and self._pcm.polldescriptors_revents(ready):
                    return True
            except self._alsa.ALSAAudioError as error:
                raise CaptureError(f"{self.device}: {error}", _UNPLUGGED) from None
        return False

    def read(self) -> Pcm:
        """What is there, at most one period: int16 (frames, channels), maybe none.

        Raises:
            Overrun: frames were lost; the stream runs again.
            CaptureError: the device has gone, or gave something other than whole frames.
        """
        if hasattr(self, "_pending") and len(self._pending):
            pending, self._pending = self._pending, self._pending[:0]
            return pending
        try:
            length, data = self._pcm.read()
        except self._alsa.ALSAAudioError as error:
            raise CaptureError(f"{self.device}: {error}", _UNPLUGGED) from None
        if length == _XRUN:
            raise Overrun
        if length < 0:
            raise CaptureError(f"{self.device}: read gave {length}", _UNPLUGGED)
        if len(data) != length * self.frame_bytes:
            raise CaptureError(
                f"{self.device}: {len(data)} bytes for {length} frames of {self.frame_bytes}",
                "the stream is opened again; replace the cable or the array if it recurs",
            )
        return np.frombuffer(data, dtype="<i2").reshape(length, self.channels)

    def observe(self) -> Observation:
        """How far the hardware has come, and when: from its timestamp where it gives one."""
        before = time.monotonic_ns()
        try:
            seconds, nanoseconds, available = self._pcm.htimestamp()
            at = int(seconds) * 1_000_000_000 + int(nanoseconds)
            after = time.monotonic_ns()
            if not before - 500_000_000 <= at <= after:
                available = self._pcm.avail()
                at = (after + time.monotonic_ns()) // 2
        except self._alsa.ALSAAudioError:
            return Observation(MonotonicNs(before), 0)
        return Observation(MonotonicNs(at), max(0, int(available)))

    def close(self) -> None:
        """Give the device back."""
        self._pcm.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

"""Live capture: one thread that reads the array and waits for nobody.

Every frame has an index on the array's clock, counted from the first frame that was ever
read. What the array heard and nobody got becomes a :class:`~bayscribe.stream.Gap` of the
length that the clock says. A consumer that falls behind costs nothing for a minute of
audio: it should look at :attr:`CaptureSource.backlog_s` and shed analysis, never samples.
"""

import logging
import math
import os
import queue
import threading
import time
from dataclasses import dataclass, replace

import numpy as np

from bayscribe.audio.alsa_stream import AlsaStream, Overrun
from bayscribe.audio.mixer import hold_mixer
from bayscribe.audio.profiles import ArrayProfile
from bayscribe.audio.sample_clock import SampleClock
from bayscribe.errors import AudioFormatError, BayscribeError, CaptureError
from bayscribe.stream import Block, Fault, FaultCode, Gap, GapReason, Pcm
from bayscribe.units import MonotonicNs, SampleIndex

log = logging.getLogger("bayscribe.audio")

Item = Block | Gap | Fault

REAL_TIME_PRIORITY = 10
"""SCHED_FIFO priority; what the service unit's LimitRTPRIO allows."""

LONG_GAP_PIECE_S = 2.0
"""A mute or an unplugged cable is told in pieces of this length while it lasts."""

DRIFT_FAULT_PPM = 300.0
"""Crystals of USB audio are within 100 ppm; three times that is a broken clock."""

_DRIFT_CLEAR_PPM = 200.0
_POLL_S = 0.1
_SETTLE_NS = 250_000_000
_STALL_NS = 200_000_000
_LOSS_PERIODS = 4
_FIRST_RETRY_S, _LONGEST_RETRY_S = 0.1, 1.0

_PLAYBACK_FROM = 33
"""Sample value, -60 dBFS: from it on a playback reference carries sound, not its noise."""


@dataclass(slots=True)
class CaptureCounters:
    """What capture has met since it was started.

    Attributes:
        frames: captured and handed over.
        overruns: times the hardware's ring ran over.
        gaps: gaps recorded, mute not counted.
        gap_frames: frames in them.
        muted_frames: frames discarded under mute.
        short_reads: reads of less than a period.
        misaligned: reads that were not whole frames.
        opens: times the device was opened; one more than it was lost.
        backlog_drops: frames dropped as the consumer was behind by the whole backlog.
        real_time: whether the thread runs under SCHED_FIFO.
    """

    frames: int = 0
    overruns: int = 0
    gaps: int = 0
    gap_frames: int = 0
    muted_frames: int = 0
    short_reads: int = 0
    misaligned: int = 0
    opens: int = 0
    backlog_drops: int = 0
    real_time: bool = False


class CaptureSource:
    """Frames of the microphones of an array, from ALSA, in profile order.

    Args:
        profile: the array.
        device: ALSA device, ``hw:...`` or a name from the configuration.
        period_frames: frames per ALSA period.
        periods: periods in the hardware's ring.
        longest_backlog_s: how far the consumer may fall behind before frames are dropped.
    """

    def __init__(
        self,
        profile: ArrayProfile,
        device: str,
        *,
        period_frames: int = 640,
        periods: int = 12,
        longest_backlog_s: float = 60.0,
    ) -> None:
        self.profile = profile
        self.device = device
        self._period, self._periods = period_frames, periods
        self._reference = list(profile.playback_loopback)
        self._limit = round(longest_backlog_s * profile.sample_rate)
        self._items: queue.SimpleQueue[Item] = queue.SimpleQueue()
        self._produced = self._consumed = 0
        self._clock = SampleClock(profile.sample_rate)
        self._next = SampleIndex(0)
        self._missing: GapReason | None = None
        self._muted_from: SampleIndex | None = None
        self._dropped_from: SampleIndex | None = None
        self._late = 0
        self._drifting = False
        self._mute = threading.Event()
        self._stop = threading.Event()
        self._plugged = threading.Event()
        self._counters = CaptureCounters()
        self._problem: BayscribeError | None = None
        self._last_frames_ns = 0
        self._thread = threading.Thread(target=self._run, name="capture", daemon=True)

    def probe(self) -> None:
        """Open the device once and close it again.

        Raises:
            CaptureError: it cannot be opened.
            AudioFormatError: it has another rate, format or channel count.
        """
        AlsaStream(self.profile, self.device, self._period, self._periods).close()

    def start(self) -> None:
        """Start the capture thread; an absent array is waited for."""
        self._thread.start()

    def stop(self) -> None:
        """End capture and close the device; what was captured can still be read."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def mute(self) -> None:
        """Discard what is captured from the period on that is being captured now."""
        self._mute.set()

    def unmute(self) -> None:
        """End :meth:`mute`."""
        self._mute.clear()

    def read(self, timeout_s: float, most_s: float = math.inf) -> list[Item]:
        """What has come since the last call, in order; waits for the first item.

        Args:
            timeout_s: how long it waits.
            most_s: seconds of audio after which it leaves the rest for the next call.
        """
        items: list[Item] = []
        frames, most = 0, most_s * self.profile.sample_rate
        try:
            item = self._items.get(timeout=timeout_s)
            while True:
                items.append(item)
                frames += len(item.pcm) if isinstance(item, Block) else 0
                if frames >= most:
                    break
                item = self._items.get_nowait()
        except queue.Empty:
            pass
        self._consumed += frames
        return items

    @property
    def backlog_s(self) -> float:
        """Seconds of audio that were captured and have not been read."""
        return (self._produced - self._consumed) / self.profile.sample_rate

    @property
    def counters(self) -> CaptureCounters:
        """A copy of the counters."""
        return replace(self._counters)

    @property
    def is_plugged(self) -> bool:
        """Whether the array is open."""
        return self._plugged.is_set()

    @property
    def is_stopped(self) -> bool:
        """Whether :meth:`stop` was called."""
        return self._stop.is_set()

    @property
    def is_muted(self) -> bool:
        """Whether what is captured is being discarded."""
        return self._mute.is_set()

    @property
    def problem(self) -> BayscribeError | None:
        """Why the array is not open, or None."""
        return self._problem

    @property
    def drift_ppm(self) -> float | None:
        """The array's clock against the system's, positive when fast; None until known."""
        return self._clock.drift_ppm

    @property
    def silent_for_s(self) -> float:
        """Seconds since the array last gave frames; 0 before it ever did."""
        if not self._last_frames_ns:
            return 0.0
        return (time.monotonic_ns() - self._last_frames_ns) / 1e9

    # The capture thread. Nothing below is called by anybody else.

    def _run(self) -> None:
        self._go_real_time()
        retry_s = _FIRST_RETRY_S
        while not self._stop.is_set():
            try:
                with AlsaStream(self.profile, self.device, self._period, self._periods) as stream:
                    retry_s = _FIRST_RETRY_S
                    self._opened()
                    self._follow(stream)
            except (CaptureError, AudioFormatError) as error:
                self._lost(error)
                self._stop.wait(retry_s)
                retry_s = min(2 * retry_s, _LONGEST_RETRY_S)
                self._tell_absence()
        self._finish()

    def _go_real_time(self) -> None:
        try:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(REAL_TIME_PRIORITY))
            self._counters.real_time = True
        except OSError as error:
            log.info("capture without real-time priority", extra={"why": str(error)})

    def _opened(self) -> None:
        self._counters.opens += 1
        for control, why in hold_mixer(self.profile.board):
            log.warning("mixer control not set", extra={"control": control, "why": why})
        self._plugged.set()
        self._problem = None
        log.info("array opened", extra={"device": self.device, "opens": self._counters.opens})

    def _lost(self, error: BayscribeError) -> None:
        if self._plugged.is_set() or self._problem is None:
            log.warning("array lost", extra={"device": self.device, "why": error.line()})
        if self._plugged.is_set() and "bytes for" in str(error):
            self._counters.misaligned += 1
        self._plugged.clear()
        self._problem = error
        if self._clock.is_running:
            self._missing = GapReason.UNPLUGGED

    def _follow(self, stream: AlsaStream) -> None:
        while not self._stop.is_set():
            stream.wait(_POLL_S)  # a time-out is no reason not to take what is there
            try:
                pcm = stream.read()
            except Overrun:
                self._counters.overruns += 1
                if self._clock.is_running:
                    self._missing = GapReason.OVERRUN
                continue
            if len(pcm):
                self._take(stream, pcm)
            elif self._missing is GapReason.UNPLUGGED:
                self._tell_absence()

    def _take(self, stream: AlsaStream, pcm: Pcm) -> None:
        if len(pcm) < stream.period_frames:
            self._counters.short_reads += 1
        seen = stream.observe()
        captured = len(pcm) + seen.available
        if self._missing is not None:
            self._close_gap(seen.at, captured, self._missing)
        elif self._clock.is_running:
            self._find_loss(seen.at, captured, stream.period_frames)
        self._clock.observe(seen.at, self._next + captured)
        self._last_frames_ns = seen.at
        self._hand_over(pcm)
        self._watch_drift()

    def _close_gap(self, at: MonotonicNs, captured: int, reason: GapReason) -> None:
        """The stream runs again: its first frame is where the clock says."""
        self._missing = None
        self._gap(self._clock.index_at(at) - captured - self._next, reason)
        self._clock.forget_drift()

    def _find_loss(self, at: MonotonicNs, captured: int, period: int) -> None:
        """Frames that the hardware lost without a word show as a lag that lasts."""
        lag = self._clock.lag(at, self._next + captured)
        stalled = at - self._last_frames_ns > _STALL_NS
        self._late = self._late + 1 if lag > _LOSS_PERIODS * period else 0
        if self._late and (stalled or self._late * period > self.profile.sample_rate // 2):
            self._late = 0
            self._gap(lag, GapReason.CLOCK)
            self._clock.forget_drift()

    def _hand_over(self, pcm: Pcm) -> None:
        if self._mute.is_set():
            self._discard_muted(len(pcm))
            return
        self._end_mute()
        if self._produced - self._consumed + len(pcm) > self._limit:
            if self._dropped_from is None:
                self._dropped_from = self._next
            self._counters.backlog_drops += len(pcm)
            self._next = SampleIndex(self._next + len(pcm))
            return
        self._end_drop()
        block = Block(
            self._next,
            self.profile.pick(pcm),
            self._clock.time_of(self._next),
            self._sounds(pcm),
        )
        self._next = block.end
        self._produced += len(pcm)
        self._counters.frames += len(pcm)
        self._items.put(block)

    def _sounds(self, pcm: Pcm) -> bool:
        """Whether the array's playback reference, where it has one, carries sound."""
        return bool(self._reference) and bool(
            np.abs(pcm[:, self._reference].astype(np.int32)).max(initial=0) >= _PLAYBACK_FROM
        )

    def _discard_muted(self, frames: int) -> None:
        first = self._muted_from is None
        self._end_drop()
        if self._muted_from is None:
            self._muted_from = self._next
        self._next = SampleIndex(self._next + frames)
        self._counters.muted_frames += frames
        long = self._next - self._muted_from >= LONG_GAP_PIECE_S * self.profile.sample_rate
        if first or long:
            self._end_mute()
            self._muted_from = self._next

    def _end_mute(self) -> None:
        if self._muted_from is not None and self._next > self._muted_from:
            length = self._next - self._muted_from
            self._items.put(Gap(self._muted_from, length, GapReason.MUTED))
        self._muted_from = None

    def _end_drop(self) -> None:
        if self._dropped_from is not None:
            start, self._dropped_from = self._dropped_from, None
            self._put_gap(Gap(start, self._next - start, GapReason.OVERRUN))

    def _gap(self, frames: int, reason: GapReason) -> None:
        if frames <= 0:
            return
        self._end_mute()
        self._end_drop()
        self._put_gap(Gap(self._next, frames, reason))
        self._next = SampleIndex(self._next + frames)

    def _put_gap(self, gap: Gap) -> None:
        self._counters.gaps += 1
        self._counters.gap_frames += gap.samples
        self._items.put(gap)
        log.warning(
            "gap", extra={"first": gap.first, "samples": gap.samples, "reason": gap.reason.value}
        )

    def _tell_absence(self) -> None:
        """While the array is away, time goes on for the stages behind."""
        if self._missing is not GapReason.UNPLUGGED:
            return
        reached = self._clock.index_at(MonotonicNs(time.monotonic_ns() - _SETTLE_NS))
        piece = round(LONG_GAP_PIECE_S * self.profile.sample_rate)
        while reached - self._next >= piece:
            self._gap(piece, GapReason.UNPLUGGED)

    def _watch_drift(self) -> None:
        ppm = self._clock.drift_ppm
        if ppm is None:
            return
        if not self._drifting and abs(ppm) > DRIFT_FAULT_PPM:
            self._drifting = True
        elif self._drifting and abs(ppm) < _DRIFT_CLEAR_PPM:
            self._drifting = False
        else:
            return
        self._items.put(
            Fault(
                self._next,
                FaultCode.CLOCK_DRIFT,
                None,
                cleared=not self._drifting,
                detail=f"{ppm:+.0f} ppm",
            )
        )

    def _finish(self) -> None:
        if self._missing is GapReason.UNPLUGGED:
            reached = self._clock.index_at(MonotonicNs(time.monotonic_ns()))
            self._gap(reached - self._next, GapReason.UNPLUGGED)
        self._end_mute()
        self._end_drop()
        self._plugged.clear()

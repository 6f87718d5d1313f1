"""Proves, at every open and all the time, that each channel is the microphone it should be.

::

    blocks ─▶ frames of 256 ms ─┬▶ level: dead, stuck, offset, clipped ─┐
                                ├▶ polarity ────────────────────────────┼▶ hysteresis ─▶ faults
                                └▶ order (4 s, with polarity righted) ──┘

A pure stage: driven by sample index, the same faults however the input is chunked.
"""

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayscribe.audio.channel_level import examine
from bayscribe.audio.channel_order import ChannelOrder, Coherence, Exchange, coherence
from bayscribe.stream import Block, Fault, FaultCode, Gap, Pcm
from bayscribe.units import SampleIndex

FRAME = 4096
"""Samples of one analysis frame: 256 ms."""


@dataclass(frozen=True, slots=True)
class Hysteresis:
    """Frames out of the last ``of`` that raise a fault, and frames in a row that clear it."""

    raised_by: int
    of: int
    cleared_by: int


HYSTERESIS = {
    FaultCode.DEAD: Hysteresis(6, 6, 8),
    FaultCode.STUCK: Hysteresis(4, 4, 8),
    FaultCode.DC: Hysteresis(6, 6, 8),
    FaultCode.CLIPPED: Hysteresis(2, 12, 20),
    FaultCode.INVERTED: Hysteresis(3, 3, 4),
}
"""In frames of 256 ms."""

_ORDER_RAISED_BY, _ORDER_RAISED_AT_OPEN, _ORDER_CHANGED_BY = 5, 3, 8
"""Verdicts in a row. Each is of 4 s of sound; when channels change places in the middle of
that, the first verdicts see a mixture and name the wrong ones, so some more are waited for."""

_POLARITY_FRAMES = 4
_UNUSABLE = (
    FaultCode.DEAD,
    FaultCode.STUCK,
    FaultCode.INVERTED,
    FaultCode.CLIPPED,
)


class _Watch:
    """One fault of one microphone, raised and cleared with hysteresis."""

    def __init__(self, code: FaultCode) -> None:
        self._rule = HYSTERESIS[code]
        self._recent: deque[bool] = deque(maxlen=self._rule.of)
        self._quiet = 0
        self.raised = False

    def step(self, *, shown: bool, cleared: bool) -> bool:
        """Take one frame's verdict; True when the state has changed."""
        self._recent.append(shown)
        self._quiet = self._quiet + 1 if cleared else 0
        if not self.raised and sum(self._recent) >= self._rule.raised_by:
            self.raised, self._quiet = True, 0
            return True
        if self.raised and self._quiet >= self._rule.cleared_by:
            self.raised = False
            self._recent.clear()
            return True
        return False

    def restart(self) -> None:
        """The stream was broken: what was seen before it counts no more."""
        self._recent.clear()
        self._quiet = 0


class _OrderWatch:
    """The exchange that is raised, followed with hysteresis."""

    def __init__(self) -> None:
        self.raised: Exchange | None = None
        self._candidate: Exchange | None = None
        self._in_a_row = self._seen = 0

    def step(self, verdict: Exchange | bool) -> tuple[Exchange | None, Exchange | None]:
        """Take a verdict; what has been raised by it, and what has been cleared."""
        candidate = self._candidate_of(verdict)
        self._seen += 1
        if candidate == self.raised:
            self._in_a_row = 0
            return None, None
        same = candidate == self._candidate or self.raised is None
        self._in_a_row = self._in_a_row + 1 if same else 1
        self._candidate = candidate
        if self._in_a_row < self._needed():
            return None, None
        before, self.raised, self._in_a_row = self.raised, candidate, 0
        return candidate, before

    def _candidate_of(self, verdict: Exchange | bool) -> Exchange | None:
        """What would be raised by a verdict; a vaguer one does not replace what is known."""
        if isinstance(verdict, bool):
            return None if verdict else self.raised
        if self.raised is not None and verdict.instead:
            known = (self.raised.first, self.raised.second)
            if known in ((verdict.first, verdict.second), *verdict.instead):
                return self.raised
        return verdict

    def _needed(self) -> int:
        if self.raised is not None:
            return _ORDER_CHANGED_BY
        return _ORDER_RAISED_AT_OPEN if self._seen == self._in_a_row else _ORDER_RAISED_BY

    def restart(self) -> None:
        """The stream was broken: verdicts before it count no more."""
        self._in_a_row = self._seen = 0


class ChannelCheck:
    """Finds faults of the channels of an array.

    Args:
        mics: places of the microphones in metres: float64 (mics, 3).
    """

    def __init__(self, mics: NDArray[np.float64]) -> None:
        self._count = len(mics)
        self._order = ChannelOrder(mics)
        self._watches = {code: [_Watch(code) for _ in range(self._count)] for code in HYSTERESIS}
        self._kept: list[Pcm] = []
        self._kept_frames = 0
        self._next = SampleIndex(0)
        self._polarity = np.ones(self._count)
        self._fields: deque[Coherence] = deque(maxlen=_POLARITY_FRAMES)
        self._exchange = _OrderWatch()

    @property
    def healthy_channels(self) -> tuple[int, ...]:
        """Microphones, by index, that the beam may use.

        When two have changed places and it cannot be told which two, only one microphone
        can be trusted to be where it says: that is then the only one.
        """
        bad = {
            mic
            for code in _UNUSABLE
            for mic, watch in enumerate(self._watches[code])
            if watch.raised
        }
        exchange = self._exchange.raised
        if exchange is not None and not exchange.instead:
            bad |= {exchange.first, exchange.second}
        healthy = tuple(mic for mic in range(self._count) if mic not in bad)
        return healthy[:1] if exchange is not None and exchange.instead else healthy

    @property
    def faults(self) -> tuple[tuple[FaultCode, int | None], ...]:
        """Faults that are raised now, with their microphone."""
        own = [
            (code, mic)
            for code, watches in self._watches.items()
            for mic, watch in enumerate(watches)
            if watch.raised
        ]
        exchange = self._exchange.raised
        swapped = [] if exchange is None else [mic for mic, _ in _involved(exchange)]
        return (*own, *((FaultCode.SWAPPED, mic) for mic in swapped))

    def push(self, block: Block) -> list[Fault]:
        """Take the next block; blocks may be of any size, and jump over gaps."""
        if block.first != self._next:
            self.restart()
        self._next = block.end
        self._kept.append(block.pcm)
        self._kept_frames += len(block.pcm)
        if self._kept_frames < FRAME:
            return []
        pcm = np.concatenate(self._kept)
        whole = len(pcm) - len(pcm) % FRAME
        start = block.end - len(pcm)
        self._kept = [pcm[whole:]] if whole < len(pcm) else []
        self._kept_frames = len(pcm) - whole
        faults: list[Fault] = []
        for offset in range(0, whole, FRAME):
            end = SampleIndex(start + offset + FRAME)
            faults += self._frame(pcm[offset : offset + FRAME], end)
        return faults

    def gap(self, gap: Gap) -> None:
        """The stream is broken here: whatever is proved next is proved anew."""
        self.restart()
        self._next = SampleIndex(gap.first + gap.samples)

    def restart(self) -> None:
        """The array was opened anew; what its field looked like before is remembered."""
        self._kept, self._kept_frames = [], 0
        self._fields.clear()
        self._order.reset_window()
        for watches in self._watches.values():
            for watch in watches:
                watch.restart()
        self._exchange.restart()

    def _frame(self, pcm: Pcm, end: SampleIndex) -> list[Fault]:
        findings = examine(pcm)
        faults: list[Fault] = []
        for code, shown in findings.shown.items():
            for mic in range(self._count):
                cleared = bool(findings.cleared[code][mic])
                if self._watches[code][mic].step(shown=bool(shown[mic]), cleared=cleared):
                    faults += [self._fault(end, code, mic, findings.detail[code][mic])]
        level = (FaultCode.DEAD, FaultCode.STUCK, FaultCode.CLIPPED)
        if self._count > 1 and not any(findings.shown[code].any() for code in level):
            faults += self._field(pcm, end)
        return faults

    def _fault(self, at: SampleIndex, code: FaultCode, mic: int, detail: str) -> Fault:
        cleared = not self._watches[code][mic].raised
        return Fault(at, code, mic, cleared=cleared, detail="" if cleared else detail)

    def _field(self, pcm: Pcm, end: SampleIndex) -> list[Fault]:
        """Polarity and order: only while every channel has something of its own to say."""
        field = coherence(pcm, self._order.bins)
        self._fields.append(field)
        faults: list[Fault] = []
        if len(self._fields) == _POLARITY_FRAMES:
            signs = self._order.polarity(list(self._fields))
            if signs is not None:
                faults += self._polarities(signs, end)
        self._order.push(field, self._polarity, learn=self._exchange.raised is None)
        return faults + self._orders(end)

    def _polarities(self, signs: NDArray[np.float64], end: SampleIndex) -> list[Fault]:
        faults = []
        for mic, watch in enumerate(self._watches[FaultCode.INVERTED]):
            if watch.step(shown=signs[mic] < 0, cleared=signs[mic] > 0):
                faults.append(self._fault(end, FaultCode.INVERTED, mic, "polarity reversed"))
                self._polarity[mic] = -1.0 if watch.raised else 1.0
                self._order.reset_window()
        return faults

    def _orders(self, end: SampleIndex) -> list[Fault]:
        if not self._order.is_ready:
            return []
        faults = []
        raised, cleared = self._exchange.step(self._order.judge())
        if cleared is not None:
            for mic, _ in _involved(cleared):
                faults.append(Fault(end, FaultCode.SWAPPED, mic, cleared=True))
        if raised is not None:
            for mic, detail in _involved(raised):
                faults.append(Fault(end, FaultCode.SWAPPED, mic, detail=detail))
        return faults


def _involved(exchange: Exchange) -> list[tuple[int | None, str]]:
    """The microphones to name, and how: the array as a whole where it cannot be told which."""
    first, second = exchange.first, exchange.second
    if not exchange.instead:
        return [(first, f"with microphone {second}"), (second, f"with microphone {first}")]
    pairs = [(first, second), *exchange.instead]
    return [(None, "microphones " + ", or ".join(f"{a} and {b}" for a, b in pairs))]

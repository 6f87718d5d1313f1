"""From what the daemon's own thread knows to the parts of a snapshot."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from bayscribe.health.recent import Recent
from bayscribe.health.snapshot import (
    ArrayView,
    BufferView,
    ChannelFault,
    LinkView,
    LoadView,
)
from bayscribe.system.statefile import Value
from bayscribe.units import SAMPLE_RATE

_MIB = 1 << 20
_UP = ("streaming", "held")


@dataclass(frozen=True, slots=True)
class Facts:
    """One look of the daemon at itself.

    Attributes:
        values: the state file's.
        faults: of the channels.
        silent_for_s: seconds since the array last gave frames.
        opens: times the array was opened.
        array_problem: why it is not open, one line, or empty.
        format_refused: whether it is there with another format.
        buffer_problem: why the disk refuses records, or empty.
    """

    values: Mapping[str, Value] = field(default_factory=dict)
    faults: tuple[ChannelFault, ...] = ()
    silent_for_s: float = 0.0
    opens: int = 0
    array_problem: str = ""
    format_refused: bool = False
    buffer_problem: str = ""

    def number(self, name: str) -> float:
        """A figure of the state file, 0 where there is none."""
        value = self.values.get(name)
        return float(value) if isinstance(value, int | float) else 0.0

    def text(self, name: str) -> str:
        """A word of the state file."""
        value = self.values.get(name)
        return value if isinstance(value, str) else ""


class FactReader:
    """Follows the daemon's counters, so that checks see how much they grew lately."""

    def __init__(self) -> None:
        self._recent = {
            name: Recent()
            for name in (
                "overruns",
                "gap_frames",
                "short_reads",
                "misaligned",
                "opens",
                "quanta",
                "shed_quanta",
            )
        }
        self._down_since_s: float | None = None

    def _grown(self, now_s: float, facts: Facts, name: str) -> float:
        value = float(facts.opens) if name == "opens" else facts.number(name)
        return self._recent[name].add(now_s, value)

    def array(self, now_s: float, facts: Facts, acoustics: ArrayView) -> ArrayView:
        """The array, with the acoustic figures of its blocks."""
        drift = facts.values.get("drift_ppm")
        stated = drift if isinstance(drift, int | float) else None
        gross = acoustics.drift_ppm
        return replace(
            acoustics,
            present=bool(facts.values.get("plugged")),
            muted=bool(facts.values.get("muted")),
            problem=facts.array_problem,
            format_refused=facts.format_refused,
            silent_for_s=facts.silent_for_s,
            faults=facts.faults,
            drift_ppm=gross if gross is not None else stated,
            overruns=int(self._grown(now_s, facts, "overruns")),
            gap_frames=int(self._grown(now_s, facts, "gap_frames")),
            short_reads=int(self._grown(now_s, facts, "short_reads")),
            misaligned=int(self._grown(now_s, facts, "misaligned")),
            reopened=int(self._grown(now_s, facts, "opens")),
            real_time=bool(facts.values.get("real_time")),
        )

    def buffer(self, facts: Facts) -> BufferView:
        """The durable buffer."""
        return BufferView(
            level=facts.text("buffer_level") or "ok",
            pending=int(facts.number("pending")),
            pending_mib=round(facts.number("pending_bytes") / _MIB, 1),
            damaged=int(facts.number("damaged_records")),
            held_in_memory=int(facts.number("held_in_memory")),
            lost_s=facts.number("lost_samples") / SAMPLE_RATE,
            problem=facts.buffer_problem,
        )

    def load(self, now_s: float, facts: Facts) -> LoadView:
        """Whether the line keeps up."""
        quanta = self._grown(now_s, facts, "quanta")
        shed = self._grown(now_s, facts, "shed_quanta")
        return LoadView(facts.number("backlog_s"), shed / quanta if quanta else 0.0)

    def relay(self, now_s: float, facts: Facts) -> LinkView:
        """The uplink."""
        up = facts.text("link") in _UP
        if up:
            self._down_since_s = None
        elif self._down_since_s is None:
            self._down_since_s = now_s
        down = 0.0 if self._down_since_s is None else now_s - self._down_since_s
        problem = "" if up else facts.text("link_problem")
        return LinkView(up, round(down, 1), problem, facts.text("relay_alarm"))

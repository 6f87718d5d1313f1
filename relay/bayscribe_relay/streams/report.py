"""Lists of devices, encounters, segments and turns, each verified while it is read."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from bayscribe.wire.header import SegmentHeader
from bayscribe.wire.payload import TurnRecord
from bayscribe.wire.seal import OpeningKey
from bayscribe_relay.store.records import DeviceMark, EncounterState, RefusalCount
from bayscribe_relay.store.store import Store
from bayscribe_relay.streams.verify import CheckedRecord, tail_problem, walk


@dataclass(frozen=True, slots=True)
class TurnRow:
    """A speaker turn, in seconds from the encounter's first sample."""

    start: float
    end: float
    label: str
    primary: bool
    confidence: float
    azimuth_deg: float | None
    emitted_at: float


@dataclass(frozen=True, slots=True)
class SegmentRow:
    """A stored segment; ``problem`` is empty when everything in it verifies."""

    seq: int
    first_sample: int
    samples: int
    sample_rate: int
    pcm_sha256: str
    chain_sha256: str
    weights_sha256: str
    sealed_bytes: int
    gap_samples: int
    faults: int
    audio: str
    problem: str


@dataclass(slots=True)
class Placement:
    """Maps sample indices of the array's clock to one time line of the encounter.

    The clock starts again with every boot; a new boot is put directly behind what came
    before.
    """

    boot: str = ""
    base: int = 0
    end: int = 0

    def place(self, header: SegmentHeader) -> int:
        """Offset in samples at which a segment begins."""
        if header.boot != self.boot:
            self.boot = header.boot
            self.base = header.first_sample - self.end
        at = max(header.first_sample - self.base, 0)
        self.end = max(self.end, at + header.samples)
        return at


@dataclass(slots=True)
class EncounterReport:
    """One encounter as stored."""

    device: str
    state: EncounterState
    segments: list[SegmentRow] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    audio_s: float = 0.0
    _placement: Placement = field(default_factory=Placement)
    _turns: dict[tuple[str, int], TurnRow] = field(default_factory=dict)
    _revised: set[tuple[str, int]] = field(default_factory=set)

    @property
    def turns(self) -> list[TurnRow]:
        """Turns in force, those that were revised left out, by time."""
        kept = [row for key, row in self._turns.items() if key not in self._revised]
        return sorted(kept, key=lambda row: (row.start, row.end, row.label))

    def add(self, checked: CheckedRecord) -> None:
        """Take in the next record of the encounter."""
        if checked.problem:
            self.problems.append(f"record {checked.record.seq}: {checked.problem}")
        header = checked.header
        if not isinstance(header, SegmentHeader):
            return
        self._placement.place(header)
        self.audio_s += header.samples / header.sample_rate
        self.segments.append(_segment_row(checked, header))
        for turn in checked.turns:
            self._add_turn(turn, header)

    def _add_turn(self, turn: TurnRecord, header: SegmentHeader) -> None:
        base, rate = self._placement.base, header.sample_rate
        self._turns[header.boot, turn.id] = TurnRow(
            start=(turn.start - base) / rate,
            end=(turn.end - base) / rate,
            label=turn.label,
            primary=turn.primary,
            confidence=turn.confidence,
            azimuth_deg=turn.azimuth_deg,
            emitted_at=(turn.emitted_at - base) / rate,
        )
        if turn.revises is not None:
            self._revised.add((header.boot, turn.revises))


@dataclass(slots=True)
class DeviceReport:
    """One device's stream as stored."""

    mark: DeviceMark
    encounters: list[EncounterReport]
    problems: list[str]
    refusals: list[RefusalCount]
    records: int = 0

    @property
    def verified(self) -> bool:
        """Whether everything that is stored verifies."""
        return not self.problems and not any(e.problems for e in self.encounters)


def device_report(store: Store, mark: DeviceMark, opening: Sequence[OpeningKey]) -> DeviceReport:
    """Walk one device's stream.

    Raises:
        StorageError: the store cannot be read.
    """
    states = store.encounters(mark.device)
    by_id = {state.encounter: EncounterReport(mark.device, state) for state in states}
    report = DeviceReport(mark, list(by_id.values()), [], store.refusals(mark.device))
    for checked in walk(store, mark, opening):
        report.records += 1
        encounter = by_id.get(checked.record.encounter)
        if encounter is not None:
            encounter.add(checked)
        elif checked.record.seq <= mark.seq:
            report.problems.append(f"record {checked.record.seq}: encounter")
    if tail := tail_problem(store, mark):
        report.problems.append(f"record {mark.seq}: {tail}")
    return report


def _segment_row(checked: CheckedRecord, header: SegmentHeader) -> SegmentRow:
    return SegmentRow(
        seq=header.seq,
        first_sample=header.first_sample,
        samples=header.samples,
        sample_rate=header.sample_rate,
        pcm_sha256=header.pcm_sha256.hex(),
        chain_sha256=checked.record.chain.hex(),
        weights_sha256=header.weights_sha256.hex(),
        sealed_bytes=checked.sealed_bytes,
        gap_samples=sum(gap.samples for gap in header.gaps),
        faults=len(header.faults),
        audio="present" if checked.record.sealed is not None else "deleted",
        problem=checked.problem,
    )

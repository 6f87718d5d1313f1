"""The end of a recording where words and turns are still coming in.

Everything that the next record needs is in a :class:`Zone`, which is stored with what was
written; the zone after a record is a function of the records up to it and of the model, so
that a transcript is the same whether it was made live, in one go, or by several relays in turn.
"""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec
from msgspec import Struct

from bayscribe.wire.header import SegmentHeader
from bayscribe.wire.payload import TurnRecord
from bayscribe_relay.clinical.speech import Word
from bayscribe_relay.streams.report import Placement
from bayscribe_relay.transcribe.joining import Piece, SpokenTurn, join

HORIZON_S: Final = 40.0
"""Turns that ended longer ago are settled: none is revised or added to any more."""

SETTLE_S: Final = 3.5
"""Audio behind a turn after which it gets no more words: turns are emitted within 3 s."""

TOUCH_S: Final = 0.1
"""A turn that reaches less than this into a segment does not say that it holds speech."""


class Span(Struct, array_like=True):
    """A stored segment on the recording's time line.

    Attributes:
        seq: number in the device's chain.
        at: first sample.
        samples: length.
        wall_ns: wall clock of the first sample.
        heard: whether recognition is done with it.
        problem: why it could not be recognised; empty if it was.
    """

    seq: int
    at: int
    samples: int
    wall_ns: int
    heard: bool = False
    problem: str = ""


class Zone(Struct):
    """The open end of one recording."""

    rate: int = 16_000
    boot: str = ""
    boots: int = 0
    base: int = 0
    end: int = 0
    spans: list[Span] = msgspec.field(default_factory=list)
    pieces: list[Piece] = msgspec.field(default_factory=list)
    words: list[Word] = msgspec.field(default_factory=list)
    written: list[str] = msgspec.field(default_factory=list)
    counts: dict[str, int] = msgspec.field(default_factory=dict)

    def add(self, header: SegmentHeader, turns: tuple[TurnRecord, ...]) -> Span:
        """Take in a segment and the turns that came with it."""
        placement = Placement(self.boot, self.base, self.end)
        at = placement.place(header)
        self.boots += header.boot != self.boot
        self.boot, self.base, self.end = placement.boot, placement.base, placement.end
        self.rate = header.sample_rate
        span = Span(header.seq, at, header.samples, header.wall_ns)
        self.spans.append(span)
        for turn in turns:
            self._add_turn(turn)
        return span

    def _add_turn(self, turn: TurnRecord) -> None:
        if turn.revises is not None:
            gone = self._name(turn.revises)
            self.pieces = [piece for piece in self.pieces if piece.id != gone]
        start, end = (max(0, at - self.base) / self.rate for at in (turn.start, turn.end))
        name = self._name(turn.id)
        if end <= start or any(piece.id == name for piece in self.pieces):
            return
        self.pieces.append(
            Piece(name, start, end, turn.label, turn.primary, turn.confidence, turn.azimuth_deg)
        )

    def _name(self, turn: int) -> str:
        return f"{turn}" if self.boots <= 1 else f"{self.boots}.{turn}"

    def spoken_spans(self) -> list[Span]:
        """Segments not recognised yet in which, by some turn, somebody speaks."""
        return [
            span
            for span in self.spans
            if not span.heard and any(self._touches(piece, span) for piece in self.pieces)
        ]

    def _touches(self, piece: Piece, span: Span) -> bool:
        begin, end = span.at / self.rate, (span.at + span.samples) / self.rate
        return min(piece.end, end) - max(piece.start, begin) >= TOUCH_S

    def count(self, what: str, by: int = 1) -> None:
        """Count something for the operator."""
        self.counts[what] = self.counts.get(what, 0) + by

    def turns(self) -> list[SpokenTurn]:
        """The zone's turns with their words; strays wait for a turn until they are settled."""
        return join(self.pieces, self.words)[0]

    def settled(self, turn: SpokenTurn) -> bool:
        """Whether no more words will come for a turn."""
        return turn.end + SETTLE_S <= self.end / self.rate

    def wall_ns(self, at_s: float) -> int:
        """Wall clock of an instant, by the segment that holds it."""
        sample = at_s * self.rate
        span = self.spans[0]
        for each in self.spans:
            if each.at <= sample:
                span = each
        return span.wall_ns + round((sample - span.at) / self.rate * 1e9)

    def spans_of(self, start: float, end: float) -> list[Span]:
        """Segments that hold a stretch of time; never none."""
        held = [
            span
            for span in self.spans
            if span.at < end * self.rate and start * self.rate < span.at + span.samples
        ]
        return held or self.spans[-1:]

    def forget(self) -> None:
        """Let go of what is settled, whole turns at a time."""
        oldest = self.end / self.rate - HORIZON_S
        turns, strays = join(self.pieces, self.words)
        kept = [turn for turn in turns if turn.end >= oldest]
        since = min([turn.start for turn in kept] + [oldest])
        self.pieces = [piece for turn in kept for piece in turn.pieces]
        late = [word for word in strays if word.end >= oldest]
        if len(late) < len(strays):
            self.count("words-outside-turns", len(strays) - len(late))
        self.words = [word for turn in kept for word in turn.words] + late
        self.spans = [
            span for span in self.spans if (span.at + span.samples) / self.rate >= since - 1.0
        ] or self.spans[-1:]


Hear = Callable[[Zone, Span], list[Word]]
"""Recognise a segment: gated words in seconds of the recording."""


def take(zone: Zone, hear: Hear) -> None:
    """Recognise what turns say is speech, and take the words in."""
    for span in zone.spoken_spans():
        zone.words += hear(zone, span)
        span.heard = True


def encode(zone: Zone) -> bytes:
    """The zone's stored form."""
    return msgspec.msgpack.encode(zone)


def decode(data: bytes) -> Zone:
    """The zone as stored."""
    return msgspec.msgpack.decode(data, type=Zone) if data else Zone()


def ids(recording: str, turns: list[SpokenTurn]) -> Mapping[str, SpokenTurn]:
    """Turns by the id of their utterance: that of their first piece."""
    return {f"{recording}/{turn.pieces[0].id}": turn for turn in turns}

"""Speaker turns and words put together. Pure: pieces and words in, spoken turns out.

The appliance emits a long turn in pieces of about a second. Pieces of one speaker that abut
become one turn again here, and each word goes to the piece that it was said in.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from msgspec import Struct

from bayscribe_relay.clinical.speech import Word

JOIN_S: Final = 0.6
"""A speaker's pause that does not end the turn; 0.5 to 1 s is usual for turn units."""

LONGEST_S: Final = 12.0
"""A longer turn is shown in parts."""

STRAY_S: Final = 0.4
"""How far outside every piece a word may lie: word times are exact to a few tenths."""


class Piece(Struct, frozen=True, array_like=True):
    """A turn as the appliance emitted it, in seconds of the recording.

    Attributes:
        id: number in this recording; with the boot's number before it from the second boot on.
    """

    id: str
    start: float
    end: float
    label: str
    primary: bool
    confidence: float
    azimuth_deg: float | None


@dataclass(slots=True)
class SpokenTurn:
    """Pieces of one speaker, and the words in them."""

    pieces: list[Piece]
    words: list[Word] = field(default_factory=list)

    @property
    def start(self) -> float:
        """Seconds of the recording."""
        return self.pieces[0].start

    @property
    def end(self) -> float:
        """Likewise."""
        return max(piece.end for piece in self.pieces)

    @property
    def confidence(self) -> float:
        """Of the attribution: the pieces' mean by length."""
        total = sum(piece.end - piece.start for piece in self.pieces)
        if total <= 0:
            return self.pieces[0].confidence
        weighted = sum(piece.confidence * (piece.end - piece.start) for piece in self.pieces)
        return min(1.0, max(0.0, weighted / total))

    @property
    def azimuth_deg(self) -> float | None:
        """Of the longest piece that has one."""
        placed = [piece for piece in self.pieces if piece.azimuth_deg is not None]
        return max(placed, key=lambda p: p.end - p.start).azimuth_deg if placed else None


def join(pieces: Iterable[Piece], words: Sequence[Word]) -> tuple[list[SpokenTurn], list[Word]]:
    """Join pieces to turns and give them their words.

    Returns:
        the turns by time, and the words that lie in no piece.
    """
    ordered = sorted(pieces, key=lambda p: (p.start, p.end, p.id))
    turns, turn_of = _turns(ordered)
    strays = []
    for word in words:
        piece = _piece_of(word, ordered)
        if piece is None:
            strays.append(word)
        else:
            turn_of[piece.id].words.append(word)
    for turn in turns:
        turn.words.sort(key=lambda w: (w.start, w.end))
    return turns, strays


def _turns(ordered: Sequence[Piece]) -> tuple[list[SpokenTurn], dict[str, SpokenTurn]]:
    turns: list[SpokenTurn] = []
    last: dict[str, SpokenTurn] = {}
    turn_of: dict[str, SpokenTurn] = {}
    for piece in ordered:
        turn = last.get(piece.label)
        if turn is None or not _continues(turn, piece, turns[-1]):
            turn = last[piece.label] = SpokenTurn([])
            turns.append(turn)
        turn.pieces.append(piece)
        turn_of[piece.id] = turn
    return turns, turn_of


def _continues(turn: SpokenTurn, piece: Piece, newest: SpokenTurn) -> bool:
    """Whether a piece goes on with its speaker's turn: no long pause, nobody in between."""
    if piece.start - turn.end > JOIN_S or piece.end - turn.start > LONGEST_S:
        return False
    return newest is turn or newest.end <= turn.end or newest.start >= piece.start


def _piece_of(word: Word, ordered: Sequence[Piece]) -> Piece | None:
    """The piece that holds most of a word, the surer attribution among equals; else one near."""
    middle = (word.start + word.end) / 2
    best: tuple[float, float, Piece] | None = None
    for piece in ordered:
        if piece.start - STRAY_S > middle:
            break
        if piece.end + STRAY_S < middle:
            continue
        inside = min(word.end, piece.end) - max(word.start, piece.start)
        share = round(inside / max(word.end - word.start, 0.02), 3)
        if best is None or (share, piece.confidence) > best[:2]:
            best = (share, piece.confidence, piece)
    return None if best is None else best[2]

"""Pieces of turns and words, put together by time, speaker and confidence."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from bayscribe_relay.clinical.speech import Word
from bayscribe_relay.transcribe.joining import LONGEST_S, STRAY_S, Piece, join


def piece(ident: int, start: float, end: float, who: str = "a", confidence: float = 0.9) -> Piece:
    return Piece(str(ident), start, end, who, False, confidence, None)


def word(text: str, start: float, end: float) -> Word:
    return Word(text, start, end, 0.9)


def texts(pieces: list[Piece], words: list[Word]) -> list[tuple[str, list[str]]]:
    return [(t.pieces[0].label, [w.text for w in t.words]) for t in join(pieces, words)[0]]


def test_pieces_that_abut_are_one_turn() -> None:
    pieces = [piece(1, 0, 1), piece(2, 1, 2), piece(3, 2.4, 3)]
    assert texts(pieces, [word("x", 0.9, 1.1), word("y", 2.5, 2.8)]) == [("a", ["x", "y"])]


def test_a_pause_another_speaker_or_great_length_ends_a_turn() -> None:
    assert len(texts([piece(1, 0, 1), piece(2, 2, 3)], [])) == 2
    between = [piece(1, 0, 1), piece(2, 1, 1.4, "b"), piece(3, 1.4, 2)]
    assert [who for who, _ in texts(between, [])] == ["a", "b", "a"]
    long = [piece(k, k, k + 1) for k in range(30)]
    assert max(t.end - t.start for t in join(long, [])[0]) <= LONGEST_S


def test_overlapping_speakers_share_words_by_time_then_by_confidence() -> None:
    pieces = [piece(1, 0, 2, "a", 0.6), piece(2, 1, 3, "b", 0.8)]
    words = [word("one", 0.2, 0.6), word("both", 1.2, 1.6), word("three", 2.4, 2.8)]
    assert texts(pieces, words) == [("a", ["one"]), ("b", ["both", "three"])]


def test_a_word_far_from_everybody_is_nobodys() -> None:
    turns, strays = join([piece(1, 0, 1)], [word("near", 1.1, 1.5), word("far", 3, 3.2)])
    assert [w.text for w in turns[0].words] == ["near"]
    assert [w.text for w in strays] == ["far"]


@given(
    st.lists(
        st.tuples(st.integers(0, 60), st.integers(1, 12), st.sampled_from("abc")), max_size=12
    ),
    st.lists(st.tuples(st.integers(0, 80), st.integers(1, 5)), max_size=20),
    st.randoms(),
)
def test_every_word_is_in_one_turn_near_it_or_none(
    made: list[tuple[int, int, str]], said: list[tuple[int, int]], chance: Random
) -> None:
    pieces = [
        piece(k, start / 5, (start + length) / 5, who)
        for k, (start, length, who) in enumerate(made)
    ]
    words = [word(str(k), at / 5, (at + length) / 10) for k, (at, length) in enumerate(said)]
    words = [w for w in words if w.end > w.start]
    turns, strays = join(pieces, words)
    kept = [w for t in turns for w in t.words] + strays
    assert sorted(w.text for w in kept) == sorted(w.text for w in words)
    for turn in turns:
        for each in turn.words:
            middle = (each.start + each.end) / 2
            assert any(p.start - STRAY_S <= middle <= p.end + STRAY_S for p in turn.pieces)
    chance.shuffle(pieces)
    assert join(pieces, words)[0] == turns

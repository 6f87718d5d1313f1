"""Every edge of a stay's state machine, in order and out of order."""

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayscribe_relay.encounters.binding import Correction, Recording, Tap, bind
from bayscribe_relay.encounters.course import Course, Movement, MovementKind, Presence, course

KINDS: tuple[MovementKind, ...] = (
    "register",
    "admit",
    "transfer",
    "update",
    "discharge",
    "cancel-admit",
    "cancel-transfer",
    "cancel-discharge",
    "tap-open",
    "tap-close",
)


def moves(*told: str) -> list[Movement]:
    """``"register 1 bay-1"``: kind, instant, place (``-`` none said, ``out`` elsewhere)."""
    found = []
    for n, text in enumerate(told):
        kind, at, *place = text.split()
        bay = place[0] if place and place[0] not in ("-", "out") else None
        found.append(
            Movement(
                kind=kind,  # type: ignore[arg-type]  # a word of the test's own text
                at_ns=int(at),
                n=n,
                bay="" if place == ["out"] else bay,
                inside=place != ["out"],
                source=kind,
            )
        )
    return found


EDGES = [
    ("none, register", ["register 1 b1"], "open", "b1"),
    ("none, admit", ["admit 1 b1"], "open", "b1"),
    ("none, transfer in", ["transfer 1 b1"], "open", "b1"),
    ("none, update", ["update 1 b1"], "open", "b1"),
    ("none, tap", ["tap-open 1 b1"], "open", "b1"),
    ("none, discharge", ["discharge 1"], None, ""),
    ("none, elsewhere", ["admit 1 out", "transfer 2 out", "discharge 3"], None, ""),
    ("open, transfer", ["register 1 b1", "transfer 2 b2"], "open", "b2"),
    ("open, update moves", ["register 1 b1", "update 2 b2"], "open", "b2"),
    ("open, update says no place", ["register 1 b1", "update 2 -"], "open", "b1"),
    ("open, update elsewhere", ["register 1 b1", "update 2 out"], "open", "b1"),
    ("open, admitted here", ["register 1 b1", "admit 2 b1"], "open", "b1"),
    ("open, admitted out", ["register 1 b1", "admit 2 out"], "closed", ""),
    ("open, transferred out", ["register 1 b1", "transfer 2 out"], "closed", ""),
    ("open, discharge", ["register 1 b1", "discharge 2"], "closed", ""),
    ("open, tap ends", ["tap-open 1 b1", "tap-close 2"], "closed", ""),
    ("open, cancel", ["register 1 b1", "cancel-admit 2"], "cancelled", ""),
    ("admit taken back", ["register 1 b1", "admit 2 out", "cancel-admit 3"], "open", "b1"),
    ("closed, cancel", ["register 1 b1", "discharge 2", "cancel-discharge 3"], "open", "b1"),
    ("out, cancel", ["register 1 b1", "transfer 2 out", "cancel-transfer 3"], "open", "b1"),
    ("closed, again", ["register 1 b1", "discharge 2", "register 3 b2"], "open", "b2"),
    ("closed, back", ["register 1 b1", "transfer 2 out", "transfer 3 b1"], "open", "b1"),
    ("closed, tap", ["register 1 b1", "discharge 2", "tap-open 3 b1"], "open", "b1"),
    ("closed, update", ["register 1 b1", "discharge 2", "update 3 b1"], "closed", ""),
    ("cancelled, again", ["register 1 b1", "cancel-admit 2", "register 3 b1"], "open", "b1"),
    ("to no bay", ["register 1 b1", "transfer 2"], "open", "b1"),
]


@pytest.mark.parametrize(("name", "told", "state", "bay"), EDGES, ids=[e[0] for e in EDGES])
def test_every_edge(name: str, told: list[str], state: str | None, bay: str) -> None:
    found = course("s", moves(*told))
    assert (None if found is None else found.state) == state, name
    assert bay == ("" if found is None else found.bay)


@pytest.mark.parametrize("told", [e[1] for e in EDGES], ids=[e[0] for e in EDGES])
def test_the_order_in_which_messages_arrive_does_not_matter(told: list[str]) -> None:
    wanted = course("s", moves(*told))
    shuffled = list(told)
    for seed in range(10):
        random.Random(seed).shuffle(shuffled)
        assert course("s", moves(*shuffled)) == wanted


def test_where_a_patient_was_is_told_with_its_times() -> None:
    found = course("s", moves("register 10 b1", "transfer 20 b2", "discharge 30"))
    assert found == Course(
        "closed",
        "",
        10,
        30,
        "discharge",
        (Presence("s", "b1", 10, 20), Presence("s", "b2", 20, 30)),
    )


def test_a_late_transfer_is_put_where_it_belongs() -> None:
    late = course("s", moves("register 10 b1", "discharge 30", "transfer 20 b2"))
    assert late is not None
    assert late.presences == (Presence("s", "b1", 10, 20), Presence("s", "b2", 20, 30))


def test_a_stated_arrival_counts_unless_it_cannot_be_right() -> None:
    day = 86_400 * 10**9
    base = Movement(kind="register", at_ns=100 * day, n=1, bay="b1", arrived_ns=100 * day - 60)
    found = course("s", [base])
    assert found is not None
    assert found.arrived_ns == 100 * day - 60
    typo = Movement(kind="register", at_ns=100 * day, n=1, bay="b1", arrived_ns=day)
    found = course("s", [typo])
    assert found is not None
    assert found.arrived_ns == 100 * day


movements = st.lists(
    st.builds(
        Movement,
        kind=st.sampled_from(KINDS),
        at_ns=st.integers(0, 20),
        n=st.integers(0, 100),
        bay=st.sampled_from([None, "", "b1", "b2"]),
        inside=st.booleans(),
    ),
    max_size=12,
)


@given(movements)
def test_a_patient_is_never_in_two_bays_and_never_in_one_after_the_end(
    told: list[Movement],
) -> None:
    found = course("s", told)
    if found is None:
        return
    ends = [p.until_ns for p in found.presences]
    for before, after in itertools.pairwise(found.presences):
        assert before.until_ns is not None
        assert before.until_ns <= after.from_ns
    assert (found.state == "open") or None not in ends
    assert (found.state == "open") == (found.closed_ns is None)
    assert (None in ends) == bool(found.bay)


@given(
    st.lists(
        st.builds(
            Presence,
            stay=st.sampled_from("ABC"),
            bay=st.sampled_from(["b1", "b2"]),
            from_ns=st.integers(0, 50),
            until_ns=st.none() | st.integers(51, 100),
        ),
        max_size=5,
    ),
    st.lists(
        st.builds(
            Tap,
            n=st.integers(0, 9),
            bay=st.sampled_from(["b1", "b2"]),
            stay=st.sampled_from("ABC"),
            action=st.sampled_from(["open", "close"]),
            at_ns=st.integers(0, 100),
        ),
        max_size=5,
    ),
    st.integers(0, 40),
    st.none() | st.integers(41, 120),
)
def test_audio_is_only_ever_of_a_patient_who_was_in_the_bay(
    presences: list[Presence], taps: list[Tap], start: int, end: int | None
) -> None:
    recording = Recording("unit", "r", "b1", start, end)
    bindings = bind(recording, presences, taps, [])
    for one in bindings:
        assert any(
            p.stay == one.stay and p.bay == "b1" and p.from_ns <= one.from_ns for p in presences
        )
        assert one.from_ns >= start
        assert end is None or (one.until_ns is not None and one.until_ns <= end)
    for before, after in itertools.pairwise(bindings):
        assert before.until_ns is not None
        assert before.until_ns <= after.from_ns


def test_a_correction_wins_over_everything_and_the_last_one_over_the_first() -> None:
    recording = Recording("unit", "r", "b1", 0, 100)
    there = [Presence("A", "b1", 0, None)]
    said = [Correction(1, "r", "B", 20, 60), Correction(2, "r", "", 40, 50)]
    found = bind(recording, there, [], said)
    assert [(b.stay, b.from_ns, b.until_ns, b.reason) for b in found] == [
        ("A", 0, 20, "adt"),
        ("B", 20, 40, "correction"),
        ("B", 50, 60, "correction"),
        ("A", 60, 100, "adt"),
    ]

"""The judge of the power cuts can say no."""

import pytest

from hil.powercut.promises import Promises

FIRST_BOOT = ["FOUND 0 0 g", "READY", "APPENDED 1 a", "APPENDED 2 b", "APPENDED 3 c"]
ACKNOWLEDGED = ["ACKNOWLEDGING 2", "ACKNOWLEDGED 2"]


def heard(*boots: list[str]) -> Promises:
    promises = Promises()
    for lines in boots:
        promises.hear(lines)
    return promises


@pytest.mark.parametrize(
    "second",
    [
        ["FOUND 3 2 c", "VERIFIED 1"],
        ["FOUND 4 2 d", "VERIFIED 2"],
        ["INSPECT intact", "FOUND 3 2 c"],
        ["INSPECT power cut", "FOUND 3 2 c"],
        [],
    ],
    ids=["all", "one more that was complete", "intact", "traces", "cut before it was opened"],
)
def test_a_buffer_that_kept_its_word_passes(second: list[str]) -> None:
    assert not heard(FIRST_BOOT + ACKNOWLEDGED, second).problems


@pytest.mark.parametrize(
    ("second", "problem"),
    [
        ("FOUND 2 2 b", "lost records 3 to 3"),
        ("FOUND 3 2 x", "another one"),
        ("FOUND 5 2 e", "more than were appended"),
        ("FOUND 3 0 c", "acknowledged up to 0"),
        ("FOUND 3 3 c", "acknowledged up to 3"),
        ("INSPECT tampered", "tampered"),
        ("BROKEN chain at 2", "chain at 2"),
    ],
)
def test_a_broken_promise_is_noticed(second: str, problem: str) -> None:
    promises = heard(FIRST_BOOT + ACKNOWLEDGED, [second])
    assert problem in promises.problems[0]


def test_a_loss_counts_even_if_a_boot_was_cut_before_the_buffer_was_opened() -> None:
    promises = heard(FIRST_BOOT, ["MOUNTED"], ["FOUND 1 0 a"])
    assert (promises.lost, promises.losses) == (2, 1)

"""The fuzzers' targets hold for some inputs here; the full count is the benchmark's."""

import logging
from collections.abc import Iterator

import pytest
from benchmarks.writeback.fuzz_targets import CANARY, TARGETS, LeakError, seeds, watched
from hypothesis import given
from hypothesis import strategies as st


@pytest.fixture(scope="module", autouse=True)
def _watch() -> Iterator[None]:
    root = logging.getLogger()
    level, watch = root.level, watched()
    yield
    root.removeHandler(watch)
    root.setLevel(level)


@given(st.sampled_from(sorted(TARGETS)), st.binary(max_size=400))
def test_any_input_is_taken_or_refused_and_stands_in_no_log(name: str, data: bytes) -> None:
    TARGETS[name](data)


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_good_inputs_and_halves_of_them_are_taken(name: str) -> None:
    for seed in seeds()[name]:
        for part in (seed, seed[: len(seed) // 2], seed[len(seed) // 2 :]):
            TARGETS[name](part)


def test_a_leak_would_be_noticed() -> None:
    with pytest.raises(LeakError):
        logging.getLogger("bayscribe.gateway").info("letter of %s", CANARY)

"""For every test: properties draw repeatably and unhurried, logging is left as it was found."""

import logging
from collections.abc import Iterator

import pytest
from hypothesis import settings

# Derandomized: what passes here passes everywhere; the long fuzzers draw at random.
settings.register_profile("unhurried", deadline=None, derandomize=True)
settings.load_profile("unhurried")


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """A command that ran in this process sets logging up for a process of its own."""
    product = logging.getLogger("bayscribe")
    before = (product.handlers[:], product.level, product.propagate)
    yield
    product.handlers[:], level, product.propagate = before
    product.setLevel(level)

"""For every test: properties draw repeatably and unhurried, logging is left as it was found.

And for many: a bay.
"""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from hil.bay import EXCERPT, VOICE, Bay, profile_for

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


@pytest.fixture
def bay(tmp_path: Path) -> Iterator[Bay]:
    """A unit and a relay for the four-channel excerpt, with the clinician enrolled."""
    made = Bay(tmp_path / "bay", profile_for(EXCERPT), VOICE)
    try:
        yield made
    finally:
        made.stop()

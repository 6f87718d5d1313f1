"""The recorded microphone under the real ALSA, as the capture tests have it; a unit unboxed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from audio.conftest import open_bay, plugin
from commission.unboxed import Unboxed

__all__ = ["open_bay", "plugin"]


@pytest.fixture
def unboxed(tmp_path: Path) -> Iterator[Unboxed]:
    """A unit without a key, with a site around it."""
    made = Unboxed(tmp_path)
    yield made
    made.close()

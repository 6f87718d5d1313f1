"""A site with a broker of its own for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from telemetry.site_broker import SiteBroker


@pytest.fixture
def site(tmp_path: Path) -> Iterator[SiteBroker]:
    made = SiteBroker(tmp_path / "site")
    made.start()
    yield made
    made.kill()

"""The alarm list that people hold in their hands says what the checks say."""

from pathlib import Path

from bayscribe.health.document import text

PAGE = Path(__file__).resolve().parents[2] / "docs" / "alarms.md"


def test_the_page_is_made_from_the_checks() -> None:
    assert PAGE.read_text() == text()

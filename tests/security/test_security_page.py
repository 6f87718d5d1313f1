"""The security and privacy pages name tests that exist."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from hil.bay import REPOSITORY

PAGES = ("security.md", "privacy.md", "telehealth.md")
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


@cache
def functions_of(path: Path) -> frozenset[str]:
    tree = ast.parse(path.read_text())
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, functions))


@pytest.mark.parametrize("page", PAGES)
def test_every_test_that_a_page_names_exists(page: str) -> None:
    named = NAMED.findall((REPOSITORY / "docs" / page).read_text())
    assert named
    for file, test in named:
        path = REPOSITORY / file
        assert path.is_file(), file
        assert test in functions_of(path), f"{file}::{test}"


def test_each_attacker_is_told_what_is_promised_and_what_is_not() -> None:
    text = (REPOSITORY / "docs" / "security.md").read_text()
    chapters = re.split(r"^## \d\. ", text, flags=re.MULTILINE)[1:]
    assert len(chapters) >= 6
    for chapter in chapters:
        assert "| Promise |" in chapter
        assert "Not promised:" in chapter
        assert NAMED.search(chapter)

"""Reading what a language model answered: fenced, cut short or of another shape."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

SENTENCES_MAX: Final = 300
CONTENT_MAX: Final = 256 * 1024
_DEPTH_MAX: Final = 8

_FENCE: Final = re.compile(r"```[A-Za-z]*[ \t]*\n(.*?)(?:```|\Z)", re.DOTALL)
_PART: Final = re.compile(r'"section"\s*:\s*"([^"\\]{0,200})"|(\{[^{}]*\})')


@dataclass(frozen=True, slots=True)
class Proposed:
    """A sentence as a model proposed it; nothing of it is checked yet.

    Attributes:
        section: what it called the section.
        text: in one line.
        sources: names that it gave as sources.
    """

    section: str
    text: str
    sources: tuple[str, ...]


class Unreadable(ValueError):  # noqa: N818 - an answer, not a fault of ours
    """An answer that holds no sentences in the form that was asked for, or too many."""


def read_answer(content: str) -> list[Proposed]:
    """The sentences of an answer, each once.

    Of an answer that was cut short, the sentences that are whole are taken.

    Raises:
        Unreadable: it is not what was asked for, or too long.
    """
    if len(content) > CONTENT_MAX:
        raise Unreadable("its answer is too long")
    fenced = _FENCE.search(content)
    plain = (fenced[1] if fenced else content).strip()
    start = min((n for n in (plain.find("{"), plain.find("[")) if n >= 0), default=-1)
    if start < 0:
        raise Unreadable("its answer could not be read")
    try:
        tree, _ = json.JSONDecoder().raw_decode(plain[start:])
    except (ValueError, RecursionError):
        found = list(_salvaged(plain[start:]))
        if not found:
            raise Unreadable("its answer could not be read") from None
    else:
        if not _is_answer(tree):
            raise Unreadable("its answer could not be read")
        found = list(_sentences(tree, "", 0))
    found = list(dict.fromkeys(found))
    if len(found) > SENTENCES_MAX:
        raise Unreadable("its answer is too long")
    return found


def _is_answer(tree: Any) -> bool:  # noqa: ANN401 - parsed JSON
    if isinstance(tree, dict):
        return bool({"sections", "sentences", "text"} & set(tree))
    return isinstance(tree, list) and all(isinstance(part, dict) for part in tree)


def _sentences(tree: Any, section: str, depth: int) -> Iterator[Proposed]:  # noqa: ANN401 - parsed JSON
    if depth > _DEPTH_MAX:
        return
    if isinstance(tree, list):
        for part in tree:
            yield from _sentences(part, section, depth + 1)
    elif isinstance(tree, dict):
        named = next((tree[k] for k in ("section", "loinc", "code", "title") if k in tree), section)
        section = named if isinstance(named, str) else section
        if "text" in tree:
            yield _proposed(tree, section)
        for key in ("sections", "sentences"):
            yield from _sentences(tree.get(key, []), section, depth + 1)


def _salvaged(text: str) -> Iterator[Proposed]:
    """Whole sentence objects in what is not whole itself."""
    section = ""
    for found in _PART.finditer(text):
        if found[2] is None:
            section = found[1]
            continue
        try:
            tree = json.loads(found[2])
        except (ValueError, RecursionError):
            continue
        if "text" in tree:
            yield _proposed(tree, section)


def _proposed(tree: dict[str, Any], section: str) -> Proposed:
    text, sources = tree["text"], tree.get("sources")
    names = sources if isinstance(sources, list) else [sources]
    return Proposed(
        section=section.strip(),
        text=_line(text) if isinstance(text, str) else "",
        sources=tuple(dict.fromkeys(_name(one) for one in names if one is not None)),
    )


def _line(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in " ".join(text.split()))


def _name(source: Any) -> str:  # noqa: ANN401 - parsed JSON
    """A source's name: ``u1``, also as ``[u1]`` or ``{"id": "u1"}``."""
    if isinstance(source, dict):
        source = source.get("id")
    return source.strip(" []()") if isinstance(source, str) else ""

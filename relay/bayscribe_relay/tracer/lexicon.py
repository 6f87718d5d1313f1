"""The words that the tracer listens for: data files that a clinician can read.

One file an area of ``listening/``, and ``context.yaml`` with the words that turn a meaning
round (negation, history, condition, family). A phrase is words with

- ``infect*``: any ending;  ``#``: a number;  ``...``: up to five words of the same sentence;
- ``(a|b c)``: one of them;  ``(a)?``: may be missing;  ``{class}``: a list of the file.
"""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

import yaml

from bayscribe.errors import ConfigError
from bayscribe_relay.tracer.criteria import GROUPS

FOLDER = Path(__file__).parent / "listening"
CRITERIA = tuple(dict.fromkeys(name for names in GROUPS.values() for name in names))
KINDS = ("negated", "historical", "hypothetical", "family", "question")


@dataclass(frozen=True)
class Phrase:
    """One way to say a concept."""

    pattern: re.Pattern[str]
    criterion: str | None = None
    negative: bool = False


Answer = Literal["yes", "no", "any"]


@dataclass(frozen=True)
class Question:
    """How a concept is asked for, and with which answer the two state it."""

    pattern: re.Pattern[str]
    answer: Answer


@dataclass(frozen=True)
class Concept:
    """A concept of the catalogue and how it is said.

    Attributes:
        phrases: each suffices.
        elements: groups of phrases, of which ``at_least`` must occur in one utterance.
        negative: its phrases are themselves negatives ("no shock"): a "no" does not turn them
            (of a single phrase: ``{say: ..., negative: true}``).
        past: what is past still counts ("she took aspirin at home").
        conditional: a condition is part of it ("come back if").
        adjacent: its parts may stand in two utterances of one speaker, one after the other.
        asked: a clinician's questions that state it together with another's yes or no
            (``{say: ..., answer: no}`` where only a "no" does).
        low, high: bounds of the number that belongs to it, if one does.
        clock: it tells a time.
    """

    name: str
    phrases: tuple[Phrase, ...]
    elements: tuple[tuple[Phrase, ...], ...]
    at_least: int
    negative: bool
    past: bool
    conditional: bool
    adjacent: bool
    asked: tuple[Question, ...]
    low: float | None
    high: float | None
    clock: bool


@dataclass(frozen=True)
class Modifier:
    """Words that change what is said ``after`` (or before) them."""

    kind: str
    pattern: re.Pattern[str]
    after: bool
    reach: int


@dataclass(frozen=True)
class Lexicon:
    """All concepts, and the words around them."""

    concepts: tuple[Concept, ...]
    modifiers: tuple[Modifier, ...]
    harmless: tuple[re.Pattern[str], ...]
    ends: tuple[re.Pattern[str], ...]


@cache
def load_lexicon(folder: Path = FOLDER) -> Lexicon:
    """Read and compile the files.

    Raises:
        ConfigError: a file is not as it must be; file, concept and phrase are named.
    """
    concepts: dict[str, Concept] = {}
    for path in sorted(folder.glob("*.yaml")):
        if path.name == "context.yaml":
            continue
        tree = _read(path)
        classes = {name: list(words) for name, words in (tree.get("classes") or {}).items()}
        for name, body in tree["concepts"].items():
            if name in concepts:
                raise ConfigError(f"{path.name}: {name}: is in two files", "keep one")
            concepts[name] = _concept(name, body, classes, path.name)
    tree = _read(folder / "context.yaml")
    return Lexicon(
        tuple(concepts.values()),
        tuple(_modifiers(tree)),
        tuple(_compile(text, {}, "context.yaml: harmless") for text in tree["harmless"]),
        tuple(_compile(text, {}, "context.yaml: ends") for text in tree["ends"]),
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        tree = yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path.name}: {error}", "correct the file") from None
    if not isinstance(tree, dict):
        raise ConfigError(f"{path.name}: not a table", "correct the file")
    return tree


def _concept(name: str, body: Any, classes: dict[str, list[str]], file: str) -> Concept:  # noqa: ANN401 - parsed YAML
    where = f"{file}: {name}"
    if not isinstance(body, dict):
        body = {"say": body}
    known = {"say", "elements", "at_least", "negative", "past", "conditional", "value", "clock"}
    known |= {"adjacent", "asked", "note"}
    if unknown := set(body) - known:
        raise ConfigError(f"{where}: unknown {sorted(unknown)}", f"use {sorted(known)}")
    low, high = body.get("value") or (None, None)
    return Concept(
        name,
        tuple(_phrase(say, classes, where) for say in body.get("say") or []),
        tuple(
            tuple(_phrase(say, classes, where) for say in group)
            for group in (body.get("elements") or {}).values()
        ),
        int(body.get("at_least", 0)),
        bool(body.get("negative", False)),
        bool(body.get("past", False)),
        bool(body.get("conditional", False)),
        bool(body.get("adjacent", False)),
        tuple(_question(say, classes, where) for say in body.get("asked") or []),
        low,
        high,
        bool(body.get("clock", False)),
    )


def _phrase(say: Any, classes: dict[str, list[str]], where: str) -> Phrase:  # noqa: ANN401 - parsed YAML
    if isinstance(say, dict):
        if unknown := set(say) - {"say", "criterion", "negative"}:
            raise ConfigError(f"{where}: unknown {sorted(unknown)}", "use say, criterion, negative")
        pattern = _compile(str(say.get("say", "")), classes, where)
        criterion = say.get("criterion")
        if criterion is not None and criterion not in CRITERIA:
            raise ConfigError(
                f"{where}: criterion: found {criterion!r}: expected one of {', '.join(CRITERIA)}",
                "correct the file",
            )
        return Phrase(pattern, criterion, bool(say.get("negative", False)))
    return Phrase(_compile(str(say), classes, where))


_ANSWERS: Final[dict[object, Answer]] = {
    "any": "any",
    "yes": "yes",
    "no": "no",
    # YAML 1.1 reads a bare yes or no as a truth value.
    True: "yes",
    False: "no",
}


def _question(say: Any, classes: dict[str, list[str]], where: str) -> Question:  # noqa: ANN401 - parsed YAML
    body = say if isinstance(say, dict) else {"say": say}
    answer = body.get("answer", "any")
    given = _ANSWERS.get(answer) if isinstance(answer, str | bool) else None
    if given is None or set(body) - {"say", "answer"}:
        raise ConfigError(f"{where}: asked: {answer!r}", "use say, and answer: yes, no or any")
    return Question(_compile(str(body.get("say", "")), classes, where), given)


def _modifiers(tree: dict[str, Any]) -> list[Modifier]:
    found = []
    for kind in KINDS:
        for side, after in (("before", True), ("behind", False)):
            for text in (tree[kind] or {}).get(side) or []:
                pattern = _compile(text, {}, f"context.yaml: {kind}")
                found.append(Modifier(kind, pattern, after, int(tree[kind].get("reach", 8))))
    return found


_PART = re.compile(r"\.\.\.|#|\{[a-z_]+\}|[()|?]|[a-z0-9./:]+\*?|,|\S")


def _compile(text: str, classes: dict[str, list[str]], where: str) -> re.Pattern[str]:
    """A phrase as a regular expression over tokens that each end in a space."""
    try:
        parts = _PART.findall(text.lower())
        body, rest = _sequence(parts, classes)
        if rest:
            raise ValueError(f"unexpected {rest[0]!r}")  # noqa: TRY301 - one place says where
        return re.compile(rf"(?<![^ ]){body}")
    except (ValueError, KeyError, re.error) as error:
        raise ConfigError(f"{where}: phrase {text!r}: {error}", "correct the phrase") from None


def _sequence(parts: list[str], classes: dict[str, list[str]]) -> tuple[str, list[str]]:
    options: list[str] = []
    body = ""
    while parts and parts[0] != ")":
        part, parts = parts[0], parts[1:]
        if part == "|":
            options.append(body)
            body = ""
            continue
        if part == "(":
            inner, parts = _sequence(parts, classes)
            if not parts:
                raise ValueError("a bracket is not closed")
            item, parts = f"(?:{inner})", parts[1:]
        else:
            item = _item(part, classes)
        if parts and parts[0] == "?":
            item, parts = f"(?:{item})?", parts[1:]
        body += item
    return "|".join([*options, body]), parts


def _item(part: str, classes: dict[str, list[str]]) -> str:
    if part == "...":
        return r"(?:[^ .;?!]+ ){0,5}?"
    if part == "#":
        return r"(-?\d+(?:\.\d+)?|\d+[:/]\d+) "
    if part.startswith("{"):
        inner = "|".join(_sequence(_PART.findall(word), classes)[0] for word in classes[part[1:-1]])
        return f"(?:{inner})"
    if part.endswith("*"):
        return re.escape(part[:-1]) + r"[a-z]* "
    if not re.fullmatch(r"[a-z0-9./:]+|,", part):
        raise ValueError(f"unexpected {part!r}")
    return re.escape(part) + " "

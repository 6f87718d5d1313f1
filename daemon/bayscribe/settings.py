"""Typed configuration from TOML files.

Each part of the product states what it can be told as a frozen :class:`msgspec.Struct`
that forbids unknown keys; this reads a file into one and, where it cannot, names the
file, the key, the value found and what was expected.
"""

import re
import tomllib
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from bayscribe.errors import ConfigError

T = TypeVar("T")

_AT = re.compile(r"^(?P<what>.*?)(?: - at `\$(?P<path>[^`]*)`)?$", re.DOTALL)
_MISSING = re.compile(r"missing required field `(?P<key>[^`]+)`")
_UNKNOWN = re.compile(r"unknown field `(?P<key>[^`]+)`")
_SECRET = re.compile(r"(key|secret|token|password|credential)", re.IGNORECASE)


def load(path: Path, kind: type[T]) -> T:
    """Read a TOML file as ``kind``.

    Raises:
        ConfigError: the file is absent or not TOML, or a key is missing, unknown or of
            the wrong kind; the message names file, key, value and what was expected.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file", "give an existing file with --config") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}", "mend the line it names") from None
    return convert(tree, kind, str(path))


def convert(tree: dict[str, Any], kind: type[T], where: str) -> T:
    """Turn a parsed TOML tree into ``kind``; ``where`` names its source in errors.

    Raises:
        ConfigError: as :func:`load`.
    """
    try:
        return msgspec.convert(tree, kind)
    except msgspec.ValidationError as error:
        raise _explain(error, tree, where) from None


def _explain(error: msgspec.ValidationError, tree: dict[str, Any], where: str) -> ConfigError:
    match = _AT.match(str(error))
    what, path = (match["what"], match["path"] or "") if match else (str(error), "")
    key = path.lstrip(".")
    if missing := _MISSING.search(what):
        full = f"{key}.{missing['key']}".lstrip(".")
        return ConfigError(
            f"{where}: {full}: is missing", "add it; docs/configuration.md says what it is"
        )
    if unknown := _UNKNOWN.search(what):
        full = f"{key}.{unknown['key']}".lstrip(".")
        return ConfigError(
            f"{where}: {full}: is not a known key", "check its spelling and its table"
        )
    value = _value_at(tree, path)
    shown = "a value not shown here" if _SECRET.search(key) else repr(value)
    return ConfigError(f"{where}: {key}: found {shown}: {what[0].lower()}{what[1:]}")


def _value_at(tree: Any, path: str) -> Any:  # noqa: ANN401 - a TOML tree has no narrower type
    node = tree
    for step in re.findall(r"[^.\[\]]+", path):
        if isinstance(node, dict) and step in node:
            node = node[step]
        elif isinstance(node, list) and step.isdigit() and int(step) < len(node):
            node = node[int(step)]
        else:
            return None
    return node

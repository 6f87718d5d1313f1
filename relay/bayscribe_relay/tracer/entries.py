"""Reading one entry of a data file: each value checked, each error with its place."""

from typing import Any, NoReturn

from bayscribe.errors import ConfigError


class Entry:
    """A table of a data file and where it stands."""

    def __init__(self, raw: Any, where: str) -> None:  # noqa: ANN401 - parsed YAML
        self.where = where
        if not isinstance(raw, dict):
            self.refuse("", raw, "a table")
        self._raw: dict[str, Any] = raw

    def refuse(self, key: str, value: object, expected: str) -> NoReturn:
        """Say what is wrong.

        Raises:
            ConfigError: always; it names file, gap, key, value and what was expected.
        """
        place = f"{self.where}: {key}" if key else self.where
        raise ConfigError(f"{place}: found {value!r}: expected {expected}", "correct the file")

    def only(self, *keys: str) -> None:
        """Refuse keys that nobody reads."""
        for key in self._raw:
            if key not in keys:
                self.refuse(str(key), self._raw[key], f"one of the keys {', '.join(keys)}")

    def value(self, key: str) -> Any:  # noqa: ANN401 - parsed YAML
        """Whatever stands there."""
        if key not in self._raw:
            self.refuse(key, None, "a value; the key is missing")
        return self._raw[key]

    def text(self, key: str) -> str:
        """A text that is not empty."""
        value = self.value(key)
        if not isinstance(value, str) or not value.strip():
            self.refuse(key, value, "a text")
        return str(value)

    def one_of(self, key: str, options: tuple[str, ...]) -> str:
        """One of the words."""
        value = self.value(key)
        if value not in options:
            self.refuse(key, value, f"one of {', '.join(options)}")
        return str(value)

    def flag(self, key: str) -> bool:
        """Yes or no."""
        value = self.value(key)
        if not isinstance(value, bool):
            self.refuse(key, value, "true or false")
        return bool(value)

    def minutes(self, key: str, *, needed: bool) -> int:
        """Whole minutes from 0 on; where not needed, null is 0."""
        value = self.value(key)
        if value is None and not needed:
            return 0
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            self.refuse(key, value, "whole minutes, 0 or more")
        return int(value)

    def names(self, key: str) -> tuple[str, ...]:
        """A list of names."""
        value = self.value(key)
        if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
            self.refuse(key, value, "a list of names")
        return tuple(value)

    def table(self, key: str) -> "Entry":
        """A table in the table."""
        return Entry(self.value(key), f"{self.where}: {key}")

    def tables(self, key: str) -> list["Entry"]:
        """A list of tables."""
        value = self.value(key)
        if not isinstance(value, list):
            self.refuse(key, value, "a list of tables")
        return [Entry(item, f"{self.where}: {key}[{i}]") for i, item in enumerate(value)]

"""Carries the wire that both sides share into the relay's wheel."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SHARED = ("__init__.py", "errors.py", "settings.py", "wire")


class SharedWire(BuildHookInterface[Any]):
    """Adds the shared modules; an editable install has them on its path already."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Name the files, unless ``version`` is an editable build."""
        if version == "editable":
            return
        package = Path(self.root).parent / "daemon" / "bayscribe"
        for name in SHARED:
            build_data["force_include"][str(package / name)] = f"bayscribe/{name}"

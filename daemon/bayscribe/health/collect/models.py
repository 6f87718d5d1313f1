"""The networks on disk against their manifest."""

import hashlib
import tomllib
from pathlib import Path

from bayscribe import resources
from bayscribe.health.snapshot import ModelsView


def look(folder: Path | None = None) -> ModelsView:
    """Hash every file that the manifest names; some 30 MB of reading."""
    place = resources.models() if folder is None else folder
    try:
        manifest = tomllib.loads((place / "manifest.toml").read_text(encoding="utf-8"))
        files = [
            (name, entry["file"], entry["sha256"])
            for name, network in manifest["networks"].items()
            for entry in network["files"]
        ]
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError, AttributeError):
        return ModelsView(0, ("manifest.toml",))
    wrong = [name for name, file, digest in files if _sha256(place / file) != digest]
    return ModelsView(len(files), tuple(dict.fromkeys(wrong)))


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""

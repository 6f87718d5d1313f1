"""Outcomes and open prompts on disk, so that every prompt gets exactly one answer.

Ids, times, outcomes and reasons alone: a prompt's words and sound are never written.
"""

import logging
import os
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from bayscribe.wire.messages import PromptOutcome

MOST_KEPT = 512
"""More than a unit can play in a day; older ones go first."""

log = logging.getLogger("bayscribe.prompts")


class _Kept(Struct, frozen=True, forbid_unknown_fields=True):
    open: tuple[str, ...] = ()
    unsent: tuple[PromptOutcome, ...] = ()
    v: Literal[1] = 1


class OutcomeBook:
    """What is open and what is not yet told, by prompt id.

    Args:
        path: the file; its folder is made.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        kept = self._read()
        self._open: dict[str, None] = dict.fromkeys(kept.open)
        self._unsent: dict[str, PromptOutcome] = {one.id: one for one in kept.unsent}

    @property
    def open(self) -> tuple[str, ...]:
        """Prompts that were taken and have no outcome."""
        return tuple(self._open)

    @property
    def unsent(self) -> tuple[PromptOutcome, ...]:
        """Outcomes that the relay was not told."""
        return tuple(self._unsent.values())

    def take(self, ident: str) -> None:
        """A prompt was taken."""
        self._open[ident] = None
        self._write()

    def settle(self, outcome: PromptOutcome) -> None:
        """A prompt has its outcome."""
        self._open.pop(outcome.id, None)
        self._unsent[outcome.id] = outcome
        self._write()

    def told(self, ident: str) -> None:
        """The relay was told."""
        if self._unsent.pop(ident, None) is not None:
            self._write()

    def _read(self) -> _Kept:
        try:
            return msgspec.msgpack.decode(self._path.read_bytes(), type=_Kept)
        except FileNotFoundError:
            return _Kept()
        except (OSError, msgspec.MsgspecError):
            log.warning("the prompts' outcomes cannot be read; begun anew")
            return _Kept()

    def _write(self) -> None:
        """Replace the file; a full disk costs the outcomes a restart, nothing else."""
        kept = _Kept(tuple(self._open)[-MOST_KEPT:], tuple(self._unsent.values())[-MOST_KEPT:])
        temporary = self._path.with_suffix(".new")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as file:
                file.write(msgspec.msgpack.encode(kept))
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self._path)
        except OSError as error:
            log.warning("the prompts' outcomes cannot be kept: %s", error.strerror)

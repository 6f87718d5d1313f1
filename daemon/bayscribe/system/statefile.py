"""The state file: what an indicator, a check or a person may know of a running unit.

One small JSON object in the runtime directory, replaced atomically. It holds figures
and states only: no audio, no label of a person, nothing about a patient.
"""

from pathlib import Path

import msgspec

Value = int | float | bool | str | None


def write_state(path: Path, values: dict[str, Value]) -> None:
    """Replace the state file; a reader sees the old object or the new one, never a part."""
    temporary = path.with_name(path.name + ".new")
    temporary.write_bytes(msgspec.json.format(msgspec.json.encode(values)) + b"\n")
    temporary.replace(path)


def read_state(path: Path) -> dict[str, Value]:
    """Read the state file of a running unit; empty if there is none.

    Raises:
        msgspec.MsgspecError: it is not a state file.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Value])
    except FileNotFoundError:
        return {}

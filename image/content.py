"""What is in an image, file by file: the list that two builds are compared by."""

import hashlib
import json
import os
import stat
from pathlib import Path
from typing import Any


def entries(root: Path) -> list[dict[str, Any]]:
    """Every file, folder and link of a tree, in the order of their paths.

    Returns:
        ``path``, ``type``, ``mode``, ``owner`` (user and group number) and, for files,
        ``size`` and ``sha256``; for links their ``target``.
    """
    found = []
    for folder, folders, names in os.walk(root):
        folders.sort()
        for name in sorted((*folders, *names)):
            path = Path(folder, name)
            found.append(_entry(root, path))
    return sorted(found, key=lambda entry: str(entry["path"]))


def _entry(root: Path, path: Path) -> dict[str, Any]:
    status = path.lstat()
    entry: dict[str, Any] = {
        "path": f"/{path.relative_to(root)}",
        "mode": f"{stat.S_IMODE(status.st_mode):04o}",
        "owner": f"{status.st_uid}:{status.st_gid}",
    }
    if stat.S_ISLNK(status.st_mode):
        return entry | {"type": "link", "target": str(path.readlink())}
    if stat.S_ISREG(status.st_mode):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        return entry | {"type": "file", "size": status.st_size, "sha256": digest}
    kind = "folder" if stat.S_ISDIR(status.st_mode) else "special"
    return entry | {"type": kind}


def write(path: Path, found: list[dict[str, Any]]) -> None:
    """Write a list, one JSON object a line."""
    lines = [json.dumps(entry, sort_keys=True) for entry in found]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def read(path: Path) -> list[dict[str, Any]]:
    """Read a list that :func:`write` wrote."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def differences(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> list[str]:
    """Paths that are not the same in two lists, with what differs."""
    left = {entry["path"]: entry for entry in one}
    right = {entry["path"]: entry for entry in other}
    said = [f"{path}: only in the first" for path in sorted(left.keys() - right.keys())]
    said += [f"{path}: only in the second" for path in sorted(right.keys() - left.keys())]
    for path in sorted(left.keys() & right.keys()):
        if left[path] != right[path]:
            keys = [k for k in left[path] if left[path].get(k) != right[path].get(k)]
            said.append(f"{path}: {', '.join(keys)}")
    return said

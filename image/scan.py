"""What must not be in an image: secrets, open accounts, the building machine's names."""

import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from image.commands import BuildError

SECRETS = (
    re.compile(rb"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----\s+[A-Za-z0-9+/]{32}"),
    re.compile(rb"://[A-Za-z0-9._-]+:[A-Za-z0-9._~-]{8,}@[A-Za-z0-9]"),
)
SELF_TEST_KEYS = ("libgnutls.so",)
"""Libraries with published keys that they test themselves with."""

KEPT_AS_TEXT = 4 << 20
"""Larger files are libraries and networks: they are searched for keys and paths as well, but
hosts are looked for in text only."""


def scan(root: Path, folder: Path, sources: Sequence[str]) -> int:
    """Look through a finished tree.

    Args:
        root: of the tree.
        folder: of the checkout; its path must not be in the image.
        sources: the machine's own package sources; their hosts must not be, but Debian's.

    Returns:
        how many files were read.

    Raises:
        BuildError: names everything that was found.
    """
    hosts = {urlsplit(word).hostname for line in sources for word in line.split() if "://" in word}
    names = [host.encode() for host in hosts if host and not host.endswith(".debian.org")]
    found, read = [], 0
    for path in sorted(root.rglob("*")):
        if path.is_symlink() or not path.is_file():
            continue
        data, where = path.read_bytes(), f"/{path.relative_to(root)}"
        read += 1
        known = path.name.startswith(SELF_TEST_KEYS)
        if not known and any(pattern.search(data) for pattern in SECRETS):
            found.append(f"{where}: a secret")
        if str(folder).encode() + b"/" in data:
            found.append(f"{where}: a path of the building machine")
        if len(data) < KEPT_AS_TEXT and any(name in data for name in names):
            found.append(f"{where}: a host of the building machine")
    found += _accounts(root)
    if found:
        raise BuildError("; ".join(found[:20]))
    return read


def _accounts(root: Path) -> list[str]:
    """Accounts with a password, or with none where one is needed."""
    shadow = root / "etc/shadow"
    if not shadow.exists():
        return []
    fields = [line.split(":") for line in shadow.read_text(encoding="utf-8").splitlines()]
    return [f"/etc/shadow: {f[0]} can log in" for f in fields if f[1][:1] not in ("*", "!")]

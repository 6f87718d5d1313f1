"""Debian's part of an image, from the package registry that the building machine uses."""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from bayscribe.errors import BadUse
from image.commands import sh
from image.declaration import Architecture, Declaration

APT = Path("/etc/apt")
ARCHIVE_KEYS = "debian-archive-"
PLAIN = "# A unit takes nothing from an archive: it is updated as a whole, by signed bundles.\n"
EXCLUDED = ("doc", "man", "locale", "info", "lintian", "bug")


def sources(suite: str, component: str = "main", apt: Path = APT) -> list[str]:
    """The building machine's own sources of a Debian suite, as one-line entries.

    Raises:
        BadUse: the machine has none of that suite.
    """
    found = []
    for name in sorted((apt / "sources.list.d").glob("*.sources")):
        for stanza in re.split(r"\n\s*\n", name.read_text(encoding="utf-8")):
            found += _deb822(stanza, suite, component)
    one_line = [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*.list"))]
    for path in one_line:
        if path.exists():
            found += _one_line(path.read_text(encoding="utf-8"), suite, component)
    if not found:
        raise BadUse(f"{apt} has no source of Debian {suite}", "add one: the image is made from it")
    return sorted(set(found))


def _deb822(stanza: str, suite: str, component: str) -> list[str]:
    fields = {}
    for line in stanza.splitlines():
        if not line.startswith("#") and (match := re.match(r"([A-Za-z-]+):\s*(.*)", line)):
            fields[match[1].lower()] = match[2].split()
    if fields.get("enabled") == ["no"] or "deb" not in fields.get("types", []):
        return []
    signed = " ".join(fields.get("signed-by", []))
    if signed and ARCHIVE_KEYS not in signed:
        return []  # somebody else's packages
    option = f"[signed-by={signed}] " if signed else ""
    return [
        f"deb {option}{uri} {name} {component}"
        for uri in fields.get("uris", [])
        for name in fields.get("suites", [])
        if re.fullmatch(rf"{suite}(-security|-updates)?", name)
    ]


def _one_line(text: str, suite: str, component: str) -> list[str]:
    found = []
    for line in text.splitlines():
        match = re.match(r"deb\s+(\[[^]]*\]\s+)?(\S+)\s+(\S+)\s+(.*)", line.strip())
        if match is None or not re.fullmatch(rf"{suite}(-security|-updates)?", match[3]):
            continue
        options = match[1] or ""
        if "signed-by" in options and ARCHIVE_KEYS not in options:
            continue
        if "main" in match[4].split():
            found.append(f"deb {options}{match[2]} {match[3]} {component}")
    return found


def bootstrap(
    target: Path, declared: Declaration, arch: str, packages: Sequence[str], *, variant: str
) -> None:
    """Make a tree of packages; kept while neither packages nor sources change.

    Args:
        target: the tree; a stamp lies beside it.
        declared: which suite.
        arch: Debian's name of the architecture.
        packages: by name; what they depend on comes with them.
        variant: ``essential`` for a system, ``extract`` to unpack only.

    Raises:
        BuildError: the registry has not got them.
    """
    lines = sources(declared.suite)
    stamp = target.with_name(f"{target.name}.stamp")
    wanted = "\n".join((variant, arch, *lines, *sorted(packages)))
    if target.is_dir() and stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return
    stamp.unlink(missing_ok=True)
    if target.exists():
        shutil.rmtree(target)
    scratch = target.with_name("tmp")
    scratch.mkdir(parents=True, exist_ok=True)
    words = [f"--variant={variant}", f"--architectures={arch}", "--format=directory", "--quiet"]
    if variant != "extract":
        words += [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in EXCLUDED]
    sh(
        *("mmdebstrap", *words, "--aptopt=APT::Install-Recommends false"),
        *(f"--include={','.join(packages)}", declared.suite, str(target), *lines),
        environment={"TMPDIR": str(scratch)},
    )
    stamp.write_text(wanted, encoding="utf-8")


def parts(declared: Declaration, built_for: Architecture) -> list[str]:
    """Packages that are unpacked beside the system: kernel, boot loader, headers."""
    return [
        built_for.kernel,
        built_for.grub_package,
        "libasound2-dev",
        f"libpython{declared.python}-dev",
    ]

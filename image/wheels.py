"""The product and the libraries that it stands on, as a unit has them.

Libraries come as the wheels that the lock names; the one that has no wheels, pyalsaaudio, is
compiled from its source package against the headers of the image's own Debian, for the
processor of the unit. Nothing of the builder's own Python gets in.
"""

import re
import shutil
import sys
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bayscribe.errors import BadUse
from image.commands import BuildError, sh
from image.declaration import REPOSITORY, Architecture, Declaration

LOCK = REPOSITORY / "image" / "unit-requirements.lock"
COMPILED = "pyalsaaudio"
SITE = "usr/lib/bayscribe/site"
SCRIPT = """\
#!/usr/bin/python3 -I
import sys
from bayscribe.cli import main
sys.exit(main())
"""


@dataclass(frozen=True, slots=True)
class Locked:
    """One library of the lock."""

    name: str
    version: str
    hashes: tuple[str, ...]

    def text(self) -> str:
        """As pip reads it."""
        hashes = " ".join(f"--hash={value}" for value in self.hashes)
        return f"{self.name}=={self.version} {hashes}\n"


def locked(text: str) -> Iterator[Locked]:
    """The libraries of a lock."""
    for entry in re.split(r"\n(?=[A-Za-z])", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)):
        if match := re.match(r"([A-Za-z0-9._-]+)==([^\s\\]+)", entry):
            yield Locked(match[1], match[2], tuple(re.findall(r"--hash=(\S+)", entry)))


def install(root: Path, parts: Path, declared: Declaration, built_for: Architecture) -> None:
    """Put the product and its libraries into a tree.

    Args:
        root: of the image.
        parts: unpacked packages with Python's and ALSA's headers.
        declared: which Python.
        built_for: for which processor.

    Raises:
        BuildError: a wheel cannot be had, or the one source does not compile.
    """
    scratch = root.with_name("wheels")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    site = root / SITE
    site.mkdir(parents=True)
    libraries = list(locked(LOCK.read_text(encoding="utf-8")))
    _install_wheels(
        site, scratch, [lib for lib in libraries if lib.name != COMPILED], declared, built_for
    )
    source = next((lib for lib in libraries if lib.name == COMPILED), None)
    if source is None:
        raise BadUse(f"{LOCK} does not name {COMPILED}", "run ./run lock")
    _compile(site, scratch, source, parts, declared, built_for)
    _install_product(site, scratch)
    _trim(site)
    packages = root / "usr/lib/python3/dist-packages"
    (packages / "bayscribe.pth").write_text(f"/{SITE}\n", encoding="utf-8")
    script = root / "usr/bin/bayscribe"
    script.write_text(SCRIPT, encoding="utf-8")
    script.chmod(0o755)
    _byte_code(root, site, declared)


def _pip(*words: str | Path) -> None:
    sh(sys.executable, "-m", "pip", "--quiet", "--no-input", *words)


def _install_wheels(
    site: Path,
    scratch: Path,
    libraries: Sequence[Locked],
    declared: Declaration,
    built_for: Architecture,
) -> None:
    wanted = scratch / "wheels.txt"
    wanted.write_text("".join(lib.text() for lib in libraries), encoding="utf-8")
    digits = declared.python.replace(".", "")
    words = [f"--platform={tag}" for tag in (*built_for.wheels, "any")]
    words += [f"--abi={abi}" for abi in (f"cp{digits}", "abi3", "none")]
    words += ["--no-deps", "--no-compile", "--only-binary=:all:", "--require-hashes"]
    words += ["--implementation=cp", f"--python-version={declared.python}"]
    _pip("install", "--target", site, *words, "-r", wanted)


def _install_product(site: Path, scratch: Path) -> None:
    _pip("wheel", "--no-deps", "--no-build-isolation", "-w", scratch, REPOSITORY)
    wheel = next(scratch.glob("bayscribe-*.whl"))
    _pip("install", "--target", site, "--no-deps", "--no-compile", wheel)


def _compile(
    site: Path,
    scratch: Path,
    library: Locked,
    parts: Path,
    declared: Declaration,
    built_for: Architecture,
) -> None:
    """Compile pyalsaaudio: one C file."""
    wanted = scratch / "source.txt"
    wanted.write_text(library.text(), encoding="utf-8")
    _pip(
        *("download", "--no-deps", "--no-binary=:all:", "--no-build-isolation"),
        *("--require-hashes", "-d", scratch, "-r", wanted),
    )
    with tarfile.open(next(scratch.glob(f"{library.name}-*.tar.gz"))) as archive:
        archive.extractall(scratch, filter="data")
    source = scratch / f"{library.name}-{library.version}"
    headers = scratch / "include"
    headers.mkdir()
    include = parts / "usr/include"
    for name in ("alsa", built_for.triplet):
        (headers / name).symlink_to((include / name).resolve())
    tag = declared.python.replace(".", "")
    target = site / f"alsaaudio.cpython-{tag}-{built_for.triplet}.so"
    # By its path: beside it lies a C library whose linker script names files of the unit.
    alsa = parts / "usr/lib" / built_for.triplet / "libasound.so"
    sh(
        *(built_for.compiler, "-shared", "-fPIC", "-O2", "-Wl,-s", "-Wl,--build-id=none"),
        *("-fno-strict-overflow", "-DNDEBUG", f"-ffile-prefix-map={scratch}=."),
        *("-I", headers, "-I", include / f"python{declared.python}"),
        *(source / "alsaaudio.c", "-o", target, alsa),
    )
    facts = site / f"{library.name}-{library.version}.dist-info"
    facts.mkdir()
    shutil.copy(source / "PKG-INFO", facts / "METADATA")
    (facts / "INSTALLER").write_text("image\n", encoding="utf-8")


def _trim(site: Path) -> None:
    """Leave out what only developers of the libraries use."""
    for folder in sorted(site.rglob("tests")):
        if folder.is_dir() and folder.parent.name != "bayscribe":
            shutil.rmtree(folder)
    for name in ("bin", "include", "share"):
        shutil.rmtree(site / name, ignore_errors=True)
    for pattern in ("*.pyi", "*.a", "*.lib", "libLiteRtWebGpuAccelerator.so"):
        for path in site.rglob(pattern):
            path.unlink()
    for path in site.rglob("direct_url.json"):
        path.unlink()  # names the folder in which the wheel was built
        record = path.with_name("RECORD")
        lines = record.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [line for line in lines if f"/{path.name}," not in line]
        record.write_text("".join(kept), encoding="utf-8")


def _byte_code(root: Path, site: Path, declared: Declaration) -> None:
    """Compile to byte code that needs no look at the source's time: the tree is read-only."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    options = ["-q", "-f", "--invalidation-mode", "unchecked-hash", "-s", str(root), "-p", "/"]
    places = [site, root / f"usr/lib/python{declared.python}"]
    if version == declared.python:
        sh(sys.executable, "-m", "compileall", *options, *places)
        return
    inside = [f"/{place.relative_to(root)}" for place in places]
    sh("chroot", root, "python3", "-m", "compileall", *options[:4], *inside)


def native_libraries(root: Path, built_for: Architecture) -> list[Path]:
    """Shared objects of the tree that are for another processor: there must be none.

    Raises:
        BuildError: names the first.
    """
    machine = {"x86_64-linux-gnu": 62, "aarch64-linux-gnu": 183}[built_for.triplet]
    found = []
    for path in sorted((root / SITE).rglob("*.so*")):
        head = path.read_bytes()[:20]
        if head[:4] != b"\x7fELF":
            continue
        if int.from_bytes(head[18:20], "little") != machine:
            raise BuildError(f"{path.relative_to(root)} is for another processor")
        found.append(path)
    return found

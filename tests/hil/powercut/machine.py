"""The machine whose power is cut: User-Mode Linux with a root of its own and a data disk.

The root image is built once: Debian from its package registry, the libraries from the
Python registry, the product from this checkout. It is mounted read-only; the buffer lies
alone on the data disk (ext4), as on a unit. Killing the machine loses everything that its
kernel had not yet written, which is what a power cut loses on an honest disk.
"""

import compileall
import importlib.metadata
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives import serialization

from bayscribe.wire.seal import OpeningKey
from bayscribe_relay.pki.authority import Authority

REPOSITORY = Path(__file__).resolve().parents[3]
BUILD = REPOSITORY / ".build" / "powercut"
SUITE = "bookworm"
SUITE_PYTHON = "3.11"
LIBRARIES = ("cryptography", "msgspec", "numpy", "soundfile")
TOOLS = {"linux.uml": "user-mode-linux", "mmdebstrap": "mmdebstrap", "mkfs.ext4": "e2fsprogs"}
ROOT_MIB = 768
DATA_MIB = 256
BOOT_S = 120.0

INIT = """\
#!/bin/sh
mount -t proc proc /proc
mount -t ext4 /dev/ubdb /data || echo BROKEN mount
echo MOUNTED
export PYTHONPATH=/opt/site:/opt/bayscribe PYTHONDONTWRITEBYTECODE=1 PATH=/usr/sbin:/usr/bin
python3 /opt/powercut/guest.py 2>&1 || echo BROKEN guest ended
while :; do sleep 1; done
"""


class MachineError(Exception):
    """The machine cannot be built or does not start."""


def need_tools() -> None:
    """Check that everything is installed.

    Raises:
        MachineError: names the packages that are missing.
    """
    os.environ["PATH"] = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    missing = [package for tool, package in TOOLS.items() if shutil.which(tool) is None]
    if missing:
        raise MachineError(f"install the Debian packages {' '.join(missing)}")
    if os.geteuid() != 0:
        raise MachineError("building the machine's root needs root")


def build_root() -> Path:
    """The root image with the product as it is now; Debian and libraries are kept."""
    need_tools()
    BUILD.mkdir(parents=True, exist_ok=True)
    root, done = BUILD / "root", BUILD / "root.done"
    versions = [f"{name}=={importlib.metadata.version(name)}" for name in LIBRARIES]
    content = " ".join((SUITE, *versions))
    if not done.exists() or done.read_text() != content:
        done.unlink(missing_ok=True)
        shutil.rmtree(root, ignore_errors=True)
        _debian(root, versions)
        done.write_text(content)
    _product(root)
    image = BUILD / "root.ext4"
    image.unlink(missing_ok=True)
    _run("truncate", "-s", f"{ROOT_MIB}M", str(image))
    _run("mkfs.ext4", "-q", "-F", "-d", str(root), str(image))
    return image


def _debian(root: Path, versions: Sequence[str]) -> None:
    options = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "locale", "man")]
    packages = "--include=python3-minimal,libpython3-stdlib"
    _run("mmdebstrap", "--quiet", "--variant=minbase", packages, *options, SUITE, str(root))
    target = ["--target", str(root / "opt" / "site"), "--python-version", SUITE_PYTHON]
    pip = [sys.executable, "-m", "pip", "install", "-q", "--only-binary=:all:"]
    _run(*pip, "--implementation", "cp", *target, *versions)


def _product(root: Path) -> None:
    """Put the product, the guest's program and fresh keys into the root."""
    product, own = root / "opt" / "bayscribe", root / "opt" / "powercut"
    for folder in (product, own):
        shutil.rmtree(folder, ignore_errors=True)
    own.mkdir(parents=True)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(REPOSITORY / "daemon", product, ignore=ignored)
    shutil.copy(Path(__file__).with_name("guest.py"), own)
    issued = Authority.create("power cuts").device("bay-powercut")
    if issued.key is None:
        raise MachineError("the authority issued a certificate without its key")
    pem = issued.certificate.public_bytes(serialization.Encoding.PEM)
    (own / "device.pem").write_bytes(pem)
    (own / "device.key").write_bytes(
        issued.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    (own / "relay.key").write_text(OpeningKey.generate().sealing_key().to_text())
    (root / "data").mkdir(exist_ok=True)
    (root / "opt" / "init").write_text(INIT)
    (root / "opt" / "init").chmod(0o755)
    if sys.version_info[:2] == tuple(map(int, SUITE_PYTHON.split("."))):
        compileall.compile_dir(root / "opt", quiet=2, stripdir=str(root))


def new_data_disk(name: str) -> Path:
    """An empty ext4 data disk."""
    path = BUILD / name
    path.unlink(missing_ok=True)
    _run("truncate", "-s", f"{DATA_MIB}M", str(path))
    _run("mkfs.ext4", "-q", "-F", str(path))
    return path


class Machine:
    """One boot.

    Args:
        root: root image, read-only.
        data: data disk.
        log: receives what the guest prints.
        words: for the kernel's command line.
    """

    def __init__(self, root: Path, data: Path, log: Path, *words: str) -> None:
        self._log = log
        command = ["linux.uml", "mem=256M", f"ubd0r={root}", f"ubd1={data}", "root=/dev/ubda"]
        command += ["ro", "init=/opt/init", "con0=null,fd:1", "con=null", "quiet", *words]
        with log.open("wb") as out:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
            )

    def wait_for(self, word: str) -> bool:
        """Wait until the guest says a word; False if it says that something is broken.

        Raises:
            MachineError: it says neither in time.
        """
        end = time.monotonic() + BOOT_S
        while time.monotonic() < end:
            first_words = {line.split(" ")[0] for line in self.lines()}
            if "BROKEN" in first_words:
                return False
            if word in first_words:
                return True
            if self._process.poll() is not None:
                break
            time.sleep(0.02)
        self.cut()
        raise MachineError(f"the machine does not say {word}; see {self._log}")

    def lines(self) -> list[str]:
        """Whole lines that the guest has printed so far."""
        text = self._log.read_bytes().decode(errors="replace").replace("\r", "")
        return text.split("\n")[:-1]

    def cut(self) -> None:
        """Cut the power."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def cut_later(machine: Machine, chance: random.Random) -> None:
    """Cut at a random instant: mostly while it writes, at times while it recovers."""
    if chance.random() < 0.2:
        machine.wait_for("MOUNTED")
        time.sleep(chance.uniform(0.0, 2.5))
    elif machine.wait_for("READY"):
        time.sleep(chance.uniform(0.3, 3.0))
    machine.cut()


def _run(*command: str) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise MachineError(f"{command[0]} failed: {done.stderr.strip()[-400:]}")

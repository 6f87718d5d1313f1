"""A real systemd in a container whose root is this machine's, under an overlay.

Nothing that the container writes reaches the machine: the upper layer is a tmpfs that
goes with it. Mounts below the root are not part of an overlay, so the checkout is bound.
"""

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
BOOT_TIMEOUT_S = 60


def as_root(command: Sequence[str]) -> list[str]:
    """The command as root: as it is, or through sudo."""
    return list(command) if os.geteuid() == 0 else ["sudo", "-n", *command]


def _sh(*command: str) -> None:
    subprocess.run(as_root(command), check=True, stdout=subprocess.DEVNULL)


class Container:
    """A booted container."""

    def __init__(self, leader: int, root: Path) -> None:
        self._leader = leader
        self.root = root

    def run(
        self, *command: str, check: bool = True, timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside, as root."""
        enter = ["nsenter", "-t", str(self._leader), "-m", "-u", "-i", "-n", "-p", "-r", "-w", "--"]
        done = subprocess.run(
            as_root([*enter, "/usr/bin/env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", *command]),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if check and done.returncode != 0:
            raise AssertionError(f"{command} gave {done.returncode}:\n{done.stdout}{done.stderr}")
        return done

    def wait(self, *command: str, until: str, timeout: float = 60) -> str:
        """Run a command again and again until its output holds ``until``."""
        end = time.monotonic() + timeout
        while True:
            text = self.run(*command, check=False).stdout
            if until in text:
                return text
            if time.monotonic() > end:
                raise AssertionError(f"{command}: never {until!r}; last:\n{text}")
            time.sleep(0.1)

    def write(self, path: str, text: str, mode: str = "0644") -> None:
        """Put a file into the container, parents included."""
        self.run("install", "-d", str(Path(path).parent))
        enter = ["nsenter", "-t", str(self._leader), "-m", "-r", "-w", "--"]
        subprocess.run(
            as_root([*enter, "/bin/sh", "-c", f"cat > {path} && chmod {mode} {path}"]),
            input=text,
            text=True,
            check=True,
        )


def _leader_of(nspawn: int) -> int | None:
    children = Path(f"/proc/{nspawn}/task/{nspawn}/children").read_text().split()
    for child in children:
        name = Path(f"/proc/{child}/comm").read_text().strip()
        if name == "systemd":
            return int(child)
        if (inner := _leader_of(int(child))) is not None:
            return inner
    return None


@contextmanager
def booted() -> Iterator[Container]:
    """Boot a container, and take it down whatever happens."""
    base = Path(tempfile.mkdtemp(prefix="bayscribe-nspawn-"))
    _sh("mount", "-t", "tmpfs", "tmpfs", str(base))
    root = base / "root"
    _sh("mkdir", str(base / "upper"), str(base / "work"), str(root))
    _sh(
        "mount",
        "-t",
        "overlay",
        "overlay",
        "-o",
        f"lowerdir=/,upperdir={base}/upper,workdir={base}/work",
        str(root),
    )
    _sh("sh", "-c", f": > {root}/etc/machine-id")
    process = subprocess.Popen(
        as_root(
            [
                "systemd-nspawn",
                "-q",
                "-D",
                str(root),
                "--register=no",
                "--keep-unit",
                "-b",
                "--private-network",
                "--bind-ro",
                f"{REPOSITORY}:/opt/bayscribe",
                "systemd.unit=multi-user.target",
            ]
        ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield _await_boot(process, root)
    finally:
        _stop(process)
        _sh("umount", "-l", str(root))
        _sh("umount", "-l", str(base))
        base.rmdir()


def _await_boot(process: subprocess.Popen[bytes], root: Path) -> Container:
    end = time.monotonic() + BOOT_TIMEOUT_S
    while time.monotonic() < end:
        if process.poll() is not None:
            raise AssertionError(f"systemd-nspawn ended with {process.returncode}")
        leader = _leader_of(process.pid)
        if leader is not None:
            container = Container(leader, root)
            state = container.run("systemctl", "is-system-running", check=False).stdout.strip()
            if state in ("running", "degraded"):
                return container
        time.sleep(0.2)
    raise AssertionError("the container did not boot")


def _stop(process: subprocess.Popen[bytes]) -> None:
    leader = _leader_of(process.pid) if process.poll() is None else None
    if leader is not None:
        _sh("kill", "-s", str(int(signal.SIGRTMIN) + 4), str(leader))
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        if leader is not None:
            _sh("kill", "-9", str(leader))
        process.wait(10)

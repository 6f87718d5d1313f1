"""A program of the product as a process that may be killed and is started again."""

import os
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

import psutil


def cpu_s(pid: int) -> float:
    """Processor time that a process has used so far, seconds."""
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


class Service:
    """One long-running program.

    Args:
        name: for reports.
        command: program and arguments.
        log: file that takes what it says.
        ready: true once it does its work.
    """

    def __init__(self, name: str, command: list[str], log: Path, ready: Callable[[], bool]) -> None:
        self.name = name
        self.command = command
        self.kills = 0
        self.rss_mib: list[float] = []
        self._log_path = log
        self._log: IO[bytes] | None = None
        self._ready = ready
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def start(self, within_s: float = 30.0) -> None:
        """Start it and wait until it is ready.

        Raises:
            RuntimeError: it ended, or was not ready in time.
        """
        with self._lock:
            self._launch()
        end = time.monotonic() + within_s
        while not self._ready():
            if self._process is None or self._process.poll() is not None:
                raise RuntimeError(f"{self.name} ended at start; see {self._log_path}")
            if time.monotonic() > end:
                raise RuntimeError(f"{self.name} was not ready in {within_s} s")
            time.sleep(0.05)

    def kill_and_restart(self) -> None:
        """``kill -9``, then start again at once, as a service supervisor does."""
        with self._lock:
            if self._process is None:
                return
            self._process.kill()
            self._process.wait()
            self.kills += 1
            self._launch()

    def stop(self) -> None:
        """End it in order."""
        with self._lock:
            if self._process is not None:
                self._process.terminate()
                try:
                    self._process.wait(15)
                except subprocess.TimeoutExpired:
                    self._process.kill()
                    self._process.wait()
                self._process = None
            if self._log is not None:
                self._log.close()
                self._log = None

    def running(self) -> bool:
        """Whether it runs just now."""
        return self._process is not None and self._process.poll() is None

    def sample(self) -> float:
        """Its resident memory now, MiB; kept in ``rss_mib``."""
        process = self._process
        if process is None or process.poll() is not None:
            return 0.0
        try:
            rss = psutil.Process(process.pid).memory_info().rss / 2**20
        except psutil.NoSuchProcess:
            return 0.0
        self.rss_mib.append(rss)
        return rss

    def cpu_s(self) -> float:
        """Processor time that the present process has used, seconds."""
        return 0.0 if self._process is None else cpu_s(self._process.pid)

    def _launch(self) -> None:
        if self._log is None:
            self._log = self._log_path.open("ab")
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            self.command, stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log,
            env=environment,
        )  # fmt: skip

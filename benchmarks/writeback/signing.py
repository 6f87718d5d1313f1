"""The harness's end of the signer process: sign, lose it to ``kill -9``, sign again."""

import contextlib
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Final

from benchmarks.writeback.notes import SignedNote

ROOT: Final = Path(__file__).resolve().parents[2]


class Signer:
    """Signs notes through a process; notes unconfirmed at its death are signed again.

    Signing the same note again under the same key is what a clinician's page does after
    a broken connection, so it must not make a second letter.

    Args:
        config: the relay's configuration file.
        log: file that takes what the process says.
        carry: the process carries its letters itself.
    """

    def __init__(self, config: Path, log: Path, *, carry: bool = False) -> None:
        self.confirmed: dict[str, SignedNote] = {}
        self.kills = 0
        self._command = [sys.executable, "-m", "benchmarks.writeback.signer", str(config)]
        self._command += ["carry"] if carry else []
        self._log = log
        self._pending: dict[str, SignedNote] = {}
        self._lock = threading.Lock()
        self._process = self._start()

    def sign(self, note: SignedNote) -> None:
        """Hand over one note; it is in ``confirmed`` once durable."""
        with self._lock:
            self._pending[note.key] = note
            self._write(note)

    def kill_and_restart(self) -> None:
        """``kill -9``, start again, and sign again what was not confirmed."""
        with self._lock:
            self._process.kill()
            self._process.wait()
            with contextlib.suppress(BrokenPipeError):
                if self._process.stdin is not None:
                    self._process.stdin.close()
            self.kills += 1
        self._reader.join()
        with self._lock:
            self._process = self._start()
            for note in list(self._pending.values()):
                self._write(note)

    @property
    def pid(self) -> int:
        """The number of the process that signs just now."""
        return self._process.pid

    def finish(self) -> None:
        """End the process once every note is confirmed."""
        with self._lock:
            if self._process.stdin is not None:
                self._process.stdin.close()
        self._reader.join()
        self._process.wait()
        if self._pending:
            raise RuntimeError(f"{len(self._pending)} notes were not signed; see {self._log}")

    def _write(self, note: SignedNote) -> None:
        # A process just killed takes nothing; its successor is given what is pending.
        with contextlib.suppress(BrokenPipeError):
            if self._process.stdin is not None and not self._process.stdin.closed:
                self._process.stdin.write(note.body + b"\n")
                self._process.stdin.flush()

    def _start(self) -> "subprocess.Popen[bytes]":
        paths = os.pathsep.join(str(ROOT / part) for part in ("", "daemon", "relay", "tests"))
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                cwd=ROOT, env={**os.environ, "PYTHONPATH": paths},
            )  # fmt: skip
        self._reader = threading.Thread(target=self._read, args=(process,), daemon=True)
        self._reader.start()
        return process

    def _read(self, process: "subprocess.Popen[bytes]") -> None:
        for line in process.stdout or ():
            key = line.decode().strip()
            with self._lock:
                note = self._pending.pop(key, None)
                if note is not None:
                    self.confirmed[key] = note
        if process.stdout is not None:
            process.stdout.close()

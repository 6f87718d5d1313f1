"""Starts the fault-injecting EMR as a process of its own and works its ``/_admin`` routes."""

import json
import os
import ssl
import subprocess
import sys
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from emr.census import Census, census

_TESTS: Final = Path(__file__).resolve().parents[1]


class EmrProcess:
    """A running EMR; a context manager.

    Args:
        folder: where its store and its settings lie.
        settings: members of :class:`emr.settings.Settings` that differ from the defaults.
        arguments: further command-line arguments (TLS, ports).
        tls: what ``get`` and ``put`` connect with when the EMR serves TLS.
    """

    def __init__(
        self,
        folder: Path,
        settings: dict[str, Any] | None = None,
        arguments: tuple[str, ...] = (),
        tls: ssl.SSLContext | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.store = folder / "emr.sqlite"
        self._tls = tls
        file = folder / "emr-settings.json"
        file.write_text(json.dumps(settings or {}))
        self._command = [
            sys.executable, "-m", "emr", "--store", str(self.store), "--settings", str(file),
            *arguments,
        ]  # fmt: skip
        self.fhir = self.admin = ""
        self.mllp_port = 0
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        environment = {**os.environ, "PYTHONPATH": str(_TESTS)}
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.PIPE, text=True, env=environment
        )
        if self._process.stdout is None:
            raise RuntimeError("the EMR has no standard output")
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the EMR did not start: exit {self._process.wait()}")
        ready = json.loads(line)
        self.fhir, self.admin = ready["fhir"], ready["admin"]
        self.mllp_port = ready["mllp_port"]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
            if self._process.stdout is not None:
                self._process.stdout.close()

    @property
    def pid(self) -> int:
        """The process's number."""
        if self._process is None:
            raise RuntimeError("the EMR does not run")
        return self._process.pid

    def set(self, **changes: Any) -> None:  # noqa: ANN401 - members of Settings
        """Change settings while it runs."""
        self._call("PATCH", "settings", changes)

    def script(self, *entries: dict[str, Any]) -> None:
        """Ask for faults: members of :class:`emr.settings.Scripted`, in order."""
        self._call("POST", "script", list(entries))

    def clear_script(self) -> None:
        """Forget the faults asked for."""
        self._call("DELETE", "script", None)

    def seed(self, *resources: dict[str, Any]) -> None:
        """Store what the hospital already holds."""
        self._call("POST", "seed", list(resources))

    def faults(self) -> dict[str, int]:
        """How often each fault was injected so far."""
        injected: dict[str, int] = self._call("GET", "faults", None)
        return injected

    def drop_mllp(self) -> None:
        """Close every MLLP connection."""
        self._call("POST", "drop-mllp", {})

    def revoke_tokens(self) -> None:
        """Make all access tokens invalid."""
        self._call("POST", "revoke-tokens", {})

    def census(self) -> Census:
        """Count the chart."""
        return census(self.store)

    def get(self, path: str) -> dict[str, Any]:
        """Read from the FHIR base as somebody else would."""
        with urllib.request.urlopen(f"{self.fhir}/{path}", timeout=30, context=self._tls) as answer:
            body: dict[str, Any] = json.load(answer)
        return body

    def put(self, path: str, body: dict[str, Any], if_match: str | None = None) -> None:
        """Write to the FHIR base as another author."""
        headers = {"Content-Type": "application/fhir+json"}
        if if_match is not None:
            headers["If-Match"] = if_match
        request = urllib.request.Request(
            f"{self.fhir}/{path}", json.dumps(body).encode(), headers, method="PUT"
        )
        urllib.request.urlopen(request, timeout=30, context=self._tls).close()

    def _call(self, method: str, path: str, body: object) -> Any:  # noqa: ANN401 - JSON
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"{self.admin}/{path}", data, {"Content-Type": "application/json"}, method=method
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

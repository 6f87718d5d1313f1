"""Starts the independent servers, each as a process of its own, and reads what they say."""

import contextlib
import json
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from free_ports import free_port

ROOT: Final = Path(__file__).resolve().parents[2]
HERE: Final = Path(__file__).resolve().parent
BUILT: Final = ROOT / ".build" / "peers"
PYTHON: Final = ROOT / ".venv-peers" / "bin" / "python"
_START_S: Final = 60.0


def set_up() -> None:
    """Make the peers' environments; does nothing when they are there."""
    subprocess.run(["sh", str(HERE / "setup.sh")], check=True, stdout=subprocess.DEVNULL)


def node() -> str:
    """The Node.js that set-up has chosen."""
    return (BUILT / "node-path").read_text().strip()


@dataclass
class FhirPeer:
    """A running FHIR server."""

    name: str
    base: str

    def get(self, path: str) -> dict[str, Any]:
        """Read as FHIR JSON."""
        request = urllib.request.Request(
            f"{self.base}/{path}", headers={"Accept": "application/fhir+json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            body: dict[str, Any] = json.load(answer)
        return body

    def put(self, resource: dict[str, Any]) -> dict[str, Any]:
        """Update or create under the resource's own id."""
        path = f"{resource['resourceType']}/{resource['id']}"
        return self._send("PUT", path, resource)

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """POST to a path under the base; empty for a transaction."""
        return self._send("POST", path, body)

    def total(self, query: str) -> int:
        """How many resources a search finds."""
        bundle = self.get(query)
        return len(bundle.get("entry", []))

    def _send(self, method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        address = f"{self.base}/{path}" if path else self.base
        headers = {
            "Content-Type": "application/fhir+json",
            "Accept": "application/fhir+json",
            "Prefer": "return=representation",
        }
        data = json.dumps(body).encode()
        request = urllib.request.Request(address, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            content: dict[str, Any] = json.load(answer)
        return content


class Listener:
    """A running MLLP listener that prints what it receives.

    Args:
        process: prints one JSON line a message.
        ports: port of each peer that the process serves.
    """

    def __init__(self, process: "subprocess.Popen[str]", ports: dict[str, int]) -> None:
        self.ports = ports
        self._received: dict[str, list[str]] = {name: [] for name in ports}
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, args=(process,), daemon=True)
        self._reader.start()

    def seen(self, peer: str) -> int:
        """How many messages a peer has received so far: where the next ones begin."""
        with self._changed:
            return len(self._received[peer])

    def wait_for(
        self, peer: str, arrived: Callable[[list[str]], bool], since: int = 0
    ) -> list[str]:
        """The messages of a peer behind number ``since``, once they are those awaited.

        Args:
            peer: which listener.
            arrived: whether the messages are all that is waited for.
            since: as :meth:`seen` said before they were sent.

        Raises:
            AssertionError: they have not arrived within a minute.
        """
        with self._changed:
            if not self._changed.wait_for(
                lambda: arrived(self._received[peer][since:]), timeout=_START_S
            ):
                raise AssertionError(f"{peer}: {self._received[peer][since:]}")
            return self._received[peer][since:]

    def _read(self, process: "subprocess.Popen[str]") -> None:
        for line in process.stdout or ():
            entry = json.loads(line)
            with self._changed:
                self._received.setdefault(entry["peer"], []).append(entry["message"])
                self._changed.notify_all()


@contextlib.contextmanager
def _running(command: list[str], cwd: Path) -> "Iterator[subprocess.Popen[str]]":
    with (cwd / "peer.log").open("w") as log:
        process = subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            yield process
        finally:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()


def _first_line(process: "subprocess.Popen[str]") -> dict[str, Any]:
    line = process.stdout.readline() if process.stdout else ""
    if not line:
        raise RuntimeError(f"a peer did not start: exit {process.wait()}")
    ready: dict[str, Any] = json.loads(line)
    return ready


@contextlib.contextmanager
def sekmet(folder: Path) -> Iterator[FhirPeer]:
    """sekmet-fhir, a FHIR R4 server in Python on SQLite."""
    port = free_port()
    (folder / "settings.yaml").write_text(
        f"base_url: http://127.0.0.1:{port}/fhir\nhost: 127.0.0.1\nport: {port}\n"
    )
    program = str(PYTHON.parent / "sekmet")
    command = ["sh", "-c", f'exec "{program}" serve --port {port} >sekmet.log 2>&1']
    with _running(command, folder) as process:
        peer = FhirPeer("sekmet-fhir", f"http://127.0.0.1:{port}/fhir")
        _await_metadata(peer, process)
        yield peer


@contextlib.contextmanager
def fhir_router(folder: Path) -> Iterator[FhirPeer]:
    """Medplum's FHIR router on its in-memory repository."""
    with _running([node(), str(BUILT / "fhir_router.mjs")], folder) as process:
        port = _first_line(process)["port"]
        peer = FhirPeer("medplum", f"http://127.0.0.1:{port}/fhir")
        _await_metadata(peer, process)
        yield peer


@contextlib.contextmanager
def node_listeners(folder: Path) -> Iterator[Listener]:
    """@medplum/hl7 and simple-hl7."""
    ports = {"medplum": free_port(), "simple": free_port()}
    arguments = [str(port) for port in ports.values()]
    command = [node(), str(BUILT / "hl7_listeners.mjs"), *arguments]
    with _running(command, folder) as process:
        _first_line(process)
        yield Listener(process, ports)


@contextlib.contextmanager
def python_hl7(folder: Path) -> Iterator[Listener]:
    """python-hl7's asyncio server."""
    with _running([str(PYTHON), str(HERE / "python_hl7_listener.py")], folder) as process:
        port = _first_line(process)["port"]
        yield Listener(process, {"python-hl7": port})


def _await_metadata(peer: FhirPeer, process: "subprocess.Popen[str]") -> None:
    end = time.monotonic() + _START_S
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            peer.get("metadata")
            return
        time.sleep(0.1)
    raise RuntimeError(f"{peer.name} did not answer within {_START_S:.0f} s")

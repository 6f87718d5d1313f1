"""The local socket: one line of JSON in, one line of JSON out.

It lies in the unit's runtime directory with mode 0600, so the service's own user and root
reach it and nobody else; the caller's user id, from the kernel, goes into the log.
"""

import contextlib
import json
import logging
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from bayscribe.errors import BadUse, BayscribeError

NAME = "control.sock"
MOST_BYTES = 4096
_TIMEOUT_S = 5.0
_POLL_S = 0.2
_CREDENTIALS = struct.Struct("3i")

Handler = Callable[[Mapping[str, str]], Mapping[str, object]]

log = logging.getLogger("bayscribe.control")


class NotRunning(BayscribeError):  # noqa: N818 - says what is the matter
    """No daemon answers."""

    code = "not-running"


class ControlSocket:
    """Serves requests one after another, in a thread of its own.

    Args:
        folder: the runtime directory.
        handlers: by the request's ``do``; a BayscribeError becomes the answer's ``error``.
    """

    def __init__(self, folder: Path, handlers: Mapping[str, Handler]) -> None:
        self._path = folder / NAME
        self._handlers = handlers
        self._stop = threading.Event()
        self._socket: socket.socket | None = None
        self._thread = threading.Thread(target=self._run, name="control", daemon=True)

    def start(self) -> None:
        """Begin to serve; a unit that cannot goes on without."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.unlink(missing_ok=True)
            listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            listening.bind(str(self._path))
            self._path.chmod(0o600)
            listening.listen(4)
            listening.settimeout(_POLL_S)
        except OSError as error:
            log.warning("no control socket: %s", error.strerror)
            return
        self._socket = listening
        self._thread.start()

    def stop(self) -> None:
        """End it."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        if self._socket is not None:
            self._socket.close()
            self._path.unlink(missing_ok=True)

    def _run(self) -> None:
        assert self._socket is not None  # noqa: S101 - start() made it
        while not self._stop.is_set():
            with contextlib.suppress(TimeoutError, OSError):
                connection, _ = self._socket.accept()
                with connection:
                    connection.settimeout(_TIMEOUT_S)
                    self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        peer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        _, user, _ = _CREDENTIALS.unpack(peer)
        try:
            request = _request(_line(connection))
            handler = self._handlers.get(request["do"])
            if handler is None:
                raise BadUse("this unit knows no such request", code="unknown-request")
            log.info("local request", extra={"do": request["do"], "uid": user})
            answer: Mapping[str, object] = {"ok": True, **handler(request)}
        except BayscribeError as error:
            answer = {"ok": False, "error": str(error), "code": error.code, "do": error.what_to_do}
        connection.sendall(json.dumps(answer).encode() + b"\n")


def ask(folder: Path, what: str, *, timeout_s: float = 10.0, **values: str) -> dict[str, object]:
    """Ask the daemon that runs.

    Raises:
        NotRunning: none does, or it does not answer.
        BayscribeError: it refuses.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout_s)
            connection.connect(str(folder / NAME))
            connection.sendall(json.dumps({"do": what, **values}).encode() + b"\n")
            answer: dict[str, object] = json.loads(_line(connection))
    except PermissionError:
        raise BadUse("only root and the service itself may do this", "run it with sudo") from None
    except (OSError, ValueError, BadUse):
        raise NotRunning("no running unit answers here", "is bayscribe.service active?") from None
    if not answer.get("ok"):
        raise BayscribeError(
            str(answer.get("error")), str(answer.get("do", "")), code=str(answer.get("code"))
        )
    return answer


def _line(connection: socket.socket) -> bytes:
    data = b""
    while b"\n" not in data:
        piece = connection.recv(MOST_BYTES)
        data += piece
        if not piece or len(data) > MOST_BYTES:
            raise BadUse("not one line", code="malformed")
    return data.split(b"\n", 1)[0]


def _request(line: bytes) -> dict[str, str]:
    try:
        request = json.loads(line)
    except ValueError:
        raise BadUse("not JSON", code="malformed") from None
    if not isinstance(request, dict) or not isinstance(request.get("do"), str):
        raise BadUse("not a request", code="malformed")
    return {str(key): str(value) for key, value in request.items()}

"""The relay's end of a unit's socket, played by a test: it acknowledges and prompts."""

import queue
import ssl
import threading
import time
from pathlib import Path
from typing import Self

from websockets.sync.server import ServerConnection, serve
from websockets.typing import Subprotocol

from bayscribe.wire.chain import genesis
from bayscribe.wire.messages import (
    SUBPROTOCOL,
    Ack,
    Command,
    FromRelay,
    Hello,
    Prompt,
    PromptOutcome,
    Welcome,
    decode_from_device,
    encode,
)

PATIENCE_S = 90.0


class RelayDouble:
    """Serves one unit. Use as a context manager.

    Args:
        keys: folder of a bay's keys.
        port: to listen on.
    """

    def __init__(self, keys: Path, port: int) -> None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(keys / "localhost.pem", keys / "localhost.key")
        tls.load_verify_locations(keys / "ca.pem")
        tls.verify_mode = ssl.CERT_REQUIRED
        self._server = serve(
            self._talk,
            "127.0.0.1",
            port,
            ssl=tls,
            subprotocols=[Subprotocol(SUBPROTOCOL)],
            max_size=1 << 20,
        )
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._greeted = threading.Event()
        self._outcomes: queue.SimpleQueue[PromptOutcome] = queue.SimpleQueue()
        self._socket: ServerConnection | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join(10)

    def await_hello(self) -> None:
        assert self._greeted.wait(PATIENCE_S), "the unit never came"

    def prompt(self, ident: str, text: str, expires_ns: int, speech: bytes | None = None) -> None:
        self._send(Prompt(id=ident, text=text, speech=speech, expires_wall_ns=expires_ns))

    def command(self, name: str, arguments: dict[str, str] | None = None) -> None:
        self._send(
            Command(id=f"{name}-{time.monotonic_ns()}", name=name, arguments=arguments or {})
        )

    def await_outcome(self) -> PromptOutcome:
        return self._outcomes.get(timeout=PATIENCE_S)

    def _send(self, message: FromRelay) -> None:
        assert self._socket is not None
        self._socket.send(encode(message))

    def _talk(self, socket: ServerConnection) -> None:
        self._socket = socket
        seq = 0
        for data in socket:
            message = decode_from_device(data)
            if isinstance(message, Hello):
                socket.send(
                    encode(Welcome(durable=0, chain=genesis(message.device), credit=10_000))
                )
                self._greeted.set()
            elif isinstance(message, PromptOutcome):
                self._outcomes.put(message)
            else:
                seq += 1
                socket.send(encode(Ack(through=seq)))

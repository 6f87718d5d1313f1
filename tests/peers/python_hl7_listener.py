"""python-hl7's asyncio MLLP server on a free port; runs in the peers' environment.

Prints its port as one JSON line, then each received message as another.
"""

import asyncio
import json
from typing import Any

from hl7.mllp import (  # type: ignore[import-not-found]  # is in .venv-peers only
    start_hl7_server,
)


async def serve(reader: Any, writer: Any) -> None:  # noqa: ANN401 - types of that library
    """Acknowledge each message with the library's own ACK."""
    try:
        while not writer.is_closing():
            message = await reader.readmessage()
            print(json.dumps({"peer": "python-hl7", "message": str(message)}), flush=True)  # noqa: T201
            writer.writemessage(message.create_ack())
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main() -> None:
    """Listen until killed."""
    limit = 16 * 1024 * 1024
    server = await start_hl7_server(serve, "127.0.0.1", 0, limit=limit, encoding="utf-8")
    port = server.sockets[0].getsockname()[1]
    print(json.dumps({"port": port}), flush=True)  # noqa: T201
    async with server:
        await server.serve_forever()


asyncio.run(main())

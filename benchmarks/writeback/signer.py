"""``python -m benchmarks.writeback.signer RELAY.toml``: signs notes into a relay's outbox.

A process of its own, so that it can be killed in the middle of a signature. One note a
line on standard input (JSON text of the submission), one key a line on standard output
once that note is durable. The relay that serves the same store carries the letters.
"""

import asyncio
import sys
import threading
from pathlib import Path

from bayscribe_relay.writeback.bundle import make_bundle
from bayscribe_relay.writeback.config import load
from bayscribe_relay.writeback.note import read_note
from bayscribe_relay.writeback.outbox import Outbox
from bayscribe_relay.writeback.validation import check_bundle


async def _sign(outbox: Outbox, line: bytes) -> None:
    note = read_note(line)
    bundle = make_bundle(note)
    check_bundle(bundle)
    letter = await outbox.enqueue(note, line, bundle, hold=False)
    print(letter.key, flush=True)


async def _run(config: Path) -> None:
    outgoing = load(config)
    outbox = Outbox(outgoing.store_url, "signer", outgoing.writeback.lease_s)
    lines: asyncio.Queue[bytes | None] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def read() -> None:
        for line in sys.stdin.buffer:
            loop.call_soon_threadsafe(lines.put_nowait, line.rstrip(b"\n"))
        loop.call_soon_threadsafe(lines.put_nowait, None)

    threading.Thread(target=read, daemon=True).start()
    async with asyncio.TaskGroup() as group:
        while (line := await lines.get()) is not None:
            group.create_task(_sign(outbox, line))
    outbox.close()


if __name__ == "__main__":
    asyncio.run(_run(Path(sys.argv[1])))

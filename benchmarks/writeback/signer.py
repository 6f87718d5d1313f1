"""``python -m benchmarks.writeback.signer RELAY.toml [carry]``: signs notes into a relay's outbox.

A process of its own, so that it can be killed in the middle of a signature. One note a
line on standard input (JSON text of the submission), one key a line on standard output
once that note is durable. The relay that serves the same store carries the letters; with
``carry`` this process does so itself, as a relay does with what is signed on its own pages.
"""

import asyncio
import sys
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path

from bayscribe_relay.writeback.bundle import make_bundle
from bayscribe_relay.writeback.config import load
from bayscribe_relay.writeback.note import read_note
from bayscribe_relay.writeback.outbox import Outbox
from bayscribe_relay.writeback.service import Writeback
from bayscribe_relay.writeback.validation import check_bundle


async def _sign(outbox: Outbox, line: bytes) -> None:
    note = read_note(line)
    bundle = make_bundle(note)
    check_bundle(bundle)
    letter = await outbox.enqueue(note, line, bundle, hold=False)
    print(letter.key, flush=True)


async def _carry(writeback: Writeback, line: bytes) -> None:
    letter = await writeback.submit(line)
    print(letter.key, flush=True)
    await writeback.wait(letter.key, 300)


async def _run(config: Path, *, carry: bool) -> None:
    outgoing = load(config)
    if carry:
        async with Writeback.running(outgoing) as writeback:
            await _each_line(lambda line: _carry(writeback, line))
        return
    outbox = Outbox(outgoing.store_url, "signer", outgoing.writeback.lease_s)
    await _each_line(lambda line: _sign(outbox, line))
    outbox.close()


async def _each_line(take: Callable[[bytes], Coroutine[None, None, None]]) -> None:
    lines: asyncio.Queue[bytes | None] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def read() -> None:
        for line in sys.stdin.buffer:
            loop.call_soon_threadsafe(lines.put_nowait, line.rstrip(b"\n"))
        loop.call_soon_threadsafe(lines.put_nowait, None)

    threading.Thread(target=read, daemon=True).start()
    async with asyncio.TaskGroup() as group:
        while (line := await lines.get()) is not None:
            group.create_task(take(line))


if __name__ == "__main__":
    asyncio.run(_run(Path(sys.argv[1]), carry=sys.argv[2:] == ["carry"]))

"""``bayscribe-relay submit``: put one attested note through the write-back."""

import argparse
import asyncio
import json
import sys
from pathlib import Path

from bayscribe.errors import BadUse
from bayscribe_relay.writeback.config import Outgoing, load
from bayscribe_relay.writeback.note import FILE_MAX
from bayscribe_relay.writeback.service import Writeback, answer
from bayscribe_relay.writeback.states import State


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("note", type=Path, help="NOTE.json, or - for standard input")
    parser.add_argument("--config", type=Path, required=True, help="the relay's TOML file")
    parser.add_argument("--wait", action="store_true", help="until it is in the chart, or not")
    parser.add_argument(
        "--timeout", type=float, default=180.0, help="seconds to wait at most (%(default)g)"
    )


def run(options: argparse.Namespace) -> int:
    """Submit; 0 when verified (or, without ``--wait``, durably queued), else 1."""
    outgoing = load(options.config)
    return asyncio.run(_submit(outgoing, _read(options.note), options))


async def _submit(outgoing: Outgoing, data: bytes, options: argparse.Namespace) -> int:
    if not options.wait:
        letter = await Writeback.put(outgoing, data)
        print(json.dumps(answer(letter)))
        return 0
    async with Writeback.running(outgoing) as writeback:
        letter = await writeback.submit(data)
        letter = await writeback.wait(letter.key, options.timeout)
    print(json.dumps(answer(letter)))
    return 0 if letter.state is State.VERIFIED else 1


def _read(path: Path) -> bytes:
    """The file, no more of it than a note may be long and one byte."""
    try:
        if str(path) == "-":
            return sys.stdin.buffer.read(FILE_MAX + 1)
        size = path.stat().st_size
        if size > FILE_MAX:
            raise BadUse(
                f"{path} is {size} bytes, more than {FILE_MAX}",
                "send the note's text or C-CDA alone, without scans or recordings",
                code="note-size",
            )
        return path.read_bytes()
    except OSError as error:
        raise BadUse(f"{path}: {error.strerror}", code="file") from None

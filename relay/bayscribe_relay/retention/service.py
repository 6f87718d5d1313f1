"""The daily run of a serving relay."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bayscribe.errors import BayscribeError
from bayscribe_relay.retention.erase import Retention

_FIRST_S = 120.0
"""Seconds after the start: a relay that starts has better things to do."""

log = logging.getLogger("bayscribe.relay.retention")


@asynccontextmanager
async def daily(retention: Retention) -> AsyncIterator[None]:
    """Delete what is due, soon after the start and then every ``every_h`` hours."""
    task = asyncio.create_task(_repeat(retention))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _repeat(retention: Retention) -> None:
    await asyncio.sleep(_FIRST_S)
    while True:
        try:
            done = await asyncio.to_thread(retention.run)
        except BayscribeError as error:
            log.error("retention failed, tried again next time: %s", error)  # noqa: TRY400 - one line
        else:
            log.info(
                "retention: audio of %d recordings (%d segments), words of %d transcripts deleted",
                done.recordings, done.segments, done.transcripts,
            )  # fmt: skip
            if done.kept_in_log:
                log.warning("old pages stay in the database's log until its readers end")
        await asyncio.sleep(retention.config.every_h * 3600)

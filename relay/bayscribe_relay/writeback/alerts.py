"""Telling people that letters wait because the gateway is out of reach.

Letters that the gateway has given up are alerted by the gateway, which knows the site's
contacts; this is for when it cannot.
"""

import logging
from typing import Final

import aiohttp

from bayscribe_relay.writeback.outbox import Letter

log = logging.getLogger("bayscribe.writeback")

_TIMEOUT: Final = aiohttp.ClientTimeout(total=5)


async def alert_waiting(webhook: str | None, letter: Letter) -> bool:
    """Tell the webhook that a letter waits; no word of the note, no patient.

    Returns:
        whether somebody was told. Without a webhook the log is who is told.
    """
    log.error("letter parked: gateway out of reach", extra={"key": letter.key, "site": letter.site})
    if webhook is None:
        return True
    alert = {"v": 1, "alert": "gateway-unreachable", "key": letter.key, "site": letter.site}
    try:
        async with (
            aiohttp.ClientSession(timeout=_TIMEOUT) as session,
            session.post(webhook, json=alert) as answer,
        ):
            return answer.status < 300
    except (TimeoutError, aiohttp.ClientError, OSError):
        log.warning("alert not delivered", extra={"key": letter.key})
        return False

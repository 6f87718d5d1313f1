"""Telling operations and the site's IT that a note was given up.

An alert names the key, the site and the contacts, and says why in the gateway's words; it
never holds the note or a patient. It goes every way that is configured and counts as
given when one of them took it.
"""

import asyncio
import json
import logging
import random
import smtplib
import ssl
from email.message import EmailMessage
from typing import Any, Final

import aiohttp

from bayscribe_relay.gateway.alert_broker import publish
from bayscribe_relay.gateway.config import AlertConfig, SiteConfig

log = logging.getLogger("bayscribe.gateway")

TIMEOUT_S: Final = 10.0
BACKOFF_MAX_S: Final = 60.0
TOPIC: Final = "bayscribe/v1/{site}/writeback/alarm"


def alert_body(site: str, config: SiteConfig, key: str, kind: str, reason: str) -> dict[str, Any]:
    """What is sent: ``kind`` is ``dead-letter`` or ``rejected``."""
    return {
        "v": 1,
        "alert": kind,
        "key": key,
        "site": site,
        "reason": reason,
        "operations_contact": config.operations_contact,
        "site_contact": config.site_contact,
        "what_to_do": f"bayscribe-relay letters show {key}, mend the cause, then letters replay",
    }


class Alerts:
    """Delivers alerts by webhook, mail and MQTT.

    Args:
        config: the ``[alerts]`` table.
    """

    def __init__(self, config: AlertConfig) -> None:
        self._config = config

    async def deliver(self, site: SiteConfig, body: dict[str, Any]) -> None:
        """Deliver an alert; returns when somebody was told, however long that takes."""
        log.error("letter given up", extra={"key": body["key"], "site": body["site"]})
        tries = 0
        while not await self._once(site, body):
            tries += 1
            ceiling = min(BACKOFF_MAX_S, 2.0 ** min(tries, 10))
            await asyncio.sleep(random.uniform(0, ceiling))

    async def _once(self, site: SiteConfig, body: dict[str, Any]) -> bool:
        ways = []
        if site.alert_webhook is not None:
            ways.append(self._webhook(site.alert_webhook, body))
        if self._config.smtp_host is not None and _addresses(site):
            ways.append(asyncio.to_thread(self._mail, _addresses(site), body))
        if self._config.mqtt_host is not None:
            ways.append(asyncio.to_thread(self._mqtt, body))
        if not ways:
            return True  # the log is the only way that there is
        results = await asyncio.gather(*ways, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                extra = {"key": body["key"], "cause": type(result).__name__}
                log.warning("alert not delivered", extra=extra)
        return any(result is True for result in results)

    @staticmethod
    async def _webhook(url: str, body: dict[str, Any]) -> bool:
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.post(url, json=body, allow_redirects=False) as answer,
        ):
            return answer.status < 300

    def _mail(self, to: list[str], body: dict[str, Any]) -> bool:
        config = self._config
        mail = EmailMessage()
        mail["From"], mail["To"] = config.mail_from, ", ".join(to)
        mail["Subject"] = f"Bayscribe: a note for {body['site']} is not in the chart"
        mail.set_content("\n".join(f"{name}: {value}" for name, value in body.items()))
        host, port = str(config.smtp_host), config.smtp_port
        with smtplib.SMTP(host, port, timeout=TIMEOUT_S) as server:
            if config.smtp_starttls:
                server.starttls(context=ssl.create_default_context())
            server.send_message(mail)
        return True

    def _mqtt(self, body: dict[str, Any]) -> bool:
        topic = TOPIC.format(site=body["site"])
        publish(self._config, topic, json.dumps(body), TIMEOUT_S)
        return True


def _addresses(site: SiteConfig) -> list[str]:
    contacts = (site.operations_contact, site.site_contact)
    return [contact for contact in contacts if "@" in contact and "\n" not in contact]

"""A browser without a screen, and stories told in it."""

import asyncio
import re
import ssl
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp

from bayscribe_relay.clinical import audit
from web import demo_stay
from web.web_rig import PASSWORD, Rig

HTML = {"Accept": "text/html"}
STAY = f"/stays/{demo_stay.STAY}"


class Browser:
    """A browser without a screen: cookies, and the token of the last page's form."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        context = ssl.create_default_context(cafile=rig.ca)
        self.client = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=context), cookie_jar=aiohttp.CookieJar(unsafe=True)
        )
        self.csrf = ""
        self.status = 0
        self.headers: Any = {}

    async def get(self, path: str, **headers: str) -> str:
        async with self.client.get(
            self.rig.url + path, headers=HTML | headers, allow_redirects=False
        ) as answer:
            return await self._take(answer)

    async def post(self, path: str, origin: str | None = "", **form: str) -> str:
        headers = dict(HTML)
        if origin is not None:
            headers["Origin"] = origin or self.rig.url
        data = {"csrf": self.csrf} | form
        async with self.client.post(
            self.rig.url + path, data=data, headers=headers, allow_redirects=False
        ) as answer:
            return await self._take(answer)

    async def _take(self, answer: aiohttp.ClientResponse) -> str:
        self.status, self.headers = answer.status, answer.headers
        text = (await answer.read()).decode(errors="replace")
        if found := re.search(r'name="csrf" value="([^"]+)"', text):
            self.csrf = found[1]
        return text

    async def sign_in(self, name: str = "okafor", password: str = PASSWORD) -> str:
        await self.get("/login")
        text = await self.post("/login", name=name, password=password)
        if self.status == 303:
            text = await self.get(self.headers["Location"])
            if self.status == 303:
                text = await self.get(self.headers["Location"])
        return text


Story = Callable[[Browser, Rig], Awaitable[None]]


def tell(folder: Path, story: Story, kind: type[Rig] = Rig, **changes: Any) -> None:  # noqa: ANN401 - fields of the configuration
    """Run a story in a browser over the pages."""

    async def run() -> None:
        async with kind.running(folder, time.time_ns(), **({"audio": False} | changes)) as rig:
            browser = Browser(rig)
            try:
                await story(browser, rig)
            finally:
                await browser.client.close()
                await asyncio.sleep(0)

    asyncio.run(run())


def actions(rig: Rig) -> list[tuple[str, str]]:
    return [(entry.actor, entry.action) for entry in audit.entries(rig.clinical)]

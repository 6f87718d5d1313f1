"""The local page: the code, the lock, forms of other sites, other hosts."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient, TestServer

from audio.recorded_bay import Bay, OpenBay
from bayscribe.commission.bench import Bench
from bayscribe.commission.session import Session
from bayscribe.commission.web import WRONG_CODES, Front
from bayscribe.config import load_config
from commission.bay_sounds import PROFILE_PATH, profile
from commission.unboxed import CONFIG
from free_ports import free_port

CODE = "12345678"

Talk = Callable[[TestClient], Awaitable[None]]  # type: ignore[type-arg]  # any request


@pytest.fixture
def session(open_bay: OpenBay, tmp_path: Path) -> Session:
    bay: Bay = open_bay(profile())
    path = tmp_path / "bayscribe.toml"
    path.write_text(CONFIG.format(folder=tmp_path, profile=PROFILE_PATH))
    return Session(Bench.of(load_config(path), path), bay.source())


def with_page(session: Session, talk: Talk) -> None:
    async def run() -> None:
        port = free_port()
        front = Front(session, CODE, (f"127.0.0.1:{port}",))
        async with TestClient(TestServer(front.application(), port=port)) as client:
            await talk(client)

    asyncio.run(run())


async def log_in(client: TestClient) -> str:  # type: ignore[type-arg]  # as above
    answer = await client.post("/login", data={"code": CODE}, allow_redirects=False)
    assert answer.status == 303
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    client.session.cookie_jar.update_cookies({"commissioning": cookie.split("=")[1].split(";")[0]})
    text = await (await client.get("/")).text()
    return text.split('name="token" value="')[1].split('"')[0]


def test_nothing_is_shown_without_the_code(session: Session) -> None:
    async def talk(client: TestClient) -> None:  # type: ignore[type-arg]  # as above
        for path in ("/", "/live", "/report.html", "/results.json", "/sweep.wav"):
            answer = await client.get(path)
            assert answer.status == 401
            assert "Identify the array" not in await answer.text()
        assert (await client.post("/start/array")).status == 401

    with_page(session, talk)


def test_five_wrong_codes_lock_the_page_for_the_right_one_too(session: Session) -> None:
    async def talk(client: TestClient) -> None:  # type: ignore[type-arg]  # as above
        for left in range(WRONG_CODES, 0, -1):
            answer = await client.post("/login", data={"code": "00000000"})
            assert answer.status == 403
            assert f"{left - 1} tries" in await answer.text()
        answer = await client.post("/login", data={"code": CODE})
        assert answer.status == 403
        assert "Too many" in await answer.text()

    with_page(session, talk)


def test_the_code_opens_the_page_once_and_forms_need_their_token(session: Session) -> None:
    async def talk(client: TestClient) -> None:  # type: ignore[type-arg]  # as above
        token = await log_in(client)
        text = await (await client.get("/")).text()
        assert "Identify the array" in text
        assert (await client.post("/skip/level", data={"reason": "x"})).status == 403
        forged = {"token": "x" * 32, "reason": "x"}
        assert (await client.post("/skip/level", data=forged)).status == 403
        answer = await client.post("/start/noise", data={"token": token})
        assert "comes first" in await answer.text()
        refused = await client.post("/skip/array", data={"token": token, "reason": "x"})
        assert "cannot be skipped" in await refused.text()
        assert (await client.get("/report.pdf")).status == 404
        assert (await client.get("/sweep.wav")).status == 200
        client.session.cookie_jar.clear()
        assert (await client.post("/login", data={"code": CODE})).status == 403

    with_page(session, talk)


def test_other_hosts_and_origins_are_refused(session: Session) -> None:
    async def talk(client: TestClient) -> None:  # type: ignore[type-arg]  # as above
        rebound = await client.get("/", headers={"Host": "evil.example"})
        assert rebound.status == 421
        token = await log_in(client)
        answer = await client.post(
            "/skip/level",
            data={"token": token, "reason": "x"},
            headers={"Origin": "http://evil.example"},
        )
        assert answer.status == 421

    with_page(session, talk)

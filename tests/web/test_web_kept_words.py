"""What was being written when a session ran out: for its writer alone, and not lost."""

import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from benchmarks.writeback import postgres

from bayscribe_relay.web import tables
from bayscribe_relay.web.config import WebConfig
from bayscribe_relay.web.kept import WORDS_MAX, KeptWords
from bayscribe_relay.web.sessions import KNOWN_S, Sessions
from web import demo_stay
from web.web_addendum import LOOK, PAGE, WORDS, added, field, filed, written
from web.web_client import STAY, Browser, tell
from web.web_rig import PASSWORD, Rig


async def locked(browser: Browser, rig: Rig) -> None:
    del rig
    csrf = browser.csrf
    await browser.post("/lock")
    browser.csrf = csrf


async def ended(browser: Browser, rig: Rig) -> None:
    del browser
    with rig.clinical.engine.begin() as link:
        past = time.time_ns() - 13 * 3600 * 10**9
        link.execute(tables.sessions.update().values(created_ns=past))


@pytest.mark.parametrize("path", [LOOK, PAGE])
@pytest.mark.parametrize(
    ("happens", "place"), [(locked, "/lock"), (ended, "/login")], ids=["locked", "over"]
)
def test_a_session_that_runs_out_while_typing_loses_no_word(
    tmp_path: Path, path: str, happens: Callable[[Browser, Rig], Awaitable[None]], place: str
) -> None:
    async def story(browser: Browser, rig: Rig) -> None:
        await filed(browser, rig)
        await happens(browser, rig)
        page = await browser.post(path, number="1", text=WORDS, sha256="0" * 64)
        assert (browser.status, browser.headers["Location"]) == (303, f"{place}?next={PAGE}")
        # What another tab held is kept as well, and what comes twice once.
        for words in ("Second tab.", WORDS):
            await browser.post(path, number="1", text=words)
        page = await browser.get(f"{place}?next={PAGE}")
        assert "cough" not in page
        if place == "/lock":
            await browser.post("/unlock", password=PASSWORD, next=PAGE)
        else:
            # Another person gets none of it.
            await browser.post("/login", name="bauer", password=PASSWORD, next=PAGE)
            assert "cough" not in await browser.get(PAGE)
            await browser.post("/logout")
            await browser.get("/login")
            await browser.post("/login", name="okafor", password=PASSWORD, next=PAGE)
        assert (browser.status, browser.headers["Location"]) == (303, PAGE)
        page = await browser.get(PAGE)
        assert written(page) == f"{WORDS}\n\nSecond tab."
        assert "before your session ran out" in page
        assert added(rig) == 0
        # They stay until they are signed.
        page = await browser.post(LOOK, number="1", text=WORDS)
        assert written(await browser.get(PAGE))
        await browser.post(PAGE, number="1", text=WORDS, sha256=field(page, "sha256"))
        assert (browser.status, written(await browser.get(PAGE))) == (303, "")

    tell(tmp_path, story)


def test_words_of_nobody_known_come_back_on_the_page(tmp_path: Path) -> None:
    async def story(browser: Browser, rig: Rig) -> None:
        await filed(browser, rig)
        csrf = browser.csrf
        await browser.post("/logout")
        page = await browser.post(PAGE, csrf=csrf, number="1", text=WORDS)
        assert (browser.status, written(page)) == (401, WORDS)
        assert "Nothing was signed" in page
        # Signed in again elsewhere: the form is an old one.
        await browser.sign_in()
        page = await browser.post(LOOK, csrf=csrf, number="1", text=WORDS)
        assert (browser.status, written(page)) == (403, WORDS)
        # Too many to be kept.
        await browser.get(PAGE)
        csrf = browser.csrf
        await browser.post("/lock")
        page = await browser.post(PAGE, csrf=csrf, text="w" * (WORDS_MAX + 1))
        assert (browser.status, len(written(page))) == (401, WORDS_MAX + 1)
        rig.users.disable("okafor")
        page = await browser.post(PAGE, csrf=csrf, text=WORDS)
        assert (browser.status, written(page)) == (401, WORDS)
        assert added(rig) == 0

    tell(tmp_path, story)


def test_kept_words_are_shown_though_the_note_cannot_be_added_to(tmp_path: Path) -> None:
    async def story(browser: Browser, rig: Rig) -> None:
        del rig
        await browser.sign_in()
        await browser.get(STAY)
        csrf = browser.csrf
        await browser.post("/lock")
        await browser.post(PAGE, csrf=csrf, text=WORDS)
        await browser.get("/lock")
        await browser.post("/unlock", password=PASSWORD)
        page = await browser.get(PAGE)
        assert (browser.status, written(page)) == (400, WORDS)
        assert "not in the chart yet" in page

    tell(tmp_path, story)


def test_kept_words_are_gone_after_a_day(tmp_path: Path) -> None:
    async def story(browser: Browser, rig: Rig) -> None:
        del browser
        now = [time.time_ns()]
        kept = KeptWords(rig.clinical.engine, lambda: now[0])
        assert kept.keep("user:okafor", demo_stay.STAY, "Words\0.")
        kept.expire()
        assert kept.find("user:okafor", demo_stay.STAY) == "Words."
        now[0] += int(KNOWN_S * 1e9)
        assert kept.find("user:okafor", demo_stay.STAY) == ""
        kept.expire()
        with rig.clinical.engine.connect() as link:
            assert link.execute(tables.kept_words.select()).all() == []

    tell(tmp_path, story)


def test_words_are_kept_on_postgresql_too() -> None:
    with postgres.running() as server:
        engine = sa.create_engine(postgres.fresh_database(server))
        try:
            Sessions(
                engine,
                WebConfig(url="https://relay.example", certificate="page.pem", key="page.key"),
            )
            kept = KeptWords(engine)
            for words in ("First\0.", "Second — “quoted”.", "First."):
                assert kept.keep("user:okafor", demo_stay.STAY, words)
            assert kept.find("user:okafor", demo_stay.STAY) == "First.\n\nSecond — “quoted”."
            assert kept.find("user:bauer", demo_stay.STAY) == ""
            assert not kept.keep("user:okafor", demo_stay.STAY, "x" * WORDS_MAX)
            kept.drop("user:okafor", demo_stay.STAY)
            assert kept.find("user:okafor", demo_stay.STAY) == ""
        finally:
            engine.dispose()

"""Who gets in, for how long, and what a request must carry to change anything."""

import asyncio
import logging
import re
import ssl
import time
from pathlib import Path

import pytest

from bayscribe_relay.clinical import audit
from bayscribe_relay.web.guard import COOKIE
from web import demo_stay
from web.web_client import STAY, Browser, actions, tell
from web.web_rig import PASSWORD, Rig


def test_a_clinician_signs_in_and_out(tmp_path: Path) -> None:
    async def story(browser: Browser, rig: Rig) -> None:
        await browser.get("/board")
        assert (browser.status, browser.headers["Location"]) == (303, "/login?next=/board")
        assert "Marchetti" in await browser.sign_in()
        cookie = next(c for c in browser.client.cookie_jar if c.key == COOKIE)
        assert cookie["secure"]
        assert cookie["httponly"]
        assert cookie["samesite"] == "Strict"
        kept = cookie.value
        await browser.post("/logout")
        await browser.get(STAY)
        assert browser.headers["Location"].startswith("/login")
        # The cookie of a session that has ended opens nothing.
        await browser.get(STAY, Cookie=f"{COOKIE}={kept}")
        assert browser.headers["Location"].startswith("/login")
        assert ("user:okafor", "login") in actions(rig)
        assert ("user:okafor", "logout") in actions(rig)

    tell(tmp_path, story)


def test_every_answer_carries_the_strict_headers(tmp_path: Path) -> None:
    async def story(browser: Browser, rig: Rig) -> None:
        del rig
        for path in ("/login", "/nowhere", "/board"):
            await browser.get(path)
            policy = browser.headers["Content-Security-Policy"]
            assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
            assert "unsafe" not in policy
            assert browser.headers["Cache-Control"] == "no-store"
            assert "max-age=63072000" in browser.headers["Strict-Transport-Security"]
            assert browser.headers["X-Frame-Options"] == "DENY"
        await browser.sign_in()
        for path in ("/board", STAY, f"{STAY}/sign", f"{STAY}/corrections"):
            text = await browser.get(path)
            assert browser.status == 200, path
            assert not re.search(r"<style|<script>|\sstyle=|\son[a-z]+=", text), path

    tell(tmp_path, story)


def test_a_foreign_host_name_is_refused(tmp_path: Path) -> None:
    async def story(browser: Browser, rig: Rig) -> None:
        del rig
        await browser.get("/login", Host="evil.example")
        assert browser.status == 421
        await browser.get("/login", Host="localhost.evil.example")
        assert browser.status == 421

    tell(tmp_path, story)


def test_only_tls_1_3_is_spoken(tmp_path: Path) -> None:
    async def story(browser: Browser, rig: Rig) -> None:
        del browser
        assert rig.web is not None
        old = ssl.create_default_context(cafile=rig.ca)
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises((ssl.SSLError, ConnectionResetError)):
            await asyncio.open_connection("localhost", rig.web.port, ssl=old)

    tell(tmp_path, story)


def test_guessing_a_password_is_stopped_before_it_succeeds(tmp_path: Path) -> None:
    async def story(browser: Browser, rig: Rig) -> None:
        for _ in range(3):
            await browser.sign_in(password="wrong wrong wrong")
            assert browser.status == 401
        text = await browser.sign_in()
        assert browser.status == 429
        assert int(browser.headers["Retry-After"]) > 0
        assert "Too many failed logins" in text
        # Another name is not locked by it.
        await browser.sign_in(name="privacy")
        assert browser.status == 200
        failed = [actor for actor, action in actions(rig) if action == "login-failed"]
        assert failed == ["user:okafor"] * 3

    tell(tmp_path, story, failures_max=3)


def test_unknown_and_disabled_names_fail_alike_and_leave_no_name(tmp_path: Path) -> None:
    async def story(browser: Browser, rig: Rig) -> None:
        rig.users.disable("bauer")
        wrong = await browser.sign_in(password="wrong wrong wrong")
        unknown = await browser.sign_in(name="hunter2-my-password")
        disabled = await browser.sign_in(name="bauer")

        def shown(text: str) -> str:
            return re.sub(r'value="[0-9a-f]{64}"', "", text)

        assert shown(wrong) == shown(unknown) == shown(disabled)
        assert "Name or password is wrong." in wrong
        assert all("hunter2" not in actor for actor, _ in actions(rig))

    tell(tmp_path, story)


def test_disabling_an_account_ends_its_open_sessions(tmp_path: Path) -> None:
    async def story(browser: Browser, rig: Rig) -> None:
        await browser.sign_in()
        rig.users.disable("okafor")
        await browser.get(STAY)
        assert browser.headers["Location"].startswith("/login")

    tell(tmp_path, story)


def test_a_login_form_of_another_browser_is_refused(tmp_path: Path) -> None:
    async def story(browser: Browser, rig: Rig) -> None:
        other = Browser(rig)
        await other.get("/login")
        await browser.get("/login")
        mine, browser.csrf = browser.csrf, other.csrf
        await browser.post("/login", name="okafor", password=PASSWORD)
        assert browser.status == 403
        browser.csrf = mine
        await browser.post(
            "/login", origin="https://evil.example", name="okafor", password=PASSWORD
        )
        assert browser.status == 403
        await other.client.close()

    tell(tmp_path, story)


def test_a_change_without_the_sessions_token_or_from_elsewhere_is_refused(tmp_path: Path) -> None:
    async def story(browser: Browser, rig: Rig) -> None:
        await browser.sign_in()
        await browser.get(STAY)
        before, token = rig.clinical.last_change(), browser.csrf
        changes = "prompt sentence add speaker tap hand-over identify wrong-patient sign"
        for path in changes.split():
            for stolen in ("", "x" * 43):
                await browser.post(f"{STAY}/{path}", csrf=stolen)
                assert browser.status == 403, path
            for origin in ("https://evil.example", "null", None):
                await browser.post(f"{STAY}/{path}", origin=origin, csrf=token)
                assert browser.status == 403, path
        assert rig.clinical.last_change() == before

    tell(tmp_path, story)


def test_a_session_left_alone_locks_and_opens_by_its_own_password(tmp_path: Path) -> None:
    async def story(browser: Browser, rig: Rig) -> None:
        await browser.sign_in()
        assert rig.web is not None
        sessions, ahead = rig.web.site.sessions, 901 * 10**9
        sessions._now = lambda: time.time_ns() + ahead
        await browser.get(STAY)
        assert (browser.status, browser.headers["Location"]) == (303, f"/lock?next={STAY}")
        text = await browser.get(f"/lock?next={STAY}")
        assert "Marchetti" not in text
        await browser.post("/unlock", password="wrong wrong wrong", next=STAY)
        assert browser.status == 401
        await browser.post("/unlock", password=PASSWORD, next="//evil.example/")
        assert browser.headers["Location"] == "/"
        assert "Marchetti" in await browser.get(STAY)

    tell(tmp_path, story)


def test_a_session_ends_after_its_time_however_busy(tmp_path: Path) -> None:
    async def story(browser: Browser, rig: Rig) -> None:
        await browser.sign_in()
        assert rig.web is not None
        rig.web.site.sessions._now = lambda: time.time_ns() + 43_201 * 10**9
        await browser.get(STAY)
        assert browser.headers["Location"].startswith("/login")

    tell(tmp_path, story)


def test_locking_by_hand_hides_everything_from_streams_and_audio_too(tmp_path: Path) -> None:
    async def story(browser: Browser, rig: Rig) -> None:
        del rig
        await browser.sign_in()
        await browser.post("/lock")
        await browser.get(f"{STAY}/live")
        assert browser.status == 401
        await browser.get(f"{STAY}/audio/{demo_stay.RECORDING}/0", Accept="audio/*")
        assert browser.status == 401

    tell(tmp_path, story)


def test_each_role_opens_its_own_pages_alone(tmp_path: Path) -> None:
    inside = [STAY, f"{STAY}/sign", f"{STAY}/corrections"]
    roles = {
        "op": (["/letters", "/fleet/"], ["/board", *inside, f"{STAY}/live"]),
        "privacy": (["/board", STAY], ["/letters", "/fleet/", *inside[1:]]),
        "okafor": (["/board", *inside], ["/letters", "/fleet/"]),
    }

    async def story(browser: Browser, rig: Rig) -> None:
        del rig
        for name, (opened, closed) in roles.items():
            await browser.sign_in(name=name)
            for path in opened:
                await browser.get(path)
                assert browser.status == 200, (name, path)
            for path in closed:
                await browser.get(path)
                assert browser.status == 403, (name, path)
            await browser.post("/logout")

    tell(tmp_path, story)


def test_a_reviewer_changes_nothing_and_takes_the_package(tmp_path: Path) -> None:
    async def story(browser: Browser, rig: Rig) -> None:
        await browser.sign_in(name="privacy")
        text = await browser.get(STAY)
        assert "Lactate is back" in re.sub(r"\s+", " ", text)
        assert "Accept" not in text
        await browser.post(f"{STAY}/sentence", sentence="icd-1", revision="4", act="accept")
        assert browser.status == 403
        body = await browser.post(f"{STAY}/custody")
        assert body == f"package of {demo_stay.STAY}"
        assert "attachment" in browser.headers["Content-Disposition"]
        assert ("user:privacy", "custody-exported") in actions(rig)

    tell(tmp_path, story)


def test_logs_titles_and_addresses_name_no_patient(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    async def story(browser: Browser, rig: Rig) -> None:
        await browser.sign_in()
        pages = [await browser.get(p) for p in ("/board", STAY, f"{STAY}/sign")]
        await browser.post(f"{STAY}/add", section="10164-2", text="Secretive sentence.")
        await browser.post(f"{STAY}/add", section="nowhere", text="Secretive sentence.")
        titles = [re.search(r"<title>(.*)</title>", page) for page in pages]
        links = re.findall(r'(?:href|action|src)="([^"]*)"', " ".join(pages))
        shown = " ".join([*(t[1] for t in titles if t), *links])
        said = "Marchetti|Elena|M1048221|1957|[Ll]actate|sep1|Secretive|hl7:"
        assert len(links) > 50
        assert not re.search(said, shown)
        assert not re.search(said, caplog.text)
        assert all(
            not re.search(said.replace("|sep1", ""), e.detail) for e in audit.entries(rig.clinical)
        )

    tell(tmp_path, story)

"""What is added to a note that is in the chart: looked at, then signed, once, by a clinician."""

import dataclasses
import hashlib
import re
from pathlib import Path

import pytest
from msgspec.structs import replace

from bayscribe.errors import StorageError
from bayscribe_relay.attest.signing import Signing
from bayscribe_relay.web.parts import Parts
from bayscribe_relay.writeback.states import Event, State
from web import demo_stay
from web.web_addendum import LOOK, PAGE, WORDS, added, field, filed, preview, signed, written
from web.web_client import STAY, Browser, tell
from web.web_rig import PASSWORD, Rig, committed


def move(rig: Rig, mrn: str) -> None:
    """The stay comes to another patient."""
    stay = rig.clinical.stay(demo_stay.STAY)
    assert stay is not None
    rig.clinical.put_stay(replace(stay, patient=replace(stay.patient, mrn=mrn)))


def test_an_addendum_is_looked_at_and_then_signed_exactly_as_shown_and_only_once(
    tmp_path: Path,
) -> None:
    async def story(browser: Browser, rig: Rig) -> None:
        key = await filed(browser, rig)
        assert PAGE in await browser.get(STAY)
        page = await browser.get(PAGE)
        assert 'id="sign"' not in page
        page = await browser.post(LOOK, number="1", text=WORDS.replace("\n", "\r\n"))
        assert browser.status == 200
        shown = preview(page)
        assert WORDS in shown
        assert f"Author: {demo_stay.OKAFOR.given} {demo_stay.OKAFOR.family}" in shown
        assert f"Relates to the note with the key {key}." in shown
        assert f"<code>{key}</code>" in page
        assert "in the chart, read back" in page
        assert written(page) == WORDS
        assert added(rig) == 0
        sent = {"number": field(page, "number"), "sha256": field(page, "sha256")}
        for _ in range(2):
            # The second is a double click: it is signed, and the page says so.
            await browser.post(PAGE, text=WORDS.replace("\n", "\r\n"), **sent)
            assert (browser.status, browser.headers["Location"]) == (303, PAGE)
        assert added(rig) == 1
        letters = rig.outbox.letters([State.QUEUED])
        assert [letter.note_sha256 for letter in letters] == [sent["sha256"]]
        page = await browser.get(PAGE)
        assert "Addendum 1, signed" in page
        assert "On its way" in page
        assert "badge green" not in page
        assert (field(page, "number"), written(page)) == ("2", "")
        await rig.outbox.happened(letters[0].key, Event.COMMIT, answer=committed(letters[0].key))
        assert "badge green" in await browser.get(PAGE)

    tell(tmp_path, story)


class Attested(Rig):
    """With the signatures of the product, where the others' are plain."""

    @property
    def parts(self) -> Parts:
        signing = Signing(self.clinical, hl7_only={"demo"})
        return dataclasses.replace(super().parts, signing=signing)


def test_the_preview_is_what_the_letter_carries(tmp_path: Path) -> None:
    async def story(browser: Browser, rig: Rig) -> None:
        key = await filed(browser, rig)
        page = await browser.post(LOOK, text=WORDS.replace("\n", "\r\n"))
        shown, digest = preview(page), field(page, "sha256")
        assert WORDS in shown
        assert f"Relates to the note with the key {key}." in shown
        for _ in range(2):
            await browser.post(PAGE, number="1", text=WORDS, sha256=digest)
            assert browser.status == 303
        (letter,) = rig.outbox.letters([State.QUEUED])
        assert letter.note_sha256 == digest == hashlib.sha256(shown.encode()).hexdigest()
        move(rig, "M-other")
        page = await browser.post(LOOK, text="More.")
        assert (browser.status, written(page)) == (400, "More.")
        assert "come to another chart" in page

    tell(tmp_path, story, Attested, audio=True)


def test_what_was_not_looked_at_is_not_signed(tmp_path: Path) -> None:
    async def story(browser: Browser, rig: Rig) -> None:
        await filed(browser, rig)
        page = await browser.post(PAGE, number="1", text=WORDS)
        assert (browser.status, written(page)) == (409, WORDS)
        digest = field(page, "sha256")
        assert digest
        # Changed after the preview: shown again as it is now.
        page = await browser.post(PAGE, number="1", text="Other words.", sha256=digest)
        assert (browser.status, written(page)) == (409, "Other words.")
        assert "Other words." in preview(page)
        assert "has changed since" in page
        assert added(rig) == 0
        page = await browser.post(
            PAGE, number="1", text="Other words.", sha256=field(page, "sha256")
        )
        assert (browser.status, added(rig)) == (303, 1)

    tell(tmp_path, story)


@pytest.mark.parametrize("path", [LOOK, PAGE])
@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("", "addendum is empty"),
        (" \n ", "addendum is empty"),
        ("w" * 4_001, "at most 4000 characters, and this has 4001"),
        ("A bell \x07 rings.", "cannot be printed"),
    ],
)
def test_words_that_cannot_be_taken_come_back_with_the_reason(
    tmp_path: Path, path: str, words: str, says: str
) -> None:
    async def story(browser: Browser, rig: Rig) -> None:
        await filed(browser, rig)
        page = await browser.post(path, number="1", text=words, sha256="0" * 64)
        assert (browser.status, preview(page)) == (400, "")
        assert says in page
        assert 'role="alert"' in page
        assert written(page) == words
        assert added(rig) == 0

    tell(tmp_path, story)


def test_a_form_that_is_not_whole_signs_nothing(tmp_path: Path) -> None:
    async def story(browser: Browser, rig: Rig) -> None:
        await filed(browser, rig)
        for number in ("x", "", "-1", "²", "9" * 5_000):
            page = await browser.post(PAGE, number=number, text=WORDS, sha256="0" * 64)
            assert browser.status in (400, 409)
            assert written(page) == WORDS
        page = await browser.post(LOOK)
        assert browser.status == 400
        assert added(rig) == 0

    tell(tmp_path, story)


def test_a_note_that_is_not_in_the_chart_has_no_addendum_yet(tmp_path: Path) -> None:
    async def story(browser: Browser, rig: Rig) -> None:
        await browser.sign_in()
        page = await browser.get(PAGE)
        assert (browser.status, "not in the chart yet" in page) == (400, True)
        await signed(browser, rig)
        for path in (LOOK, PAGE):
            page = await browser.post(path, number="1", text=WORDS)
            assert (browser.status, written(page)) == (400, WORDS)
            assert "not in the chart yet" in page
        assert added(rig) == 0

    tell(tmp_path, story)


def test_a_stay_that_came_to_another_chart_meanwhile_takes_no_addendum(tmp_path: Path) -> None:
    async def story(browser: Browser, rig: Rig) -> None:
        await filed(browser, rig)
        page = await browser.post(LOOK, number="1", text=WORDS)
        sent = {"number": "1", "text": WORDS, "sha256": field(page, "sha256")}
        move(rig, "M-other")
        for path in (PAGE, LOOK):
            page = await browser.post(path, **sent)
            assert (browser.status, written(page), preview(page)) == (400, WORDS, "")
            assert "come to another chart" in page
        assert added(rig) == 0

    tell(tmp_path, story)


def test_of_two_tabs_the_second_sees_the_first_one_before_it_signs(tmp_path: Path) -> None:
    async def story(browser: Browser, rig: Rig) -> None:
        await filed(browser, rig)
        tabs = []
        for words in ("First tab.", "Second tab."):
            page = await browser.post(LOOK, number="1", text=words)
            tabs.append({"number": "1", "text": words, "sha256": field(page, "sha256")})
        await browser.post(PAGE, **tabs[0])
        assert browser.status == 303
        page = await browser.post(PAGE, **tabs[1])
        assert (browser.status, written(page)) == (409, "Second tab.")
        assert "an addendum was signed meanwhile" in page.lower()
        assert "Addendum 1, signed" in page
        assert (field(page, "number"), added(rig)) == ("2", 1)
        assert "Second tab." in preview(page)
        await browser.post(PAGE, number="2", text="Second tab.", sha256=field(page, "sha256"))
        assert (browser.status, added(rig)) == (303, 2)

    tell(tmp_path, story)


def test_only_a_clinician_adds_to_a_note(tmp_path: Path) -> None:
    async def story(browser: Browser, rig: Rig) -> None:
        await filed(browser, rig)
        await browser.post("/logout")
        await browser.sign_in(name="privacy")
        assert PAGE not in await browser.get(STAY)
        await browser.get(PAGE)
        assert browser.status == 403
        for path in (LOOK, PAGE):
            await browser.post(path, number="1", text="Words.")
            assert browser.status == 403
        await browser.post("/logout")
        await browser.sign_in(name="bauer")
        page = await browser.get(PAGE)
        assert "You would sign the addendum as Jonas Bauer" in page

    tell(tmp_path, story)


@pytest.mark.parametrize("path", [LOOK, PAGE])
def test_a_form_of_another_site_adds_nothing_and_gets_no_words_back(
    tmp_path: Path, path: str
) -> None:
    async def story(browser: Browser, rig: Rig) -> None:
        await filed(browser, rig)
        for origin in ("https://evil.example", None):
            page = await browser.post(path, origin=origin, number="1", text="Forged words.")
            assert (browser.status, "Forged" in page) == (403, False)
        await browser.post("/lock")
        page = await browser.post(path, origin="https://evil.example", text="Forged words.")
        assert "Forged" not in page
        await browser.get("/lock")
        await browser.post("/unlock", password=PASSWORD)
        assert "Forged" not in await browser.get(PAGE)
        assert added(rig) == 0

    tell(tmp_path, story)


def test_a_store_that_fails_gives_the_words_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(browser: Browser, rig: Rig) -> None:
        await filed(browser, rig)
        assert rig.web is not None
        signing = rig.web.site.parts.signing

        def full(*_: object) -> None:
            raise StorageError("the disk is full", "make room")

        monkeypatch.setattr(signing, "preview_addendum", full)
        page = await browser.post(LOOK, text=WORDS)
        assert (browser.status, written(page)) == (500, WORDS)
        assert "The disk is full" in page
        monkeypatch.setattr(signing, "addenda", full)
        page = await browser.post(LOOK, text=WORDS)
        assert (browser.status, written(page)) == (500, WORDS)

    tell(tmp_path, story)


def test_no_script_and_no_style_stands_in_the_page(tmp_path: Path) -> None:
    async def story(browser: Browser, rig: Rig) -> None:
        await filed(browser, rig)
        for page in (await browser.get(PAGE), await browser.post(LOOK, text="<script>x</script>")):
            assert browser.status == 200
            assert browser.headers["Content-Security-Policy"].startswith("default-src 'none'")
            assert browser.headers["Cache-Control"] == "no-store"
            assert not re.search(r"<style|<script|\sstyle=|\son[a-z]+=", page)

    tell(tmp_path, story)

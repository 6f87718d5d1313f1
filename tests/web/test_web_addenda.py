"""What is added to a note that is in the chart: signed on its own, once, by a clinician."""

from pathlib import Path

from msgspec.structs import replace

from bayscribe_relay.clinical.audit import entries
from bayscribe_relay.writeback.states import Event
from web import demo_stay
from web.web_client import STAY, Browser, tell
from web.web_rig import Rig, committed


async def signed(browser: Browser, rig: Rig) -> str:
    """The demo's note, signed on its page; the key of its letter."""
    draft = rig.clinical.draft(demo_stay.STAY)
    assert draft is not None
    sections = tuple(
        replace(
            section,
            sentences=tuple(
                replace(s, outcome="accepted" if s.outcome == "open" else s.outcome)
                for s in section.sentences
            ),
        )
        for section in draft.sections
    )
    rig.clinical.put_draft(replace(draft, revision=draft.revision + 1, sections=sections))
    page = await browser.get(f"{STAY}/sign")
    digest = page.split('name="sha256" value="')[1][:64]
    await browser.post(f"{STAY}/sign", revision=str(draft.revision + 1), sha256=digest)
    assert browser.status == 303
    after = rig.clinical.draft(demo_stay.STAY)
    assert after is not None
    return after.signed_key


def test_an_addendum_is_signed_once_the_note_is_in_the_chart_and_only_once(tmp_path: Path) -> None:
    async def story(browser: Browser, rig: Rig) -> None:
        await browser.sign_in()
        page = await browser.get(f"{STAY}/addendum")
        assert (browser.status, "not in the chart yet" in page) == (400, True)
        key = await signed(browser, rig)
        await browser.post(f"{STAY}/addendum", number="1", text="Too early.")
        assert browser.status == 400
        await rig.outbox.happened(key, Event.COMMIT, answer=committed(key))
        assert f"{STAY}/addendum" in await browser.get(STAY)
        page = await browser.get(f"{STAY}/addendum")
        assert 'name="number" value="1"' in page
        for status in (303, 409):
            await browser.post(f"{STAY}/addendum", number="1", text="The cough began\r\nMonday.")
            assert browser.status == status
        page = await browser.get(f"{STAY}/addendum")
        assert "Addendum 1, signed" in page
        assert "On its way" in page
        assert 'name="number" value="2"' in page
        actions = [entry.action for entry in entries(rig.clinical, demo_stay.STAY)]
        assert actions.count("added") == 1

    tell(tmp_path, story)


def test_only_a_clinician_adds_to_a_note(tmp_path: Path) -> None:
    async def story(browser: Browser, rig: Rig) -> None:
        await browser.sign_in()
        key = await signed(browser, rig)
        await rig.outbox.happened(key, Event.COMMIT, answer=committed(key))
        await browser.get(f"{STAY}/addendum")
        await browser.post(f"{STAY}/addendum", number="x", text="Words.")
        assert browser.status == 400
        await browser.post(f"{STAY}/addendum", number="1", text="w" * 4_001)
        assert browser.status == 400
        await browser.post("/logout")
        await browser.sign_in(name="privacy")
        assert f"{STAY}/addendum" not in await browser.get(STAY)
        await browser.get(f"{STAY}/addendum")
        assert browser.status == 403
        await browser.post(f"{STAY}/addendum", number="1", text="Words.")
        assert browser.status == 403

    tell(tmp_path, story)

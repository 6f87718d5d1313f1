"""The operator's page: what is not in the chart, why, and sending it again."""

import uuid
from pathlib import Path
from typing import Any

from uuid_utils.compat import uuid7

from bayscribe_relay.writeback.bundle import make_bundle
from bayscribe_relay.writeback.note import read_note
from bayscribe_relay.writeback.states import Event, State
from web.web_client import Browser, actions, tell
from web.web_rig import Rig, committed
from writeback.rig import a_note, encoded


async def a_letter(rig: Rig, *events: tuple[Event, str], **more: Any) -> str:  # noqa: ANN401 - of the outbox
    """A letter to which these things happened; its key."""
    data = encoded(a_note(idempotency_key=str(uuid.UUID(str(uuid7())))))
    note = read_note(data)
    letter = await rig.outbox.enqueue(note, data, make_bundle(note), hold=False)
    for event, reason in events:
        await rig.outbox.happened(letter.key, event, reason=reason, attempts=3, **more)
    return letter.key


def test_a_dead_letter_is_seen_explained_and_sent_again(tmp_path: Path) -> None:
    async def story(browser: Browser, rig: Rig) -> None:
        dead = await a_letter(rig, (Event.GIVE_UP, "no answer within 10 s, three times"))
        refused = await a_letter(rig, (Event.REFUSE, "the encounter is not known"))
        await browser.sign_in(name="op")
        page = await browser.get("/letters")
        assert "Not in the chart (2)" in page
        assert "no answer within 10 s, three times" in page
        assert "the encounter is not known" in page
        one = await browser.get(f"/letters/{dead}")
        assert "given-up" in one
        assert "dead-letter queue, waits for you" in one
        await browser.post("/letters/replay", key=dead)
        assert browser.headers["Location"] == f"/letters/{dead}"
        again = rig.outbox.get(dead)
        assert again is not None
        assert (again.state, again.replay) == (State.QUEUED, True)
        await browser.get("/letters")
        await browser.post("/letters/replay", all="yes")
        again = rig.outbox.get(refused)
        assert again is not None
        assert again.state is State.QUEUED
        assert [a for a in actions(rig) if a[1] == "letter-replayed"] == [
            ("user:op", "letter-replayed")
        ] * 2

    tell(tmp_path, story)


def test_a_verified_letter_is_shown_with_where_it_stands_and_cannot_be_sent_again(
    tmp_path: Path,
) -> None:
    async def story(browser: Browser, rig: Rig) -> None:
        key = await a_letter(rig)
        await rig.outbox.happened(key, Event.COMMIT, answer=committed(key))
        await browser.sign_in(name="op")
        page = await browser.get(f"/letters/{key}")
        assert "in the chart, read back" in page
        assert "DocumentReference/d1" in page
        assert "Send again" not in page
        await browser.post("/letters/replay", key=key)
        letter = rig.outbox.get(key)
        assert letter is not None
        assert letter.state is State.VERIFIED

    tell(tmp_path, story)


def test_the_operators_pages_show_no_patient(tmp_path: Path) -> None:
    async def story(browser: Browser, rig: Rig) -> None:
        key = await a_letter(rig, (Event.GIVE_UP, "no answer"))
        await browser.sign_in(name="op")
        pages = await browser.get("/letters") + await browser.get(f"/letters/{key}")
        for said in ("Doe", "Jane", "M1<", "Lactate", "Zoë"):
            assert said not in pages

    tell(tmp_path, story)

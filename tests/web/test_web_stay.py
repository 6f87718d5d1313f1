"""Play-back, edits that meet, speakers, corrections, and what the badge says."""

import asyncio
import io
import time
import wave
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
from msgspec.structs import replace

from bayscribe.errors import BadUse
from bayscribe_relay.clinical import audit
from bayscribe_relay.clinical.drafts import Draft
from bayscribe_relay.clinical.store import ClinicalStore
from bayscribe_relay.web.badge import badge
from bayscribe_relay.web.editing import accepted, change_sentence, modified, rejected
from bayscribe_relay.writeback.outbox import Letter
from bayscribe_relay.writeback.states import State
from web import demo_stay
from web.web_client import STAY, Browser, actions, tell
from web.web_rig import Rig

SECOND = 10**9


async def sound(browser: Browser, path: str, **headers: str) -> tuple[int, bytes, Any]:
    async with browser.client.get(browser.rig.url + path, headers=headers) as answer:
        return answer.status, await answer.read(), answer.headers


def test_playback_is_exactly_what_was_said(tmp_path: Path) -> None:
    async def story(browser: Browser, rig: Rig) -> None:
        await browser.sign_in()
        beam = demo_stay.beam()
        # Turn 8 crosses a segment's end, turn 0 begins in the first one.
        for turn in (0, 8, 17):
            spoken = demo_stay.script()[turn]
            path = f"{STAY}/audio/{demo_stay.RECORDING}/{turn}"
            status, body, headers = await sound(browser, path)
            assert (status, headers["Content-Type"]) == (200, "audio/wav")
            with wave.open(io.BytesIO(body)) as wav:
                assert wav.getparams()[:3] == (1, 2, 16_000)
                pcm = np.frombuffer(wav.readframes(wav.getnframes()), "<i2")
            first, last = round(spoken["start"] * 16_000), round(spoken["end"] * 16_000)
            assert np.array_equal(pcm, beam[first:last])
        status, part, _ = await sound(browser, f"{path}?start=64.800&end=65.300")
        assert len(part) == 44 + 2 * 8_000
        assert part[44:] == beam[round(64.8 * 16_000) : round(65.3 * 16_000)].tobytes()
        status, piece, headers = await sound(browser, path, Range="bytes=100-299")
        assert (status, piece) == (206, body[100:300])
        assert headers["Content-Range"] == f"bytes 100-299/{len(body)}"
        status, _, _ = await sound(browser, path, Range="bytes=99999999-")
        assert status == 416
        played = [e.detail for e in audit.entries(rig.clinical) if e.action == "audio-played"]
        assert played == [f"{demo_stay.RECORDING}/{n}" for n in (0, 8, 17, 17)]

    tell(tmp_path, story, audio=True)


def test_audio_of_elsewhere_or_beyond_the_turn_is_not_given(tmp_path: Path) -> None:
    async def story(browser: Browser, rig: Rig) -> None:
        await browser.sign_in()
        good = f"audio/{demo_stay.RECORDING}/3"
        asked = {
            f"/stays/{10:032x}/{good}": 404,
            f"{STAY}/audio/{demo_stay.RECORDING}/99": 404,
            f"{STAY}/audio/{'0' * 32}/3": 404,
            f"{STAY}/{good}?start=0&end=80": 400,
            f"{STAY}/{good}?start=nan&end=1": 400,
            f"{STAY}/{good}?start=x": 400,
        }
        for path, status in asked.items():
            assert (await sound(browser, path))[0] == status, path
        assert "audio-played" not in {action for _, action in actions(rig)}

    tell(tmp_path, story, audio=True)


def test_deleted_audio_is_said_to_be_deleted(tmp_path: Path) -> None:
    async def story(browser: Browser, rig: Rig) -> None:
        await browser.sign_in()
        with rig.clinical.engine.begin() as link:
            link.exec_driver_sql("DELETE FROM payloads")
        path = f"{STAY}/audio/{demo_stay.RECORDING}/3"
        status, body, _ = await sound(browser, path)
        assert status == 410
        assert b"deleted by the retention policy" in body

    tell(tmp_path, story, audio=True)


@pytest.fixture
def store(tmp_path: Path) -> ClinicalStore:
    clinical = ClinicalStore(f"sqlite:///{tmp_path / 'relay.db'}")
    clinical.put_draft(demo_stay.draft(time.time_ns()))
    return clinical


def sentence(store: ClinicalStore, ident: str) -> tuple[str, str, str]:
    draft = store.draft(demo_stay.STAY)
    assert draft is not None
    return next(
        (x.text, x.outcome, x.original)
        for s in draft.sections
        for x in s.sentences
        if x.id == ident
    )


def test_an_edit_holds_though_the_draft_was_composed_again(store: ClinicalStore) -> None:
    first = store.draft(demo_stay.STAY)
    assert first is not None
    store.put_draft(replace(first, revision=5))
    change_sentence(store, demo_stay.STAY, 4, "hpi-2", modified("  Left flank\n pain. "))
    assert sentence(store, "hpi-2")[:2] == ("Left flank pain.", "modified")
    draft = store.draft(demo_stay.STAY)
    assert draft is not None
    assert draft.revision == 6
    store.engine.dispose()


def test_an_edit_of_a_sentence_that_changed_meanwhile_is_refused(store: ClinicalStore) -> None:
    change_sentence(store, demo_stay.STAY, 4, "hpi-2", modified("One clinician's words."))
    with pytest.raises(BadUse) as refused:
        change_sentence(store, demo_stay.STAY, 4, "hpi-2", modified("Another's."))
    assert refused.value.code == "revision"
    assert sentence(store, "hpi-2")[0] == "One clinician's words."
    store.engine.dispose()


def test_what_was_offered_comes_back(store: ClinicalStore) -> None:
    offered = sentence(store, "icd-2")[0]
    steps: list[Any] = [modified("Severe sepsis, kidney."), rejected, accepted]
    for revision, step in enumerate(steps, start=4):
        change_sentence(store, demo_stay.STAY, revision, "icd-2", step)
    assert sentence(store, "icd-2") == (offered, "accepted", "")
    store.engine.dispose()


def test_a_signed_draft_is_changed_no_more(store: ClinicalStore) -> None:
    first = store.draft(demo_stay.STAY)
    assert first is not None
    store.put_draft(replace(first, revision=5, signed_key="k"))
    with pytest.raises(BadUse) as refused:
        change_sentence(store, demo_stay.STAY, 5, "hpi-2", rejected)
    assert refused.value.code == "signed"
    store.engine.dispose()


def test_signing_what_is_no_longer_the_draft_is_refused(tmp_path: Path) -> None:
    async def story(browser: Browser, rig: Rig) -> None:
        await browser.sign_in()
        page = await browser.get(f"{STAY}/sign")
        digest = page.split('name="sha256" value="')[1][:64]
        await browser.post(f"{STAY}/add", section="10164-2", text="One more.")
        assert browser.status == 303
        await browser.post(f"{STAY}/sign", revision="4", sha256=digest)
        assert browser.status == 409
        draft = rig.clinical.draft(demo_stay.STAY)
        assert draft is not None
        assert not draft.signed_key

    tell(tmp_path, story)


class NoChart:
    """The EMR has no such patient."""

    async def settle(self, stay: str) -> None:  # noqa: ARG002 - whoever it is
        raise BadUse("this note cannot be put into the chart: no Patient", "by hand")


def test_a_note_whose_chart_is_not_found_is_not_signed_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Rig, "identity", NoChart())

    async def story(browser: Browser, rig: Rig) -> None:
        await browser.sign_in()
        page = await browser.get(f"{STAY}/sign")
        assert browser.status == 400
        assert "cannot be put into the chart: no Patient" in page
        await browser.post(f"{STAY}/sign", revision="4", sha256="0" * 64)
        assert browser.status == 400
        draft = rig.clinical.draft(demo_stay.STAY)
        assert draft is not None
        assert not draft.signed_key

    tell(tmp_path, story)


def test_all_turns_of_a_voice_are_given_to_a_speaker(tmp_path: Path) -> None:
    async def story(browser: Browser, rig: Rig) -> None:
        await browser.sign_in()
        await browser.get(STAY)
        mine = f"{demo_stay.RECORDING}/4"
        await browser.post(f"{STAY}/speaker", utterance=mine, speaker="clinician", all="yes")
        spoken = rig.clinical.utterances(stay=demo_stay.STAY)
        given = [u for u in spoken if u.reattributed]
        assert len(given) > 2
        assert all(u.speaker == "clinician" and u.primary for u in given)
        assert "nurse" not in {u.speaker for u in spoken}

    tell(tmp_path, story)


def test_what_is_another_patients_goes_to_that_patient(tmp_path: Path) -> None:
    other = f"{10:032x}"

    async def story(browser: Browser, rig: Rig) -> None:
        await browser.sign_in()
        page = await browser.get(f"{STAY}/corrections")
        assert "Lindqvist" in page
        first, last = (f"{demo_stay.RECORDING}/{n}" for n in (20, 22))
        await browser.post(f"{STAY}/wrong-patient", **{"from": first, "until": last, "to": other})
        assert browser.status == 303
        moved = {u.id for u in rig.clinical.utterances(stay=other)}
        assert first in moved
        assert last in moved
        assert f"{demo_stay.RECORDING}/19" not in moved
        assert ("user:okafor", "rebound") in actions(rig)

    tell(tmp_path, story, audio=True)


def test_a_colleague_takes_over_and_hands_over(tmp_path: Path) -> None:
    async def story(browser: Browser, rig: Rig) -> None:
        await browser.sign_in(name="bauer")
        assert "Take over" in await browser.get(STAY)
        await browser.post(f"{STAY}/tap", act="take-over")
        stay = rig.clinical.stay(demo_stay.STAY)
        assert stay is not None
        assert stay.clinician is not None
        assert stay.clinician.family == "Bauer"
        await browser.get(f"{STAY}/corrections")
        await browser.post(f"{STAY}/hand-over", to="okafor")
        stay = rig.clinical.stay(demo_stay.STAY)
        assert stay is not None
        assert stay.clinician == demo_stay.OKAFOR

    tell(tmp_path, story)


def test_a_tap_begins_a_stay_of_nobody_known_yet(tmp_path: Path) -> None:
    async def story(browser: Browser, rig: Rig) -> None:
        await browser.sign_in()
        await browser.get("/board")
        await browser.post("/board/tap", bay="bay 7")
        page = await browser.get(browser.headers["Location"])
        assert "Patient not identified yet" in page
        assert "Adaeze Okafor" in page
        assert "bay 7" in page
        del rig

    tell(tmp_path, story)


def test_an_open_page_hears_of_changes_and_of_the_lock(tmp_path: Path) -> None:
    async def story(browser: Browser, rig: Rig) -> None:
        await browser.sign_in()
        await browser.get(STAY)
        unlimited = aiohttp.ClientTimeout(total=60)
        async with browser.client.get(f"{rig.url}{STAY}/live?after=0", timeout=unlimited) as stream:
            assert stream.headers["Content-Type"].startswith("text/event-stream")
            heard = ""
            while "event: region" not in heard:
                heard += (await stream.content.readany()).decode()
            turn = demo_stay.utterance(demo_stay.script()[23], rig.now_ns)
            await asyncio.to_thread(
                rig.clinical.put_utterance, replace(turn, id=f"{demo_stay.RECORDING}/77")
            )
            while f"{demo_stay.RECORDING}/77" not in heard:
                heard += (await stream.content.readany()).decode()
            await browser.post("/lock")
            while "event: locked" not in heard:
                heard += (await stream.content.readany()).decode()

    tell(tmp_path, story)


def a_letter(state: State, **changes: Any) -> Letter:  # noqa: ANN401 - fields of a letter
    fields: dict[str, Any] = {
        "key": "k", "site": "demo", "note_sha256": "0" * 64, "state": state, "replay": False,
        "attempts": 1, "received_ns": 0, "queued_ns": 0, "accepted_ns": None,
        "settled_ns": None, "alerted_ns": None, "reason": "", "answer": None,
    }  # fmt: skip
    return Letter(**{**fields, **changes})


def test_the_badge_is_green_for_nothing_but_a_note_read_back() -> None:
    signed = Draft(stay="s", signed_key="k")
    for state in State:
        shown = badge(signed, a_letter(state, reason="the EMR said no"), SECOND)
        assert (shown.colour == "green") == (state is State.VERIFIED)
        assert shown.words
        if shown.colour in ("red", "amber"):
            assert "Do not sign again" in shown.what_to_do
    assert badge(signed, None, SECOND).colour == "red"
    assert badge(Draft(stay="s"), None).colour == "blue"
    assert badge(None, None).colour == "grey"
    assert "later than promised" in badge(signed, a_letter(State.QUEUED), 31 * SECOND).title
    dead = badge(signed, a_letter(State.DEAD, reason="the EMR said no"), SECOND)
    assert "Reason: the EMR said no" in dead.words

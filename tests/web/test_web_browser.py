"""The whole way of a note in a real browser; and what a checker says of every page."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from bayscribe_relay.clinical import audit
from bayscribe_relay.clinical.drafts import Dropped
from bayscribe_relay.web import tables
from bayscribe_relay.writeback.states import Event, State
from web import demo_stay
from web.web_rig import PASSWORD, Rig, committed
from web.web_screen import STAY, Screen, screen, started

ADDENDUM = f"{STAY}/addendum"
LONG = "Wordwithoutanyspace" * 12 + "\nThe cough began on Monday." * 60


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    with started(tmp_path_factory.mktemp("chromium")) as driver:
        yield driver


def test_from_the_first_word_to_the_green_badge(chromium: webdriver.Chrome, tmp_path: Path) -> None:
    with screen(chromium, tmp_path, turns=10) as (page, rig):
        page.sign_in()
        page.until_text("#board", "Marchetti, Elena")
        page.click(f'a[href="{STAY}"]')
        page.until(lambda: page.driver.current_url.endswith(STAY), "stay")
        page.live()
        _words_arrive(page, rig)
        _prompt_is_answered(page, rig)
        _draft_is_edited(page, rig)
        _turn_is_given_to_its_speaker(page, rig)
        _signed_and_green(page, rig)
        assert page.errors() == []
    # The audit log names who did each of these.
    done = {entry.action for entry in audit.entries(rig.clinical) if entry.actor == "user:okafor"}
    assert done >= {"stay-viewed", "audio-played", "prompt-answered", "prompt-dismissed"}
    assert done >= {"sentence-reject", "sentence-modify", "sentence-accept", "sentence-add"}
    assert done >= {"reattributed", "signed", "tap-close"}


def _words_arrive(page: Screen, rig: Rig) -> None:
    start = rig.now_ns - 20 * demo_stay.MINUTE
    assert "Lactate is back" not in page.text("#transcript")
    for turn in demo_stay.script()[10:18]:
        rig.clinical.put_utterance(demo_stay.utterance(turn, start))
    page.until_text("#turns li:last-child", "Lactate is back at four point two.")
    times: list[int] = page.driver.execute_script(
        "return [...document.querySelectorAll('#turns > li')].map((li) => Number(li.dataset.at))"
    )
    assert len(times) == 18
    assert times == sorted(times)
    assert page.attribute("#turns li:last-child .play", "href").endswith("/17")
    assert "crackles" in [
        e.text for e in page.driver.find_elements(By.CSS_SELECTOR, ".turn .unsure")
    ]
    # Over and over, so that a slow machine does not come too late to look.
    page.driver.execute_script("document.getElementById('player').loop = true")
    page.click("#turns li:last-child .play")
    player = page.find("#player")
    page.until(lambda: float(str(player.get_attribute("currentTime"))) > 0.1, "sound")
    length = float(str(player.get_attribute("duration")))
    spoken = demo_stay.script()[17]
    assert abs(length - (spoken["end"] - spoken["start"])) < 0.001
    assert "playing" in page.attribute("#turns li:last-child", "class")


def _prompt_is_answered(page: Screen, rig: Rig) -> None:
    card = demo_stay.prompts(rig.now_ns)[2]
    new = type(card)(
        id=f"{demo_stay.STAY}-late", stay=demo_stay.STAY, gap="late", title="Source control",
        text="Is there a source to drain?", minute=52, fired_ns=rig.now_ns, state="shown",
        explanation=("Rule: sepsis, and no source is named",),
    )  # fmt: skip
    rig.clinical.put_prompt(new)
    page.until_text("#prompts", "Is there a source to drain?")
    item = "//li[contains(@class, 'prompt')][contains(., 'Source control')]"
    page.click(f"{item}//summary")
    assert "no source is named" in page.text("#prompts")
    answer = page.driver.find_element(By.XPATH, f"{item}//input[@name='answer']")
    answer.send_keys("left kidney")
    # While it is being written, another prompt comes: the words stay.
    rig.clinical.put_prompt(type(card)(
        id=f"{demo_stay.STAY}-other", stay=demo_stay.STAY, gap="other", title="Another",
        text="Something else.", minute=52, fired_ns=rig.now_ns, state="waiting",
    ))  # fmt: skip
    page.click(f"{item}//button[@value='answered']")
    page.until_text("#prompts .settled", "Settled (2)")
    settled = rig.clinical.prompt(new.id)
    assert settled is not None
    assert (settled.state, settled.answered_by, settled.answer) == (
        "answered", "click", "left kidney",
    )  # fmt: skip
    item = item.replace("Source control", "SIRS not stated")
    page.click(f"{item}//button[@value='dismissed']")
    page.until_text("#prompts .settled", "Settled (3)")


def _draft_is_edited(page: Screen, rig: Rig) -> None:
    page.click("#d-icd-1 button[value=reject]")
    page.until(lambda: "rejected" in page.attribute("#d-icd-1", "class"), "rejected")
    page.click("#d-icd-2 button[value=accept]")
    page.until(lambda: "accepted" in page.attribute("#d-icd-2", "class"), "accepted")
    page.click("#d-hpi-2 .edit summary")
    area = page.find("#d-hpi-2 textarea")
    area.send_keys(Keys.CONTROL, "a")
    area.send_keys("Left flank pain, below the ribs.")
    # The draft is composed again meanwhile: what is being written is not lost.
    before = rig.clinical.draft(demo_stay.STAY)
    assert before is not None
    rig.clinical.put_draft(type(before)(**{
        **{name: getattr(before, name) for name in before.__struct_fields__},
        "revision": before.revision + 1,
    }))  # fmt: skip
    page.until(lambda: page.find("#held").is_displayed(), "the offer of the new draft")
    assert (
        page.find("#d-hpi-2 textarea").get_attribute("value") == "Left flank pain, below the ribs."
    )
    page.click("#d-hpi-2 button[value=modify]")
    page.until_text("#d-hpi-2 .text", "Left flank pain, below the ribs.")
    page.until(lambda: not page.find("#held").is_displayed(), "no offer any more")
    page.click(".edit.add summary")
    page.find(".edit.add textarea").send_keys("Last voided this morning.")
    page.click(".edit.add button")
    page.until_text("#draft", "Last voided this morning.")
    page.click("#d-vit-2 .link")
    page.until(lambda: page.driver.find_elements(By.CSS_SELECTOR, ".events .playing"), "the fact")
    draft = rig.clinical.draft(demo_stay.STAY)
    assert draft is not None
    outcomes = {x.id: (x.outcome, x.original) for s in draft.sections for x in s.sentences}
    assert outcomes["icd-1"] == ("rejected", "")
    assert outcomes["icd-2"] == ("accepted", "")
    assert outcomes["hpi-2"] == ("modified", "Pain on the left, just under the ribs.")


def _turn_is_given_to_its_speaker(page: Screen, rig: Rig) -> None:
    turn = "//li[contains(@class, 'turn')][contains(., 'Two sets, left and right arm.')]"
    assert "unknown-1" in page.driver.find_element(By.XPATH, f"{turn}//summary").text
    page.click(f"{turn}//summary")
    page.click(f"{turn}//button[@value='nurse']")
    page.until(
        lambda: "nurse" in page.driver.find_element(By.XPATH, f"{turn}//summary").text, "nurse"
    )
    spoken = rig.clinical.utterance(f"{demo_stay.RECORDING}/6")
    assert spoken is not None
    assert (spoken.speaker, spoken.primary, spoken.reattributed) == ("nurse", False, True)


def _signed_and_green(page: Screen, rig: Rig) -> None:
    page.click(".sign a")
    page.until_text("pre.note", "Left flank pain, below the ribs.")
    shown = page.text("pre.note")
    assert "A41.9" not in shown
    assert "R65.20" in shown
    page.click("form.sign button")
    page.until_text("#badge", "On its way")
    assert page.attribute("#badge .badge", "class") == "badge amber"
    page.live()
    draft = rig.clinical.draft(demo_stay.STAY)
    assert draft is not None
    key = draft.signed_key
    rig.happen(key, Event.PARK, reason="no answer within 10 s")
    page.until_text("#badge", "tried again by itself. Last word: no answer within 10 s")
    assert page.attribute("#badge .badge", "class") == "badge amber"
    rig.happen(key, Event.COMMIT, answer=committed(key))
    page.until_text("#badge", "In the chart")
    assert page.attribute("#badge .badge", "class") == "badge green"


def _file(page: Screen, rig: Rig) -> str:
    """The note is signed on its page, and read back from the chart; the key of its letter."""
    demo_stay.decide(rig.clinical)
    page.open(f"{STAY}/sign")
    page.click("form.sign button")
    page.until_text("#badge", "On its way")
    draft = rig.clinical.draft(demo_stay.STAY)
    assert draft is not None
    rig.happen(draft.signed_key, Event.COMMIT, answer=committed(draft.signed_key))
    return draft.signed_key


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no-scripts"])
def test_an_addendum_is_looked_at_then_signed_and_green_once_it_is_read_back(
    chromium: webdriver.Chrome, tmp_path: Path, scripts: bool
) -> None:
    off = {"value": not scripts}
    with screen(chromium, tmp_path) as (page, rig):
        page.sign_in()
        key = _file(page, rig)
        page.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", off)
        try:
            page.open(STAY)
            page.until_text("#badge", "In the chart")
            page.click(".sign a")
            page.until_text("main", key)
            _addendum_is_signed(page, rig, key)
        finally:
            page.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
        assert page.errors() == []


def _addendum_is_signed(page: Screen, rig: Rig, key: str) -> None:
    """By keyboard alone, after a look at what will be in the chart."""
    page.tab_to("#text")
    page.focused().send_keys("The cough began", Keys.ENTER, "on Tuesday.")
    page.tab_to("#look")
    page.focused().send_keys(Keys.ENTER)
    page.until_text("pre.note", "The cough began on Tuesday.")
    page.tab_to("#text")
    page.focused().send_keys(Keys.CONTROL, "a")
    page.focused().send_keys("The cough began", Keys.ENTER, "on Monday.")
    page.tab_to("#look")
    page.focused().send_keys(Keys.ENTER)
    page.until_text("pre.note", "The cough began on Monday.")
    page.keep("addendum")
    shown = str(page.find("pre.note").get_property("textContent"))
    assert "The cough began\non Monday." in shown
    assert "Author: Adaeze Okafor, NPI 1234567893" in shown
    assert f"Relates to the note with the key {key}." in shown
    page.tab_to("#sign")
    page.focused().send_keys(Keys.ENTER)
    page.until_text("#a-1", "Addendum 1, signed")
    (letter,) = rig.outbox.letters([State.QUEUED])
    assert letter.note_sha256 == hashlib.sha256(shown.encode()).hexdigest()
    for event, more, colour in (
        (None, {}, "amber"),
        (Event.PARK, {"reason": "no answer within 10 s"}, "amber"),
        (Event.COMMIT, {"answer": committed(letter.key)}, "green"),
    ):
        if event is not None:
            rig.happen(letter.key, event, **more)
            page.open(ADDENDUM)
        assert page.attribute(".badge", "class") == f"badge {colour}"
    assert "In the chart" in page.text(".badge")


def test_a_session_that_locks_while_an_addendum_is_typed_loses_no_word(
    chromium: webdriver.Chrome, tmp_path: Path
) -> None:
    with screen(chromium, tmp_path) as (page, rig):
        page.sign_in()
        _file(page, rig)
        page.open(ADDENDUM)
        page.find("#text").send_keys("The cough began", Keys.ENTER, "on Monday.")
        with rig.clinical.engine.begin() as link:
            link.execute(tables.sessions.update().values(locked=True))
        page.click("#look")
        page.until_text("h1", "Locked")
        assert "cough" not in page.driver.page_source
        page.find("#password").send_keys(PASSWORD)
        page.click("form[action='/unlock'] button")
        page.until_text("main", "You wrote these words before your session ran out")
        words = page.find("#text").get_property("value")
        assert words == "The cough began\non Monday."
        page.click("#look")
        page.until_text("pre.note", "The cough began on Monday.")
        assert rig.outbox.letters([State.QUEUED]) == []
        # A hint about the lock page's form for password managers is no error.
        assert [words for words in page.errors() if "[DOM]" not in words] == []


def test_a_dropped_sentence_of_a_model_is_seen_and_is_no_part_of_the_note(
    chromium: webdriver.Chrome, tmp_path: Path
) -> None:
    with screen(chromium, tmp_path) as (page, rig):
        page.sign_in()
        page.open(STAY)
        page.live()
        page.until_text("details.dropped summary", "1 sentence of the model was dropped")
        assert "She denies chest pain." not in page.text("#draft")
        page.click("details.dropped summary")
        page.until_text("details.dropped", "She denies chest pain.")
        assert "Dropped: no words and no event say so" in page.text("details.dropped")
        # A late answer of the model reaches the page that is open.
        draft = rig.clinical.draft(demo_stay.STAY)
        assert draft is not None
        more = (*draft.dropped, Dropped(text="Lungs are clear.", reason="it has no source"))
        rig.clinical.put_draft(replace(draft, revision=draft.revision + 1, dropped=more))
        page.until_text("details.dropped summary", "2 sentences of the model were dropped")
        page.open(f"{STAY}/sign")
        page.until_text("main", "SIRS criteria")
        assert "chest pain" not in page.text("main")
        assert "Lungs are clear" not in page.text("main")
        assert page.errors() == []


def test_no_page_has_a_serious_violation_at_any_size(
    chromium: webdriver.Chrome, tmp_path: Path
) -> None:
    with screen(chromium, tmp_path) as (page, rig):
        page.open("/login")
        found = {"/login": page.violations()}
        page.sign_in()
        for path in ("/board", STAY, f"{STAY}/corrections", f"{STAY}/sign", "/nowhere"):
            page.open(path)
            found[path] = page.violations()
        page.open(STAY)
        page.live()
        page.driver.execute_script(
            "for (const d of document.querySelectorAll('details:not(.speaker)')) d.open = true;"
            "document.querySelector('details.speaker').open = true;"
        )
        found["all open"] = page.violations()
        for width, scale in ((360, 2), (720, 2)):
            page.size(width, 740, scale)
            for path in ("/board", STAY, f"{STAY}/sign", f"{STAY}/corrections"):
                page.open(path)
                found[f"{path} at {width}"] = page.violations() if path == STAY else []
                page.stays_within(width)
        page.size(1440, 900)
        _file(page, rig)
        for width, scale in ((1440, 1), (360, 2), (720, 2)):
            page.size(width, 740, scale)
            page.open(ADDENDUM)
            found[f"addendum at {width}"] = page.violations()
            page.stays_within(width)
            for words in (LONG, " "):
                page.look_at(words)
                found[f"addendum, {words[:4]!r}, at {width}"] = page.violations()
                page.stays_within(width)
        page.open(ADDENDUM)
        page.driver.delete_all_cookies()
        page.look_at(LONG)
        assert "signed out" in page.text("main")
        found["words returned"] = page.violations()
        page.stays_within(720)
    assert {path: words for path, words in found.items() if words} == {}


def test_the_stay_is_worked_with_the_keyboard_alone(
    chromium: webdriver.Chrome, tmp_path: Path
) -> None:
    with screen(chromium, tmp_path) as (page, rig):
        page.sign_in()
        page.open(STAY)
        page.live()
        page.find("body").send_keys(Keys.TAB)
        assert page.focused().get_attribute("class") == "skip"
        page.tab_to("#d-icd-1 button[value=reject]")
        page.focused().send_keys(Keys.ENTER)
        page.until(lambda: "rejected" in page.attribute("#d-icd-1", "class"), "rejected")
        page.tab_to("#turns details.speaker summary")
        page.focused().send_keys(Keys.ENTER)
        assert page.driver.find_elements(By.CSS_SELECTOR, "details.speaker[open]")
        page.focused().send_keys(Keys.ESCAPE)
        page.until(
            lambda: not page.driver.find_elements(By.CSS_SELECTOR, "details.speaker[open]"), "shut"
        )
        del rig


def test_every_step_works_without_scripts(chromium: webdriver.Chrome, tmp_path: Path) -> None:
    with screen(chromium, tmp_path) as (page, rig):
        page.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
        try:
            page.sign_in()
            page.open(STAY)
            page.find("#d-icd-1 button[value=reject]").click()
            page.until(lambda: "#draft" in page.driver.current_url, "the page again")
            assert "rejected" in page.attribute("#d-icd-1", "class")
            page.find(".prompt button[value=dismissed]").click()
            page.until_text("#prompts .settled", "Settled (2)")
            page.find(".sign a").click()
            page.until_text("main", "1 suggestion waits for your decision")
            assert not page.driver.find_elements(By.CSS_SELECTOR, "form.sign button")
            page.open(STAY)
            page.find("#d-icd-2 button[value=accept]").click()
            page.until(lambda: "#draft" in page.driver.current_url, "the page with the outcome")
            page.find(".sign a").click()
            page.until(lambda: "/sign" in page.driver.current_url, "the page to sign on")
            page.find("form.sign button").click()
            page.until_text("#badge", "On its way")
        finally:
            page.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
        del rig

"""The whole way of a note in a real browser; and what a checker says of every page."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from selenium import webdriver
from selenium.common.exceptions import (
    ElementClickInterceptedException,
    NoSuchElementException,
    StaleElementReferenceException,
)
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from bayscribe_relay.clinical import audit
from bayscribe_relay.clinical.drafts import Dropped
from bayscribe_relay.writeback.states import Event
from web import demo_stay
from web.web_rig import PASSWORD, Rig, committed

AXE = Path(__file__).resolve().parents[2] / ".build" / "web" / "node_modules" / "axe-core"
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--ignore-certificate-errors", "--window-size=1440,900",
    "--autoplay-policy=no-user-gesture-required",
)  # fmt: skip
PATIENCE_S = 90
STAY = f"/stays/{demo_stay.STAY}"


class Screen:
    """A browser and what a person does with it."""

    def __init__(self, driver: webdriver.Chrome, url: str) -> None:
        self.driver = driver
        self.url = url

    def open(self, path: str) -> None:
        self.driver.get(self.url + path)

    def sign_in(self, name: str = "okafor") -> None:
        self.open("/login")
        self.find("#name").send_keys(name)
        self.find("#password").send_keys(PASSWORD)
        self.find("main form button").click()
        self.until(lambda: "/login" not in self.driver.current_url, "signed in")

    def find(self, css: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, css)

    def text(self, css: str) -> str:
        """What stands there, once spaces are one; the page may replace it at any time."""
        found = self.driver.execute_script(
            "return document.querySelector(arguments[0])?.innerText ?? ''", css
        )
        return " ".join(str(found).split())

    def attribute(self, css: str, name: str) -> str:
        """An attribute of the first such element."""
        found = self.driver.execute_script(
            "return document.querySelector(arguments[0])?.getAttribute(arguments[1]) ?? ''",
            css,
            name,
        )
        return str(found)

    def until(self, condition: Callable[[], object], what: str) -> None:
        wait: WebDriverWait[webdriver.Chrome] = WebDriverWait(
            self.driver, PATIENCE_S, 0.05, ignored_exceptions=(StaleElementReferenceException,)
        )
        wait.until(lambda _: condition(), what)

    def until_text(self, css: str, words: str) -> None:
        self.until(lambda: words in self.text(css), f"{words} in {css}")

    def live(self) -> None:
        """Until the page's stream is open."""
        body = self.find("body")
        self.until(lambda: body.get_attribute("data-connected") == "yes", "live")

    def click(self, where: str) -> None:
        """As a hand does, wherever the page has scrolled to, though it be replaced meanwhile.

        Args:
            where: CSS, or XPath if it begins with ``//``.
        """
        by = By.XPATH if where.startswith("//") else By.CSS_SELECTOR

        def done() -> bool:
            try:
                element = self.driver.find_element(by, where)
                self.driver.execute_script(
                    "arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", element
                )
                element.click()
            except (
                StaleElementReferenceException,
                ElementClickInterceptedException,
                NoSuchElementException,
            ):
                return False
            return True

        self.until(done, f"a click on {where}")

    def size(self, width: int, height: int, scale: float = 1.0) -> None:
        metrics = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def errors(self) -> list[str]:
        """What the browser complained about: scripts, styles, anything that CSP stopped."""
        return [str(entry["message"]) for entry in self.driver.get_log("browser")]  # type: ignore[no-untyped-call]  # selenium's

    def violations(self) -> list[str]:
        """Accessibility violations that axe calls serious or critical."""
        self.driver.execute_script((AXE / "axe.min.js").read_text())
        tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]
        found = self.driver.execute_async_script(
            "const done = arguments[arguments.length - 1];"
            "axe.run(document, {runOnly: {type: 'tag', values: JSON.parse(arguments[0])}})"
            ".then((r) => done(JSON.stringify(r.violations)), (e) => done(JSON.stringify("
            "[{id: String(e), impact: 'critical', nodes: []}])));",
            json.dumps(tags),
        )
        violations: list[dict[str, Any]] = json.loads(found)
        return [
            f"{v['id']}: {[n['html'][:120] for n in v['nodes'][:3]]}"
            for v in violations
            if v["impact"] in ("serious", "critical")
        ]


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    driver.set_script_timeout(PATIENCE_S)
    try:
        yield driver
    finally:
        driver.quit()


@contextmanager
def screen(
    driver: webdriver.Chrome, folder: Path, turns: int | None = None
) -> Iterator[tuple[Screen, Rig]]:
    with Rig.in_thread(folder, time.time_ns(), turns) as rig:
        driver.delete_all_cookies()
        shown = Screen(driver, rig.url)
        shown.size(1440, 900)
        shown.errors()
        try:
            yield shown, rig
        finally:
            driver.get("about:blank")


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
                wide = page.driver.execute_script("return document.documentElement.scrollWidth")
                assert wide <= width, f"{path} scrolls sideways at {width} px"
        del rig
    assert {path: words for path, words in found.items() if words} == {}


def test_the_stay_is_worked_with_the_keyboard_alone(
    chromium: webdriver.Chrome, tmp_path: Path
) -> None:
    with screen(chromium, tmp_path) as (page, rig):
        page.sign_in()
        page.open(STAY)
        page.live()

        def focused() -> WebElement:
            return page.driver.switch_to.active_element

        def tab_to(css: str) -> None:
            for _ in range(400):
                focused().send_keys(Keys.TAB)
                if page.driver.execute_script(
                    "return document.activeElement.matches(arguments[0])", css
                ):
                    outline = focused().value_of_css_property("outline-style")
                    assert outline == "solid", f"focus is not seen on {css}"
                    return
            raise AssertionError(f"{css} is not reached")

        page.find("body").send_keys(Keys.TAB)
        assert focused().get_attribute("class") == "skip"
        tab_to("#d-icd-1 button[value=reject]")
        focused().send_keys(Keys.ENTER)
        page.until(lambda: "rejected" in page.attribute("#d-icd-1", "class"), "rejected")
        tab_to("#turns details.speaker summary")
        focused().send_keys(Keys.ENTER)
        assert page.driver.find_elements(By.CSS_SELECTOR, "details.speaker[open]")
        focused().send_keys(Keys.ESCAPE)
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

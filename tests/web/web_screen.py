"""Chromium over the pages, and what a person does with it.

``BAYSCRIBE_SCREENSHOTS=FOLDER`` keeps what it looked like.
"""

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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

from web import demo_stay
from web.web_rig import PASSWORD, Rig

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

    def keep(self, name: str) -> None:
        """A picture of the whole page, if somebody wants to look at it later."""
        folder = os.environ.get("BAYSCRIBE_SCREENSHOTS")
        if folder:
            script = "return document.documentElement.scrollHeight"
            self.size(900, self.driver.execute_script(script))
            self.driver.save_screenshot(str(Path(folder) / f"web-{name}.png"))
            self.size(1440, 900)

    def focused(self) -> WebElement:
        """What the keyboard works on."""
        return self.driver.switch_to.active_element

    def tab_to(self, css: str) -> None:
        """On with the tabulator to the next such element, which must be seen to have the focus."""
        for _ in range(400):
            self.focused().send_keys(Keys.TAB)
            if self.driver.execute_script(
                "return document.activeElement.matches(arguments[0])", css
            ):
                outline = self.focused().value_of_css_property("outline-style")
                assert outline == "solid", f"focus is not seen on {css}"
                return
        raise AssertionError(f"{css} is not reached")

    def look_at(self, words: str) -> None:
        """Put words into the form of an addendum, at once, and press Preview."""
        self.driver.execute_script("document.getElementById('text').value = arguments[0]", words)
        before = self.find("#look")
        self.click("#look")
        self.until(lambda: _gone(before), "the page with the preview")

    def stays_within(self, width: int) -> None:
        """The page does not scroll sideways."""
        wide = self.driver.execute_script("return document.documentElement.scrollWidth")
        assert wide <= width, f"{self.driver.current_url} scrolls sideways at {width} px"

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


def _gone(element: WebElement) -> bool:
    """Whether an element's page is no longer there."""
    try:
        element.is_enabled()
    except StaleElementReferenceException:
        return True
    return False


@contextmanager
def started(profile: Path) -> Iterator[webdriver.Chrome]:
    """Chromium with a profile of its own."""
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
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

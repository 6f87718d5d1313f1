"""The local page in a real Chromium, with the recorded microphone behind it.

``BAYSCRIBE_SCREENSHOTS=FOLDER`` keeps what it looked like.
"""

import os
import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service as Driver
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from commission.unboxed import SOUNDS, Unboxed
from free_ports import free_port

pytestmark = pytest.mark.slow

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--window-size=820,1180",
)
PATIENCE_S = 60


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or "/usr/bin/chromium"
    for flag in (*FLAGS, f"--user-data-dir={tmp_path / 'chromium'}"):
        options.add_argument(flag)
    driver = Driver(shutil.which("chromedriver") or "/usr/bin/chromedriver")
    made = webdriver.Chrome(options=options, service=driver)
    yield made
    made.quit()


class Operator:
    """A person with a phone in the bay."""

    def __init__(self, browser: webdriver.Chrome, unit: Unboxed) -> None:
        self.browser = browser
        self.unit = unit
        self.players: list[threading.Thread] = []

    def find(self, selector: str) -> WebElement:
        waiting = WebDriverWait(self.browser, PATIENCE_S)
        return waiting.until(lambda page: page.find_element(By.CSS_SELECTOR, selector))

    def keep(self, name: str) -> None:
        folder = os.environ.get("BAYSCRIBE_SCREENSHOTS")
        if folder:
            self.browser.save_screenshot(str(Path(folder) / f"commission-{name}.png"))

    def start(self, step: str) -> None:
        for player in self.players:
            player.join()
        self.find("#start").click()
        self.find("#live")
        self.players.append(self.unit.play(SOUNDS[step]()))

    def passed(self, step: str) -> str:
        return self.find(f"#step-{step}.passed").text

    def leave_out(self, step: str, reason: str) -> None:
        self.find("input[name=reason]").send_keys(reason)
        self.find("#skip").click()
        self.find(f"#step-{step}.skipped")


def test_a_person_commissions_with_a_browser(browser: webdriver.Chrome, unboxed: Unboxed) -> None:
    address = f"127.0.0.1:{free_port()}"
    process = unboxed.bayscribe("commission", "--web", address)
    assert process.stdout is not None
    printed = re.search(r"(http://\S+)  code (\d{8})", process.stdout.readline())
    assert printed is not None
    operator = Operator(browser, unboxed)
    try:
        _log_in(operator, printed[1], printed[2])
        _steps(operator)
    finally:
        unboxed.ended.set()
        process.terminate()
        process.stdout.close()
        assert process.wait(60) == 1  # not all steps were done
        for player in operator.players:
            player.join()


def _log_in(operator: Operator, url: str, code: str) -> None:
    operator.browser.get(url)
    operator.find("input[name=code]").send_keys("00000000")
    operator.find("button").click()
    assert "4 tries are left" in operator.find("[role=alert]").text
    operator.find("input[name=code]").send_keys(code)
    operator.keep("code")
    operator.find("button").click()
    assert "Identify the array" in operator.find(".card h2").text


def _steps(operator: Operator) -> None:
    operator.keep("start")
    operator.start("array")
    assert "every channel is alive" in operator.passed("array")
    for step in ("channels-front", "channels-left"):
        operator.start(step)
        assert "delays within" in operator.passed(step)
    operator.keep("clap-verdict")
    operator.leave_out("level", "no calibrator at hand")
    operator.start("noise")
    operator.find("#live meter")
    operator.keep("noise-live")
    assert "dB(A)" in operator.passed("noise")
    operator.leave_out("reverberation", "no speaker at hand")
    operator.start("bed")
    operator.find("#live svg polyline")
    operator.keep("bed-live")
    assert "the bed is at" in operator.passed("bed")
    operator.keep("bed-verdict")

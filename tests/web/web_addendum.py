"""What tests do on the page of addenda, and read from it."""

import html
import re

from bayscribe_relay.clinical.audit import entries
from bayscribe_relay.writeback.states import Event
from web import demo_stay
from web.web_client import STAY, Browser
from web.web_rig import Rig, committed

PAGE = f"{STAY}/addendum"
LOOK = f"{PAGE}/preview"
WORDS = "The cough began\nMonday, <not> Sunday."


async def signed(browser: Browser, rig: Rig) -> str:
    """The demo's note, signed on its page; the key of its letter."""
    demo_stay.decide(rig.clinical)
    page = await browser.get(f"{STAY}/sign")
    revision, digest = field(page, "revision"), field(page, "sha256")
    await browser.post(f"{STAY}/sign", revision=revision, sha256=digest)
    assert browser.status == 303
    after = rig.clinical.draft(demo_stay.STAY)
    assert after is not None
    return after.signed_key


async def filed(browser: Browser, rig: Rig) -> str:
    """As :func:`signed`, and read back from the chart."""
    await browser.sign_in()
    key = await signed(browser, rig)
    await rig.outbox.happened(key, Event.COMMIT, answer=committed(key))
    await browser.get(PAGE)
    assert browser.status == 200
    return key


def field(page: str, name: str) -> str:
    """A hidden field of a page's form."""
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    return found[1] if found else ""


def written(page: str) -> str:
    """What stands in the page's text area."""
    found = re.search(r"<textarea[^>]*>\n?(.*?)</textarea>", page, re.DOTALL)
    return html.unescape(found[1]) if found else ""


def preview(page: str) -> str:
    """What would be signed."""
    found = re.search(r'<pre class="note"[^>]*>(.*?)</pre>', page, re.DOTALL)
    return html.unescape(found[1]) if found else ""


def added(rig: Rig) -> int:
    """How many addenda were signed, by the audit log."""
    return [e.action for e in entries(rig.clinical, demo_stay.STAY)].count("added")

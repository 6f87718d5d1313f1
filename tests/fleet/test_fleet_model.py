"""The fleet's model and page: what a person sees, and that it does not flap."""

import asyncio

import msgspec
import pytest
from aiohttp.test_utils import TestClient, TestServer

from bayscribe.wire.fleet import Buffer, Health, Levels, ProblemLine, Status, Topic, encode
from bayscribe_relay.fleet.model import BACK_FOR_S, FleetModel, Row
from bayscribe_relay.fleet.routes import fleet_routes, render, summary
from bayscribe_relay.fleet.subscriber import Fleet
from telemetry.site_broker import SiteBroker

AT = "2026-11-23T07:00:00Z"
ONLINE = Status(state="online", at=AT, activity="recording", may_go_live=True, software="0.1.0")
OFFLINE = Status(state="offline")


def say(model: FleetModel, message: object, now_s: float, device: str = "bay-01") -> None:
    channel = type(message).__name__.lower()
    topic = str(Topic("demo", device, device, channel))
    assert model.apply(topic, msgspec.json.encode(message), now_s) is not None


def codes(model: FleetModel, now_s: float) -> list[str]:
    return [one.code for one in model.rows(now_s)[0].problems]


def test_a_unit_shows_what_it_said_last() -> None:
    model = FleetModel()
    say(model, ONLINE, 0)
    say(model, Levels(at=AT, db_spl=(50.0, 70.5)), 1)
    say(model, Buffer(at=AT, level="ok", pending=3, pending_mib=0.5, relay_up=True), 1)
    (row,) = model.rows(2)
    assert (row.activity, row.loudest_db_spl, row.pending) == ("recording", 70.5, 3)
    assert (row.severity, row.may_go_live, row.heard_ago_s) == ("ok", True, 1.0)
    say(model, OFFLINE, 3)
    (row,) = model.rows(3)
    assert (row.online, row.activity, row.loudest_db_spl) == (False, "offline", None)
    assert not row.may_go_live


def test_a_short_absence_is_shown_and_is_no_alarm() -> None:
    model = FleetModel(offline_after_s=30)
    say(model, ONLINE, 0)
    said = []
    for second in range(1, 200):
        if second % 20 == 0:
            say(model, OFFLINE, second)
        if second % 20 == 5:
            say(model, ONLINE, second)
        said += [code for code in codes(model, second) if code == "unit-away"]
    assert said == []


def test_a_long_absence_is_one_alarm_until_the_unit_is_back_for_good() -> None:
    model = FleetModel(offline_after_s=30)
    say(model, ONLINE, 0)
    say(model, OFFLINE, 10)
    assert codes(model, 39) == []
    assert codes(model, 40) == ["unit-away"]
    say(model, ONLINE, 50)
    assert codes(model, 51) == ["unit-away"]
    assert codes(model, 50 + BACK_FOR_S) == []


def test_a_unit_that_keeps_reconnecting_is_told_so() -> None:
    model = FleetModel()
    for second in range(0, 100, 20):
        say(model, ONLINE, second)
        say(model, OFFLINE, second + 5)
    assert "unit-flapping" in codes(model, 101)
    assert "unit-flapping" not in codes(model, 800)


def test_an_online_unit_that_says_nothing_is_an_alarm() -> None:
    model = FleetModel(silent_after_s=45)
    say(model, ONLINE, 0)
    assert codes(model, 44) == []
    assert codes(model, 46) == ["unit-silent"]


def test_rubbish_and_messages_to_come_are_ignored_and_counted() -> None:
    model = FleetModel()
    for topic, payload in [
        ("bayscribe/v1/demo/b/d/status", b"{"),
        ("bayscribe/v1/demo/b/d/status", b'{"v":2,"state":"online"}'),
        ("bayscribe/v1/demo/b/d/nothing", b"{}"),
        ("bayscribe/v1/demo/b/d", b"{}"),
        ("bayscribe/v1/de mo/b/d/status", encode(ONLINE)),
        ("bayscribe/v1/demo/b/d/levels", b'{"v":1,"at":"x","db_spl":[1]}'),
        ("bayscribe/v1/demo/b/d/status", b"\xff"),
    ]:
        assert model.apply(topic, payload, 0) is None
    assert model.ignored == 7
    assert model.rows(0) == []


def rows() -> list[Row]:
    model = FleetModel()
    words = "microphone 2 <script>alert(1)</script>"
    line = ProblemLine(code="microphone-dead", check="dead", severity="alarm", words=words)
    say(model, ONLINE, 0, "bay-02")
    say(model, ONLINE, 0, "bay-01")
    say(
        model,
        Health(at=AT, severity="alarm", may_go_live=False, problems=(line,)),
        0,
        "bay-02",
    )
    return model.rows(1)


def test_the_page_puts_alarms_first_and_trusts_no_text() -> None:
    text = render(rows(), connected=True)
    assert text.index('id="bay-02"') < text.index('id="bay-01"')
    assert "<script>" not in text
    assert "&lt;script&gt;" in text
    assert "(1) Bays" in text
    assert "broker is not reached" not in text
    assert "broker is not reached" in render(rows(), connected=False)
    assert summary(rows())["alarm"] == 1


def test_page_and_json_are_served(tmp_path_factory: pytest.TempPathFactory) -> None:
    site = SiteBroker(tmp_path_factory.mktemp("site"))
    fleet = Fleet(site.fleet_config())

    async def ask() -> tuple[str, dict[str, object]]:
        async with TestClient(TestServer(fleet_routes(fleet))) as client:
            page = await client.get("/")
            data = await client.get("/data.json")
            assert "default-src 'none'" in page.headers["Content-Security-Policy"]
            return await page.text(), await data.json()

    page, data = asyncio.run(ask())
    assert "0 of 0 online" in page
    assert data["connected"] is False
    assert data["units"] == []

"""The feed as the relay runs it: from the wire to the record, through kills, and forgetting."""

import asyncio
import time
from pathlib import Path

import pytest
from benchmarks.feed import kills

from bayscribe_relay.clinical.store import ClinicalStore
from bayscribe_relay.emr_feed.config import FeedConfig, MllpConfig
from bayscribe_relay.emr_feed.feed import Feed
from emr_feed.hl7_sender import Sender, adt, verdict
from emr_feed.hospital import ED, Hospital, pv1


def test_a_registration_on_the_wire_opens_a_stay(tmp_path: Path) -> None:
    async def story() -> None:
        store = ClinicalStore(f"sqlite:///{tmp_path}/relay.db")
        config = FeedConfig(site="demo", mllp=MllpConfig(port=0))
        async with Feed.running(config, store, ED) as feed:
            assert feed.mllp is not None
            async with Sender.connected(feed.mllp.port) as sender:
                place = pv1("ED^12^A", arrived="20261123093000")
                message = adt("A04", "C1", "PID|1||4711^^^GH^MR||Doe^Jane", place)
                assert verdict(await sender.exchange(message)) == ("AA", "C1")
            end = time.monotonic() + 60
            while not store.stays(state="open"):
                assert time.monotonic() < end, feed.health()
                await asyncio.sleep(0.02)
            (stay,) = store.stays()
            # MSH-7 carries the offset: half past nine in New York.
            assert stay.arrived_ns == 1_795_444_200 * 10**9
            assert feed.health()["mllp_messages"] == 1
        store.close()

    asyncio.run(story())


def test_nothing_acknowledged_is_lost_when_the_feed_is_killed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert kills(tmp_path, connections=4, number=2), capsys.readouterr().out
    assert " 0 messages acknowledged" not in capsys.readouterr().out


def test_what_is_not_ours_is_forgotten_and_what_is_parked_is_not(tmp_path: Path) -> None:
    hospital = Hospital(tmp_path)
    rate = "OBX|1|NM|8867-4^HR^LN||88||||||F"
    hospital.send("ORU^R01", rate, visit="ELSEWHERE")
    hospital.send("ADT^A03", pv1(visit="ELSEWHERE"), visit="ELSEWHERE")
    hospital.send("ORU^R01", rate, visit="")
    future = time.time_ns() + 10**9
    assert hospital.store.forget_unbound(0) == 0
    assert hospital.store.forget_unbound(future) == 1
    hospital.feed.inbox.purge(future, future)
    assert hospital.counts() == {"parked": 1}
    hospital.close()

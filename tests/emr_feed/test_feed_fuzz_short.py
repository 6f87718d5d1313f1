"""The fuzzers of the feed at small counts; ``python -m benchmarks.feed_fuzz`` runs the large."""

from benchmarks.feed_fuzz import fuzz_messages, fuzz_notifications
from benchmarks.writeback import postgres


def test_broken_messages_crash_nothing_and_reach_no_wrong_patient() -> None:
    wrong, faults, feed = fuzz_messages(500, seed=20)
    assert (wrong, faults) == (0, [])
    assert feed.worker.counters["events"] > 0
    assert feed.rejected > 0


def test_broken_notifications_crash_nothing_and_reach_no_wrong_patient() -> None:
    wrong, faults, feed = fuzz_notifications(300, seed=21)
    assert (wrong, faults) == (0, [])
    assert feed.worker.counters["events"] > 0
    assert feed.rejected > 0


def test_the_same_on_postgresql() -> None:
    with postgres.running() as server:
        url = postgres.fresh_database(server)
        wrong, faults, feed = fuzz_messages(200, seed=22, url=url)
        assert (wrong, faults) == (0, [])
        assert feed.worker.counters["events"] > 0
        url = postgres.fresh_database(server)
        wrong, faults, feed = fuzz_notifications(300, seed=21, url=url)
        assert (wrong, faults) == (0, [])
        assert feed.worker.counters["events"] > 0

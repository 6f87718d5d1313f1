from concurrent.futures import Future
from pathlib import Path

import pytest
import sqlalchemy as sa

from bayscribe.errors import StorageError
from bayscribe.wire import chain
from bayscribe_relay.ingest.committer import Committer
from bayscribe_relay.store.records import Batch, EncounterState, Refusal, StoredRecord
from bayscribe_relay.store.store import Store


def record(seq: int, encounter: str = "e" * 32) -> StoredRecord:
    return StoredRecord(
        seq=seq,
        chain=bytes([seq]) * 32,
        kind="segment",
        encounter=encounter,
        header=b"header",
        signature=bytes(64),
        sealed_sha256=bytes(32),
        certificate=bytes(32),
        received_ns=seq,
        sealed=b"sealed",
    )


def batch(before: int, *seqs: int, device: str = "bay-1") -> Batch:
    opened = EncounterState("e" * 32, "bay", 1, "always", segments=max(seqs))
    return Batch(device, before, tuple(record(seq) for seq in seqs), (opened,))


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'relay.db'}"


def test_a_device_starts_at_its_genesis_and_moves_with_each_batch(url: str) -> None:
    store = Store(url)
    mark = store.admit("bay-1", b"f" * 32, b"der")
    assert (mark.seq, mark.chain) == (0, chain.genesis("bay-1"))
    assert store.commit([batch(0, 1, 2), batch(2, 3)]) == [True, True]
    again = store.admit("bay-1", b"f" * 32, b"der")
    assert (again.seq, again.chain) == (3, bytes([3]) * 32)
    assert [found.seq for found in store.read_records("bay-1", page=2)] == [1, 2, 3]
    assert store.encounters("bay-1")[0].segments == 3
    store.close()


def test_two_relays_on_one_database_cannot_both_continue_a_stream(url: str) -> None:
    one, other = Store(url), Store(url)
    one.admit("bay-1", b"f" * 32, b"der")
    assert one.commit([batch(0, 1)]) == [True]
    assert other.commit([batch(0, 1, 2)]) == [False]
    assert [found.seq for found in one.read_records("bay-1")] == [1]
    assert other.commit([batch(1, 2)]) == [True]
    one.close()
    other.close()


def test_a_stale_batch_does_not_spoil_the_others_of_its_transaction(url: str) -> None:
    store = Store(url)
    for device in ("bay-1", "bay-2"):
        store.admit(device, device.encode().ljust(32), b"der")
    taken = store.commit([batch(7, 8), batch(0, 1, device="bay-2")])
    assert taken == [False, True]
    assert [(mark.device, mark.seq) for mark in store.marks()] == [("bay-1", 0), ("bay-2", 1)]
    store.close()


def test_the_same_refusal_again_is_counted_not_piled_up(url: str) -> None:
    store = Store(url)
    refusal = Refusal("bay-1", 4, "chain", "x" * 500, "e" * 32, b"h" * 32)
    assert [store.refuse(refusal) for _ in range(3)] == [1, 2, 3]
    (row,) = store.refusals("bay-1")
    assert (row.times, len(row.refusal.detail)) == (3, 200)
    store.close()


def test_every_commit_is_flushed(url: str) -> None:
    store = Store(url)
    with store._engine.connect() as connection:
        assert connection.execute(sa.text("PRAGMA journal_mode")).scalar() == "wal"
        assert connection.execute(sa.text("PRAGMA synchronous")).scalar() == 2
    store.close()


def test_an_error_of_the_store_names_no_content(url: str) -> None:
    store = Store(url)
    store.admit("bay-1", b"f" * 32, b"der")
    store.commit([batch(0, 1)])
    with pytest.raises(StorageError) as raised:
        store.commit([batch(1, 1)])
    assert "sealed" not in str(raised.value)
    assert "header" not in str(raised.value)
    store.close()


def test_one_impossible_batch_fails_alone(url: str) -> None:
    store = Store(url)
    for device in ("bay-1", "bay-2"):
        store.admit(device, device.encode().ljust(32), b"der")
    store.commit([batch(0, 1)])
    committer = Committer(store)
    good: Future[bool] = Future()
    bad: Future[bool] = Future()
    committer._commit([(batch(1, 1), bad), (batch(0, 1, device="bay-2"), good)])
    assert good.result(10) is True
    assert isinstance(bad.exception(10), StorageError)
    committer.close()
    store.close()


def test_what_was_submitted_before_the_end_is_committed(url: str) -> None:
    store = Store(url)
    store.admit("bay-1", b"f" * 32, b"der")
    committer = Committer(store)
    results = [committer.submit(batch(seq, seq + 1)) for seq in range(20)]
    committer.close()
    assert all(result.result(0) for result in results)
    assert store.marks()[0].seq == 20
    store.close()


def test_a_read_only_store_is_one_clear_line(url: str, tmp_path: Path) -> None:
    Store(url).close()
    store = Store(url)
    with store._engine.connect() as connection:
        connection.execute(sa.text("PRAGMA query_only=ON"))
        connection.commit()
    with pytest.raises(StorageError, match="readonly"):
        store.admit("bay-1", b"f" * 32, b"der")
    store.close()
    assert (tmp_path / "relay.db").exists()

import asyncio
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from bayscribe.errors import StorageError
from bayscribe_relay.clinical import audit
from bayscribe_relay.retention import service
from bayscribe_relay.retention import tables as retention_tables
from bayscribe_relay.retention.config import RetentionConfig
from bayscribe_relay.retention.erase import Done, Retention
from custody.hospital import STAY, Hospital
from retention.closed_stay import close_stay, post_letter

LIMIT_S = 120.0
CANARIES = ("canary", "MRN-CANARY", "Canaryfamily", "Jane", "V-1001")


@pytest.fixture
def hospital(tmp_path: Path) -> Iterator[Hospital]:
    made = Hospital(tmp_path)
    close_stay(made)
    post_letter(made, settled_ns=1)  # due by whatever clock the machine has
    yield made
    made.close()


class Awaited(logging.Handler):
    """Sets an event of the running loop when a text is logged."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text
        self._loop = asyncio.get_running_loop()
        self.seen = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if self._text in record.getMessage():
            self._loop.call_soon_threadsafe(self.seen.set)


async def logged(retention: Retention, text: str) -> None:
    awaited, log = Awaited(text), logging.getLogger("bayscribe.relay.retention")
    log.addHandler(awaited)
    try:
        async with asyncio.timeout(LIMIT_S), service.daily(retention):
            await awaited.seen.wait()
    finally:
        log.removeHandler(awaited)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(service, "_FIRST_S", 0.0)
    caplog.set_level(logging.DEBUG)


@pytest.mark.usefixtures("at_once")
def test_a_serving_relay_deletes_by_itself_and_names_nobody(
    hospital: Hospital, caplog: pytest.LogCaptureFixture
) -> None:
    retention = Retention(hospital.clinical, hospital.signer, RetentionConfig())
    asyncio.run(logged(retention, "audio of 1 recordings (3 segments)"))
    assert retention.deletions() == {STAY: 2}
    entries = [one for one in audit.entries(hospital.clinical) if one.actor == "retention"]
    with hospital.clinical.engine.connect() as link:
        proofs = link.execute(sa.select(retention_tables.deletions.c.body)).scalars().all()
    assert (len(entries), len(proofs)) == (2, 2)
    for kept in (caplog.text, str(entries), json.dumps([bytes(one).decode() for one in proofs])):
        assert kept
        assert not [canary for canary in CANARIES if canary in kept]


@pytest.mark.usefixtures("at_once")
def test_a_run_that_fails_is_told_without_names_and_tried_again(
    hospital: Hospital, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, failures = Retention.run, iter([True])

    def run(self: Retention) -> Done:
        if next(failures, False):
            with self.clinical.transaction() as link:
                link.exec_driver_sql("insert into utterances values ('canarywords')")
        return real(self)

    monkeypatch.setattr(Retention, "run", run)
    policy = RetentionConfig(every_h=1e-6)
    retention = Retention(hospital.clinical, hospital.signer, policy)
    asyncio.run(logged(retention, "audio of 1 recordings (3 segments)"))
    assert "retention failed, tried again next time" in caplog.text
    assert not [canary for canary in CANARIES if canary in caplog.text]
    with pytest.raises(StorageError), hospital.clinical.transaction() as link:
        link.exec_driver_sql("insert into utterances values ('canarywords')")

"""What an EMR's interface engine sees of the MLLP listener."""

import asyncio
import contextlib
import random
import ssl
from collections.abc import AsyncIterator
from concurrent.futures import Future
from pathlib import Path

import msgspec
import pytest

from bayscribe.errors import StorageError
from bayscribe_relay.clinical.store import ClinicalStore
from bayscribe_relay.emr_feed.config import FeedTls, MllpConfig
from bayscribe_relay.emr_feed.envelope import envelope
from bayscribe_relay.emr_feed.inbox import Inbox, Receipt
from bayscribe_relay.emr_feed.listener import MllpListener
from bayscribe_relay.hl7.framing import END, START
from emr_feed.hl7_sender import Sender, adt, verdict
from writeback.rig import make_pki

PID = "PID|1||4711^^^GH^MR||Doe^Jane"


@contextlib.asynccontextmanager
async def listening(
    folder: Path, config: MllpConfig | None = None
) -> AsyncIterator[tuple[MllpListener, Inbox]]:
    store = ClinicalStore(f"sqlite:///{folder}/relay.db")
    inbox = Inbox(store)
    config = msgspec.structs.replace(config or MllpConfig(), port=0)
    try:
        async with MllpListener(config, inbox).running() as listener:
            yield listener, inbox
    finally:
        await asyncio.to_thread(inbox.close)
        store.close()


def test_a_message_is_accepted_once_it_is_kept(tmp_path: Path) -> None:
    async def story() -> None:
        async with listening(tmp_path) as (listener, inbox):
            async with Sender.connected(listener.port) as sender:
                answer = await sender.exchange(adt("A01", "C1", PID))
            assert verdict(answer) == ("AA", "C1")
            assert inbox.counts() == {"received": 1}
            head = answer.header
            assert (head.get(5), head.get(6)) == ("EMR", "GH")
            assert [head.get(9, n) for n in (1, 2, 3)] == ["ACK", "A01", "ACK"]

    asyncio.run(story())


def test_messages_cut_anywhere_and_several_in_one_read_are_answered_in_order(
    tmp_path: Path,
) -> None:
    async def story() -> None:
        rng = random.Random(7)
        frames = b"".join(START + adt("A08", f"N{i}", PID).encode() + END for i in range(60))
        stream = b"noise" + frames
        async with listening(tmp_path) as (listener, _):
            async with Sender.connected(listener.port) as sender:
                at = 0
                while at < len(stream):
                    size = rng.choice((1, 3, 200, 2_000))
                    await sender.write(stream[at : at + size])
                    at += size
                seen = [verdict(await sender.answer()) for _ in range(60)]
            assert seen == [("AA", f"N{i}") for i in range(60)]

    asyncio.run(story())


def test_the_same_message_again_is_accepted_and_kept_once(tmp_path: Path) -> None:
    async def story() -> None:
        async with listening(tmp_path) as (listener, inbox):
            async with Sender.connected(listener.port) as sender:
                again = adt("A01", "C1", PID).replace("20261123093000", "20261123093007")
                altered = adt("A01", "C1", PID.replace("Jane", "June"))
                other = adt("A01", "C1", PID).replace("|GH|BAYSCRIBE", "|WEST|BAYSCRIBE")
                for message in (adt("A01", "C1", PID),) * 2 + (again, altered, other):
                    assert verdict(await sender.exchange(message)) == ("AA", "C1")
            assert inbox.counts() == {"received": 2}
            assert listener.counters.duplicates == 3

    asyncio.run(story())


def test_a_control_id_used_anew_for_another_message_loses_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        async with listening(tmp_path) as (listener, inbox):
            async with Sender.connected(listener.port) as sender:
                await sender.exchange(adt("A01", "1", PID))
                later = adt("A03", "1", PID, "PV1|1|E").replace("20261123", "20261124")
                assert verdict(await sender.exchange(later)) == ("AA", "1")
            assert inbox.counts() == {"received": 2}

    asyncio.run(story())


@pytest.mark.parametrize(
    ("message", "code", "field", "error"),
    [
        (adt("A01", "C1", PID, version="3.0"), "AR", "12", "203"),
        (adt("A01", "C1", PID, more="||||||KLINGON"), "AR", "18", "103"),
        (adt("A01", "C1", PID).replace("|P|2", "|T|2"), "AR", "11", "202"),
        (adt("A01", "", PID), "AE", "10", "101"),
        (adt("A01", "C1", PID).replace("ADT^A01", ""), "AE", "9", "101"),
    ],
)
def test_what_cannot_be_taken_is_refused_with_the_field_that_is_wrong(
    tmp_path: Path, message: str, code: str, field: str, error: str
) -> None:
    async def story() -> None:
        async with listening(tmp_path) as (listener, inbox):
            async with Sender.connected(listener.port) as sender:
                answer = await sender.exchange(message)
                assert verdict(answer)[0] == code
                err = answer.first("ERR")
                assert err is not None
                assert err.get(2, 3) == field
                assert err.get(3) == error
                assert f"MSH-{field}" in err.get(8)
                assert verdict(await sender.exchange(adt("A01", "C2", PID))) == ("AA", "C2")
            assert inbox.counts() == {"received": 1}

    asyncio.run(story())


def test_an_old_version_is_told_errors_the_old_way(tmp_path: Path) -> None:
    async def story() -> None:
        async with listening(tmp_path) as (listener, _), Sender.connected(listener.port) as sender:
            answer = await sender.exchange(adt("A01", "", PID, version="2.3"))
            err = answer.first("ERR")
            assert err is not None
            assert err.get(1, 4, 1) == "101"

    asyncio.run(story())


@pytest.mark.parametrize("junk", [b"", b"hello", b"MSH", b"MSHABCDEF", b"\xff\x00" * 50])
def test_what_is_no_message_is_refused_and_stops_nobody(tmp_path: Path, junk: bytes) -> None:
    async def story() -> None:
        async with listening(tmp_path) as (listener, _), Sender.connected(listener.port) as sender:
            answer = await sender.exchange(junk)
            assert verdict(answer)[0] == "AR"
            assert answer.first("ERR") is not None
            assert verdict(await sender.exchange(adt("A01", "C2", PID))) == ("AA", "C2")

    asyncio.run(story())


@pytest.mark.parametrize(
    ("conditions", "good", "bad"),
    [
        ("|||AL|NE", ["CA"], ["CE"]),
        ("|||AL|AL", ["CA", "AA"], ["CE"]),
        ("|||NE|AL", ["AA"], ["AE"]),
        ("|||ER|NE", [], ["CE"]),
        ("|||SU|SU", ["CA", "AA"], []),
    ],
)
def test_enhanced_mode_is_answered_as_it_was_asked_for(
    tmp_path: Path, conditions: str, good: list[str], bad: list[str]
) -> None:
    async def story() -> None:
        async with listening(tmp_path) as (listener, _), Sender.connected(listener.port) as sender:
            await sender.put(adt("A01", "C1", PID, more=conditions))
            faulty = adt("A01", "C2", PID, more=conditions).replace("ADT^A01", "")
            await sender.put(faulty)
            await sender.put(adt("A01", "LAST", PID))
            seen: dict[str, list[str]] = {"C1": [], "C2": []}
            while (said := verdict(await sender.answer()))[1] != "LAST":
                seen[said[1]].append(said[0])
            assert seen == {"C1": good, "C2": bad}

    asyncio.run(story())


def test_a_batch_is_kept_message_by_message_and_answered_as_a_batch(tmp_path: Path) -> None:
    async def story() -> None:
        async with listening(tmp_path) as (listener, inbox):
            async with Sender.connected(listener.port) as sender:
                middle = "".join(adt("A08", f"B{i}", PID) for i in range(5))
                await sender.put(f"FHS|^~\\&|EMR\rBHS|^~\\&|EMR\r{middle}BTS|5\rFTS|1\r")
                told = (await sender.frame()).split("\r")
                assert [line[:3] for line in told[:2]] == ["FHS", "BHS"]
                assert [m.split("|")[1:3] for m in told if m.startswith("MSA")] == [
                    ["AA", f"B{i}"] for i in range(5)
                ]
                assert "BTS|5" in told
            assert inbox.counts() == {"received": 5}

    asyncio.run(story())


def test_other_delimiters_are_used_in_the_answer_too(tmp_path: Path) -> None:
    async def story() -> None:
        async with listening(tmp_path) as (listener, _), Sender.connected(listener.port) as sender:
            message = "MSH#*%!$#EMR#GH###20261123093000##ADT*A04#C*1#P#2.5.1\rPID#1##4711"
            answer = await sender.exchange(message)
            assert answer.separators.field == "#"
            assert answer.separators.component == "*"
            assert verdict(answer)[0] == "AA"

    asyncio.run(story())


def test_a_disk_that_fails_gets_no_acknowledgement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        async with listening(tmp_path) as (listener, inbox):

            def failing(_receipts: list[Receipt]) -> "Future[list[bool]]":
                future: Future[list[bool]] = Future()
                future.set_exception(StorageError("disk full"))
                return future

            monkeypatch.setattr(inbox, "submit", failing)
            async with Sender.connected(listener.port) as sender:
                await sender.put(adt("A01", "C1", PID))
                with pytest.raises((EOFError, OSError)):
                    await sender.answer()
            monkeypatch.undo()
            async with Sender.connected(listener.port) as sender:
                assert verdict(await sender.exchange(adt("A01", "C1", PID))) == ("AA", "C1")
            assert listener.counters.not_durable == 1

    asyncio.run(story())


def test_a_listener_that_ends_in_mid_commit_loses_nothing_of_it(tmp_path: Path) -> None:
    async def story() -> None:
        store = ClinicalStore(f"sqlite:///{tmp_path}/relay.db")
        inbox = Inbox(store)
        with inbox.turn:
            listener = MllpListener(MllpConfig(port=0), inbox)
            async with listener.running(), Sender.connected(listener.port) as sender:
                await sender.put(adt("A01", "C1", PID))
                while inbox.submitted == 0:  # noqa: ASYNC110 - counted by a thread
                    await asyncio.sleep(0.01)
        receipt = envelope(adt("A01", "C2", PID).encode(), ("P",)).receipt(1)
        assert await asyncio.wrap_future(inbox.submit([receipt])) == [True]
        assert inbox.counts() == {"received": 2}
        await asyncio.to_thread(inbox.close)
        store.close()

    asyncio.run(story())


def test_an_endless_frame_ends_its_connection_alone(tmp_path: Path) -> None:
    async def story() -> None:
        config = MllpConfig(frame_max=2_048, frame_s=0.2)
        async with (
            listening(tmp_path, config) as (listener, _),
            Sender.connected(listener.port) as big,
            Sender.connected(listener.port) as slow,
            Sender.connected(listener.port) as good,
        ):
            await slow.write(START + b"MSH|^~")
            with contextlib.suppress(OSError):
                await big.write(START + b"M" * 10_000)
            assert await big.ended()
            assert await slow.ended()
            assert verdict(await good.exchange(adt("A01", "C1", PID))) == ("AA", "C1")

    asyncio.run(story())


def test_mutual_tls_lets_in_only_those_with_a_certificate(tmp_path: Path) -> None:
    make_pki(tmp_path)

    async def story() -> None:
        names = {"certificate": "gateway.pem", "key": "gateway.key", "client_ca": "ca.pem"}
        tls = FeedTls(**{key: str(tmp_path / name) for key, name in names.items()})
        known = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
        known.load_cert_chain(tmp_path / "relay.pem", tmp_path / "relay.key")
        stranger = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
        async with listening(tmp_path, MllpConfig(tls=tls)) as (listener, inbox):
            async with Sender.connected(listener.port, known) as sender:
                assert verdict(await sender.exchange(adt("A01", "C1", PID))) == ("AA", "C1")
            with pytest.raises((EOFError, OSError)):
                async with Sender.connected(listener.port, stranger) as sender:
                    await sender.exchange(adt("A01", "C2", PID))
            assert inbox.counts() == {"received": 1}

    asyncio.run(story())

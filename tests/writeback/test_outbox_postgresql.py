"""The outbox on a PostgreSQL server that several relays share."""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from benchmarks.writeback import postgres

from bayscribe.errors import BadUse
from bayscribe_relay.writeback.bundle import make_bundle
from bayscribe_relay.writeback.note import read_note
from bayscribe_relay.writeback.outbox import Letter, Outbox
from bayscribe_relay.writeback.states import Event, State
from writeback.rig import a_note, encoded

HOLD = """
import asyncio, sys
from bayscribe_relay.writeback.outbox import Outbox
held = asyncio.run(Outbox(sys.argv[1], "doomed", 2.0).claim(100))
print(len(held), flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgres.running() as url:
        yield url


@pytest.fixture
def database(server: str) -> str:
    """A fresh database of the server."""
    return postgres.fresh_database(server)


@pytest.fixture
def relays(database: str) -> Iterator[tuple[Outbox, Outbox]]:
    first, second = (Outbox(database, name, 60.0) for name in ("first", "second"))
    yield first, second
    first.close()
    second.close()


async def signed(outbox: Outbox, count: int) -> list[Letter]:
    async def one() -> Letter:
        data = encoded(a_note())
        note = read_note(data)
        return await outbox.enqueue(note, data, make_bundle(note), hold=False)

    return list(await asyncio.gather(*(one() for _ in range(count))))


def test_two_relays_share_the_letters_and_no_letter_twice(relays: tuple[Outbox, Outbox]) -> None:
    async def run() -> None:
        letters = await signed(relays[0], 40)
        claims = [relay.claim(5) for _ in range(6) for relay in relays]
        claimed = [letter.key for got in await asyncio.gather(*claims) for letter, _ in got]
        assert sorted(claimed) == sorted(letter.key for letter in letters)

    asyncio.run(run())


def test_a_row_that_another_relay_works_on_is_passed_over(
    relays: tuple[Outbox, Outbox], database: str
) -> None:
    async def run() -> None:
        first, *others = await signed(relays[0], 3)
        engine = sa.create_engine(database)
        with engine.connect() as connection:
            row = sa.text("SELECT key FROM letters WHERE key = :key FOR UPDATE")
            connection.execute(row, {"key": first.key})
            claimed = await asyncio.wait_for(relays[1].claim(10), 60)
            assert {letter.key for letter, _ in claimed} == {letter.key for letter in others}
        engine.dispose()
        assert [letter.key for letter, _ in await relays[1].claim(10)] == [first.key]

    asyncio.run(run())


def test_letters_of_a_killed_relay_go_to_the_other(
    relays: tuple[Outbox, Outbox], database: str
) -> None:
    letters = asyncio.run(signed(relays[0], 4))
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, database],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as doomed:  # fmt: skip
        assert doomed.stdout is not None
        assert doomed.stdout.readline().strip() == "4"
        doomed.send_signal(signal.SIGKILL)
    taken: set[str] = set()
    end = time.monotonic() + 60
    while len(taken) < 4 and time.monotonic() < end:
        taken |= {letter.key for letter, _ in asyncio.run(relays[1].claim(10))}
        time.sleep(0.05)
    assert taken == {letter.key for letter in letters}


def test_both_relays_may_hear_of_the_same_letters_in_any_order(
    relays: tuple[Outbox, Outbox],
) -> None:
    async def run() -> None:
        letters = await signed(relays[0], 30)
        keys = [letter.key for letter in letters]
        told = [relays[0].happened(key, Event.ACCEPT) for key in keys]
        told += [relays[1].happened(key, Event.ACCEPT) for key in reversed(keys)]
        await asyncio.gather(*told)
        told = [relays[1].happened(key, Event.COMMIT, answer=b"{}", attempts=2) for key in keys]
        told += [relays[0].happened(key, Event.PARK, reason="late") for key in reversed(keys)]
        await asyncio.gather(*told)
        for key in keys:
            letter = relays[0].get(key)
            assert letter is not None
            assert (letter.state, letter.answer, letter.attempts) == (State.VERIFIED, b"{}", 2)
            events = [event for _, event, _, _ in relays[1].events(key)]
            assert (events[:2], events.count("committed")) == (["signed", "accepted"], 1)

    asyncio.run(run())


def test_the_same_note_again_is_the_same_letter_and_another_is_refused(
    relays: tuple[Outbox, Outbox],
) -> None:
    async def run() -> None:
        (letter,) = await signed(relays[0], 1)
        for content, same in (("other", False), (None, True)):
            changes = {"content": content} if content else {}
            data = encoded(a_note(idempotency_key=letter.key, **changes))
            note = read_note(data)
            again = relays[1].enqueue(note, data, make_bundle(note), hold=False)
            if same:
                assert await again == letter
            else:
                with pytest.raises(BadUse, match="another note"):
                    await again

    asyncio.run(run())

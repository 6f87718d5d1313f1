"""The letter's state machine: every edge of the drawing, in the outbox, survives a restart."""

import asyncio
import os
import re
from pathlib import Path

import pytest

from bayscribe.errors import BadUse, IntegrityError
from bayscribe_relay.writeback.bundle import make_bundle
from bayscribe_relay.writeback.note import read_note
from bayscribe_relay.writeback.outbox import Letter, Outbox
from bayscribe_relay.writeback.states import MOVES, Event, State, after, require
from writeback.rig import a_note, encoded

ROOT = Path(__file__).resolve().parents[2]

PATHS: dict[State, list[Event]] = {
    State.QUEUED: [],
    State.ACCEPTED: [Event.ACCEPT],
    State.PARKED: [Event.PARK],
    State.DEAD: [Event.GIVE_UP],
    State.REJECTED: [Event.REFUSE],
    State.VERIFIED: [Event.COMMIT],
}
"""How to bring a new letter into each state."""


def open_outbox(folder: Path, owner: str = "a", lease_s: float = 60.0) -> Outbox:
    return Outbox(f"sqlite:///{folder / 'relay.db'}", owner, lease_s)


async def signed(outbox: Outbox, **changes: object) -> Letter:
    data = encoded(a_note(**changes))
    note = read_note(data)
    return await outbox.enqueue(note, data, make_bundle(note), hold=False)


async def bring(outbox: Outbox, state: State) -> Letter:
    letter = await signed(outbox)
    for event in PATHS[state]:
        moved = await outbox.happened(letter.key, event, reason="because")
        assert moved is not None
        letter = moved
    assert letter.state is state
    return letter


@pytest.mark.parametrize(("state", "event"), [(s, e) for s in State for e in Event])
def test_every_event_in_every_state(tmp_path: Path, state: State, event: Event) -> None:
    async def run() -> None:
        outbox = open_outbox(tmp_path)
        letter = await bring(outbox, state)
        expected = MOVES.get((state, event), state)
        moved = await outbox.happened(letter.key, event, reason="again")
        assert moved is not None
        assert moved.state is expected
        outbox.close()
        reopened = open_outbox(tmp_path)
        found = reopened.get(letter.key)
        assert found == moved
        assert len(reopened.events(letter.key)) == 1 + len(PATHS[state]) + ((state, event) in MOVES)
        reopened.close()

    asyncio.run(run())


def test_nothing_leads_out_of_the_chart_and_every_state_can_reach_it() -> None:
    assert not [state for state, _ in MOVES if state is State.VERIFIED]
    for state in set(State) - {State.VERIFIED}:
        assert after(state, Event.COMMIT) is State.VERIFIED
    with pytest.raises(IntegrityError, match="verified cannot be replayed"):
        require(State.VERIFIED, Event.REPLAY)


def test_the_drawing_in_the_docs_is_this_machine() -> None:
    text = (ROOT / "docs" / "write-back.md").read_text("utf-8")
    drawn = set(re.findall(r"^\s+(\w+) --> (\w+): ([\w-]+)$", text, re.MULTILINE))
    assert drawn == {(s.name, to.name, e.value) for (s, e), to in MOVES.items()}


def test_a_signature_and_its_letter_are_one_transaction(tmp_path: Path) -> None:
    async def run() -> None:
        outbox = open_outbox(tmp_path)
        letter = await signed(outbox)
        same = await signed(outbox, idempotency_key=letter.key)
        assert same == letter
        with pytest.raises(BadUse, match="another note"):
            await signed(outbox, idempotency_key=letter.key, content="other")
        assert [found.key for found in outbox.letters(tuple(State))] == [letter.key]
        outbox.close()

    asyncio.run(run())


def test_a_letter_has_one_holder_until_its_lease_runs_out(tmp_path: Path) -> None:
    async def run() -> None:
        first, second = open_outbox(tmp_path, "a"), open_outbox(tmp_path, "b")
        keys = {(await signed(first)).key for _ in range(20)}
        mine, yours = await asyncio.gather(first.claim(10), second.claim(10))
        claimed = [letter.key for letter, _ in (*mine, *yours)]
        assert len(claimed) == 20
        assert set(claimed) == keys
        assert not first.anything_free()
        await second.release([letter.key for letter, _ in yours])
        assert {letter.key for letter, _ in await first.claim(20)} == {
            letter.key for letter, _ in yours
        }
        brief = open_outbox(tmp_path, "c", lease_s=0.000001)
        late = await signed(first)
        assert [letter.key for letter, _ in await brief.claim(5)] == [late.key]
        assert [letter.key for letter, _ in await first.claim(5)] == [late.key]
        for outbox in (first, second, brief):
            outbox.close()

    asyncio.run(run())


def test_alerts_and_replays_are_remembered(tmp_path: Path) -> None:
    async def run() -> None:
        outbox = open_outbox(tmp_path)
        dead = await bring(outbox, State.DEAD)
        assert outbox.unalerted() == [dead.key]
        await outbox.alerted([dead.key])
        assert outbox.unalerted() == []
        (again,) = await outbox.replay([dead.key])
        assert (again.state, again.replay, again.alerted_ns) == (State.QUEUED, True, None)
        verified = await bring(outbox, State.VERIFIED)
        assert await outbox.replay([verified.key]) == []
        outbox.close()

    asyncio.run(run())


def test_another_process_letter_is_noticed(tmp_path: Path) -> None:
    async def run() -> None:
        first, second = open_outbox(tmp_path, "a"), open_outbox(tmp_path, "b")
        before = first.changes()
        assert first.changes() == before
        await signed(second)
        assert first.changes() != before
        first.close()
        second.close()

    asyncio.run(run())


def test_opening_a_database_twice_in_one_process_drops_no_locks(tmp_path: Path) -> None:
    """Closing any descriptor of an open SQLite file would drop this process's locks on it."""

    async def run() -> None:
        first = open_outbox(tmp_path, "a")
        letter = await signed(first)
        locks = _posix_locks(tmp_path)
        second = open_outbox(tmp_path, "b")
        assert second.get(letter.key) == letter
        assert locks <= _posix_locks(tmp_path)
        first.close()
        second.close()

    asyncio.run(run())


def _posix_locks(folder: Path) -> set[tuple[str, str]]:
    """Inode and range of every lock that this process holds on the database's files."""
    inodes = {str(path.stat().st_ino) for path in folder.iterdir()}
    found = set()
    for line in Path("/proc/locks").read_text("ascii").splitlines():
        fields = line.split()
        inode = fields[5].rpartition(":")[2]
        if fields[4] == str(os.getpid()) and inode in inodes:
            found.add((inode, " ".join(fields[6:8])))
    assert found
    return found

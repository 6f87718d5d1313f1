"""A fired gap reaches page and bay once, and is settled by word, by record, or by nobody."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from bayscribe.wire.messages import Prompt, PromptOutcome, PromptWithdrawn
from bayscribe_relay.clinical import audit
from bayscribe_relay.clinical.events import ClinicalEvent
from bayscribe_relay.clinical.prompts import PromptCard
from bayscribe_relay.clinical.speech import Utterance, Word
from bayscribe_relay.clinical.stays import Binding, Patient, Stay
from bayscribe_relay.clinical.store import ClinicalStore
from bayscribe_relay.ingest.hub import ToDevice
from bayscribe_relay.prompts.config import PromptsConfig
from bayscribe_relay.prompts.live import Closed, Fired
from bayscribe_relay.prompts.service import Prompter

STAY = Stay(
    id="a" * 32, site="demo", patient=Patient(mrn="M1"), visit_number="V1", bay="bay-1",
    arrived_ns=time.time_ns() - 10 * 60 * 10**9,
)  # fmt: skip


class HighLactate:
    """Stands in for the tracer: a lactate above 4 fires, saying "lactate" or a low one closes."""

    def __init__(self, stay: Stay) -> None:
        assert stay.id == STAY.id
        self.value = 0.0
        self.said = ""
        self.fired = False

    def take(self, events: Iterable[ClinicalEvent], utterances: Iterable[Utterance]) -> None:
        for event in events:
            assert isinstance(event.value, float)
            self.value = event.value
        for utterance in utterances:
            if "lactate" in utterance.text:
                self.said = utterance.id

    def advance(self, _now_ns: int) -> tuple[list[Fired], list[Closed]]:
        if self.value > 4 and not self.fired:
            self.fired = True
            return [Fired("lactate", "Lactate", "Lactate is 4.2", 10, None, (), ())], []
        if self.fired and (self.said or self.value <= 4):
            return [], [Closed("lactate", bool(self.said), self.said)]
        return [], []


class Room:
    def __init__(self) -> None:
        self.messages: list[ToDevice] = []
        self.connected = True

    def send(self, device: str, message: ToDevice) -> bool:
        assert device == "unit-1"
        if self.connected:
            self.messages.append(message)
        return self.connected


@pytest.fixture
def store(tmp_path: Path) -> ClinicalStore:
    opened = ClinicalStore(f"sqlite:///{tmp_path / 'relay.db'}")
    opened.put_stay(STAY)
    opened.bind(Binding(stay=STAY.id, device="unit-1", recording="r", from_ns=STAY.arrived_ns))
    return opened


def lactate(version: int, value: float) -> ClinicalEvent:
    now = time.time_ns()
    return ClinicalEvent(
        id="hl7:1", version=version, stay=STAY.id, kind="lab", concept="lab.lactate", value=value,
        clinical_ns=now, received_ns=now,
    )  # fmt: skip


def said(text: str, at_ns: int) -> Utterance:
    return Utterance(
        id=f"r/{at_ns}", device="unit-1", recording="r", stay=STAY.id, start=0, end=1,
        start_ns=at_ns, end_ns=at_ns + 10**9, speaker="dr", primary=True, confidence=1,
        first_seq=1, last_seq=1, words=tuple(Word(w, 0, 1, 0.9) for w in text.split()),
    )  # fmt: skip


@asynccontextmanager
async def prompting(store: ClinicalStore, room: Room, **config: object) -> AsyncIterator[Prompter]:
    made = msgspec.structs.replace(PromptsConfig(), **config)
    async with Prompter.running(store, HighLactate, room.send, made) as prompter:
        yield prompter


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - the condition is in a database
            await asyncio.sleep(0.01)


def card(store: ClinicalStore) -> PromptCard | None:
    cards = store.prompts(STAY.id)
    assert len(cards) <= 1
    return cards[0] if cards else None


def is_in(store: ClinicalStore, **wanted: object) -> Callable[[], bool]:
    def look() -> bool:
        found = card(store)
        return found is not None and all(
            getattr(found, name) == value for name, value in wanted.items()
        )

    return look


def test_a_prompt_is_shown_sounded_and_answered_by_a_short_word(store: ClinicalStore) -> None:
    async def go() -> None:
        room = Room()
        async with prompting(store, room) as prompter:
            store.add_events([lactate(1, 4.2)])
            await until(is_in(store, state="shown", bay="sent"))
            (sent,) = room.messages
            assert isinstance(sent, Prompt)
            assert sent.speech is None
            played = time.time_ns()
            prompter.outcome("unit-1", PromptOutcome(id=sent.id, outcome="played", wall_ns=played))
            await until(is_in(store, bay="played"))
            store.put_utterance(said("Noted.", played + 2 * 10**9))
            await until(is_in(store, state="answered", answered_by="voice"))
        acts = [entry.action for entry in audit.entries(store, STAY.id)]
        assert acts == ["prompt-fired", "prompt-shown", "prompt-played", "prompt-answered"]

    asyncio.run(go())


def test_the_statement_itself_answers(store: ClinicalStore) -> None:
    async def go() -> None:
        async with prompting(store, Room()):
            store.add_events([lactate(1, 4.2)])
            await until(is_in(store, state="shown"))
            statement = said("the lactate is up", time.time_ns())
            store.put_utterance(statement)
            await until(is_in(store, state="answered", answer=statement.id))

    asyncio.run(go())


def test_a_correction_withdraws_it_in_the_bay_too(store: ClinicalStore) -> None:
    async def go() -> None:
        room = Room()
        async with prompting(store, room):
            store.add_events([lactate(1, 4.2)])
            await until(is_in(store, state="shown", bay="sent"))
            store.add_events([lactate(2, 1.4)])
            await until(is_in(store, state="withdrawn", answered_by="record"))
            await until(lambda: len(room.messages) == 2)
            assert isinstance(room.messages[1], PromptWithdrawn)

    asyncio.run(go())


def test_events_given_to_another_patient_withdraw_it(store: ClinicalStore) -> None:
    async def go() -> None:
        async with prompting(store, Room()):
            store.add_events([lactate(1, 4.2)])
            await until(is_in(store, state="shown"))
            store.move_events(store.events(STAY.id), "b" * 32)
            await until(is_in(store, state="withdrawn", answered_by="correction"))

    asyncio.run(go())


def test_what_nobody_answered_is_unanswered_when_the_stay_ends(store: ClinicalStore) -> None:
    async def go() -> None:
        async with prompting(store, Room()):
            store.add_events([lactate(1, 4.2)])
            await until(is_in(store, state="shown"))
            store.put_stay(msgspec.structs.replace(STAY, state="closed"))
            await until(is_in(store, state="unanswered"))

    asyncio.run(go())


def test_a_unit_that_comes_back_sounds_what_waits(store: ClinicalStore) -> None:
    async def go() -> None:
        room = Room()
        room.connected = False
        async with prompting(store, room, page=False):
            store.add_events([lactate(1, 4.2)])
            await until(is_in(store, state="waiting"))
            room.connected = True
            await until(is_in(store, state="shown", bay="sent"))

    asyncio.run(go())


def test_nothing_sounds_where_the_site_wants_none(store: ClinicalStore) -> None:
    async def go() -> None:
        room = Room()
        async with prompting(store, room, bay="off"):
            store.add_events([lactate(1, 4.2)])
            await until(is_in(store, state="shown", bay=""))
        assert room.messages == []

    asyncio.run(go())


def test_two_relays_make_one_prompt_and_a_restart_none(store: ClinicalStore) -> None:
    async def go() -> None:
        room, apart = Room(), Room()
        apart.connected = False
        async with prompting(store, room), prompting(store, apart):
            store.add_events([lactate(1, 4.2)])
            await until(is_in(store, state="shown", bay="sent"))
        async with prompting(store, room):
            await until(is_in(store, state="shown"))
            store.put_utterance(said("lactate again", time.time_ns()))
            await until(is_in(store, state="answered"))
        assert sum(isinstance(message, Prompt) for message in room.messages) == 1
        fired = [e for e in audit.entries(store, STAY.id) if e.action == "prompt-fired"]
        assert len(fired) == 1

    asyncio.run(go())

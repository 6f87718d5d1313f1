from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from bayscribe.errors import IntegrityError
from bayscribe.uplink.core import (
    Action,
    Alarm,
    AlarmCleared,
    AlarmCode,
    Close,
    Deliver,
    Send,
    State,
    UplinkCore,
)
from bayscribe.wire import chain
from bayscribe.wire.header import decode_header
from bayscribe.wire.messages import (
    CLOSE_MALFORMED,
    Ack,
    Command,
    Credit,
    Encounter,
    Hello,
    Prompt,
    PromptWithdrawn,
    Refuse,
    Segment,
    Welcome,
)
from bayscribe.wire.seal import Kem, OpeningKey
from faults.recorder import MemoryBuffer, Record, Recorder
from faults.rig import identity_of

KEY = ec.generate_private_key(ec.SECP256R1())
SEALING = OpeningKey.generate(Kem.X25519).sealing_key()
NAME = "bay-1"
RECORDS = Recorder(NAME, KEY, SEALING).recording("e" * 32, 10)


def buffer_of(records: Sequence[Record] = RECORDS) -> MemoryBuffer:
    buffer = MemoryBuffer(NAME)
    buffer.extend(records)
    return buffer


def core_of(buffer: MemoryBuffer) -> UplinkCore:
    return UplinkCore(identity_of(NAME), buffer)


def chain_at(seq: int) -> bytes:
    return chain.genesis(NAME) if seq == 0 else link_of(RECORDS[seq - 1])


def link_of(record: Record) -> bytes:
    return chain.link(decode_header(record.header).previous, record.header)


def welcome(seq: int = 0, credit: int = 4) -> Welcome:
    return Welcome(durable=seq, chain=chain_at(seq), credit=credit)


def streaming(buffer: MemoryBuffer, seq: int = 0, credit: int = 4) -> UplinkCore:
    core = core_of(buffer)
    core.connected()
    core.receive(welcome(seq, credit))
    assert core.state is State.STREAMING
    return core


def sent_seqs(actions: Sequence[Action]) -> list[int]:
    return [
        decode_header(action.message.header).seq
        for action in actions
        if isinstance(action, Send) and isinstance(action.message, Segment | Encounter)
    ]


def alarms(actions: Sequence[Action]) -> list[AlarmCode]:
    return [action.code for action in actions if isinstance(action, Alarm)]


def test_offline_to_greeting_says_hello_with_both_marks() -> None:
    buffer = buffer_of()
    buffer.acknowledge(3)
    core = core_of(buffer)
    (action,) = core.connected()
    assert isinstance(action, Send)
    assert isinstance(action.message, Hello)
    assert (action.message.oldest, action.message.newest) == (4, 12)
    assert core.state is State.GREETING
    assert core.pump() == []


def test_hello_of_an_empty_buffer() -> None:
    (action,) = core_of(buffer_of([])).connected()
    assert isinstance(action, Send)
    assert isinstance(action.message, Hello)
    assert (action.message.oldest, action.message.newest) == (1, 0)


def test_welcome_resumes_from_the_relays_mark_and_acknowledges_up_to_it() -> None:
    buffer = buffer_of()
    core = streaming(buffer, seq=5)
    assert buffer.acknowledgements == [5]
    assert sent_seqs(core.pump()) == [6, 7, 8, 9]


def test_a_relay_that_knows_everything_is_taken_at_its_chain_value() -> None:
    buffer = buffer_of()
    core = streaming(buffer, seq=12)
    assert buffer.acknowledged == 12
    assert core.pump() == []


def test_credit_bounds_what_is_in_flight_and_acks_move_the_window() -> None:
    buffer = buffer_of()
    core = streaming(buffer, credit=2)
    assert sent_seqs(core.pump()) == [1, 2]
    assert core.pump() == []
    core.receive(Ack(through=1))
    assert sent_seqs(core.pump()) == [3]
    core.receive(Credit(credit=5))
    assert sent_seqs(core.pump()) == [4, 5, 6]
    core.receive(Credit(credit=0))
    core.receive(Ack(through=6))
    assert core.pump() == []
    assert buffer.acknowledgements == [1, 6]


def test_an_old_acknowledgement_said_again_changes_nothing() -> None:
    buffer = buffer_of()
    core = streaming(buffer)
    core.pump()
    core.receive(Ack(through=3))
    assert core.receive(Ack(through=2)) == []
    assert core.receive(Ack(through=3)) == []
    assert buffer.acknowledgements == [3]


def test_an_acknowledgement_of_what_was_never_sent_erases_nothing() -> None:
    buffer = buffer_of()
    core = streaming(buffer, credit=2)
    core.pump()
    actions = core.receive(Ack(through=9))
    assert alarms(actions) == [AlarmCode.PROTOCOL]
    assert isinstance(actions[-1], Close)
    assert buffer.acknowledgements == []


@pytest.mark.parametrize("stated", [None, b"x" * 32])
def test_an_acknowledgement_of_other_records_erases_nothing(stated: bytes | None) -> None:
    buffer = buffer_of()
    core = core_of(buffer)
    core.connected()
    core.receive(Welcome(durable=0, chain=chain_at(0), credit=3, minor=1))
    core.pump()
    actions = core.receive(Ack(through=2, chain=stated))
    assert alarms(actions) == [AlarmCode.PROTOCOL]
    assert isinstance(actions[-1], Close)
    assert buffer.acknowledgements == []


def test_an_acknowledgement_with_the_right_chain_value_counts() -> None:
    buffer = buffer_of()
    core = streaming(buffer)
    core.pump()
    assert core.receive(Ack(through=2, chain=chain_at(2))) == []
    assert buffer.acknowledgements == [2]


def test_a_relay_ahead_of_this_unit_is_an_alarm() -> None:
    core = core_of(buffer_of(RECORDS[:3]))
    core.connected()
    assert alarms(core.receive(welcome(5))) == [AlarmCode.RELAY_AHEAD]
    assert core.state is State.HELD
    assert core.pump() == []


def test_a_relay_that_lost_acknowledged_records_is_an_alarm() -> None:
    buffer = buffer_of()
    buffer.acknowledge(6)
    core = core_of(buffer)
    core.connected()
    assert alarms(core.receive(welcome(2))) == [AlarmCode.RELAY_BEHIND]
    assert core.pump() == []


@pytest.mark.parametrize("mark", [0, 4, 12])
def test_another_chain_at_the_relay_is_an_alarm_and_nothing_is_erased(mark: int) -> None:
    buffer = buffer_of()
    core = core_of(buffer)
    core.connected()
    actions = core.receive(Welcome(durable=mark, chain=b"x" * 32, credit=4))
    assert alarms(actions) == [AlarmCode.FORK]
    assert core.state is State.HELD
    assert buffer.acknowledgements == []


def test_refuse_holds_the_stream_and_keeps_the_data() -> None:
    buffer = buffer_of()
    core = streaming(buffer)
    core.pump()
    actions = core.receive(Refuse(seq=2, reason="signature"))
    assert alarms(actions) == [AlarmCode.REFUSED]
    assert core.state is State.HELD
    assert core.pump() == []
    assert buffer.records == RECORDS


def test_what_was_acknowledged_before_a_refusal_still_counts() -> None:
    buffer = buffer_of()
    core = streaming(buffer)
    core.pump()
    core.receive(Refuse(seq=3, reason="signature"))
    core.receive(Ack(through=2))
    assert buffer.acknowledged == 2


def test_the_alarm_is_cleared_by_the_next_acknowledgement() -> None:
    core = streaming(buffer_of())
    core.pump()
    core.receive(Refuse(seq=1, reason="signature"))
    core.lost()
    core.connected()
    core.receive(welcome(0))
    core.pump()
    assert core.receive(Ack(through=1)) == [AlarmCleared()]
    assert core.receive(Ack(through=2)) == []


def test_prompts_and_commands_are_delivered_streaming_and_held() -> None:
    core = streaming(buffer_of())
    prompt = Prompt(id="p", text="Lactate?", expires_wall_ns=1)
    assert core.receive(prompt) == [Deliver(prompt)]
    core.receive(Refuse(seq=1, reason="signature"))
    withdrawn = PromptWithdrawn(id="p")
    command = Command(id="c", name="mute")
    assert core.receive(withdrawn) == [Deliver(withdrawn)]
    assert core.receive(command) == [Deliver(command)]


@pytest.mark.parametrize(
    "message",
    [Ack(through=0), Credit(credit=1), Refuse(seq=1, reason="x"), PromptWithdrawn(id="p")],
)
def test_anything_before_welcome_ends_the_connection(
    message: Ack | Credit | Refuse | PromptWithdrawn,
) -> None:
    core = core_of(buffer_of())
    core.connected()
    actions = core.receive(message)
    assert isinstance(actions[-1], Close)
    assert actions[-1].code == CLOSE_MALFORMED


def test_a_second_welcome_ends_the_connection() -> None:
    core = streaming(buffer_of())
    assert isinstance(core.receive(welcome(3))[-1], Close)


def test_an_unknown_message_is_ignored_and_counted() -> None:
    core = streaming(buffer_of())
    assert core.receive(None) == []
    assert core.ignored == 1


@pytest.mark.parametrize("state", [State.GREETING, State.STREAMING, State.HELD])
def test_from_every_state_a_lost_link_leads_to_offline_and_back(state: State) -> None:
    buffer = buffer_of()
    core = core_of(buffer)
    core.connected()
    if state is not State.GREETING:
        core.receive(welcome(0, credit=3))
        core.pump()
    if state is State.HELD:
        core.receive(Refuse(seq=1, reason="signature"))
    assert core.state is state
    core.lost()
    assert core.state is State.OFFLINE
    assert core.pump() == []
    core.connected()
    core.receive(welcome(0, credit=3))
    assert sent_seqs(core.pump()) == [1, 2, 3]


def test_a_buffer_with_a_hole_is_not_sent() -> None:
    buffer = buffer_of([*RECORDS[:2], *RECORDS[3:]])
    core = streaming(buffer)
    with pytest.raises(IntegrityError, match="record 4 after 2"):
        core.pump()


@dataclass(slots=True)
class ModelRelay:
    """What a relay does, in ten lines: takes the next record, remembers, acknowledges."""

    stored: list[int] = field(default_factory=list)

    def take(self, seqs: Sequence[int]) -> None:
        self.stored.extend(seq for seq in seqs if seq == len(self.stored) + 1)


@given(
    st.lists(st.sampled_from(["append", "pump", "ack", "lose", "delay"]), max_size=60), st.data()
)
def test_whatever_is_lost_on_the_way_everything_arrives_once_and_nothing_is_erased_too_early(
    steps: list[str], data: st.DataObject
) -> None:
    buffer, relay, left = MemoryBuffer(NAME), ModelRelay(), list(RECORDS)
    core = core_of(buffer)
    core.connected()
    core.receive(Welcome(durable=0, chain=chain_at(0), credit=3))
    wire: list[int] = []
    for step in steps:
        if step == "append" and left:
            buffer.append(left.pop(0))
        elif step == "pump":
            wire += sent_seqs(core.pump())
        elif step == "delay" and wire:
            arrived = data.draw(st.integers(1, len(wire)))
            relay.take(wire[:arrived])
            del wire[:arrived]
        elif step == "ack" and core.state is State.STREAMING:
            core.receive(Ack(through=len(relay.stored)))
        elif step == "lose":
            wire.clear()
            core.lost()
            core.connected()
            mark = len(relay.stored)
            core.receive(Welcome(durable=mark, chain=chain_at(mark), credit=3))
        assert buffer.acknowledged <= len(relay.stored)
        assert core.state is State.STREAMING
    while len(relay.stored) < buffer.head[0]:
        wire += sent_seqs(core.pump())
        relay.take(wire)
        wire.clear()
        core.receive(Ack(through=len(relay.stored)))
    assert relay.stored == list(range(1, buffer.head[0] + 1))
